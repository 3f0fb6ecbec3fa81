"""Which sentence to try next: first those that are worth it on any model, then what the trials before suggest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from advplug.composition.trials import settings_within
from advplug.composition.words import MATCHING, Words
from advplug.errors import AdvplugError
from advplug.plugins.manager import load
from advplug.records.composition import Sentence
from advplug.search_space import Choices

FIRST_ATTACKS = ("apgd", "pgd")
FIRST_LOSSES = ("margin", "cross-entropy")
FIRST_GRADIENTS = 4
"""How many of the most promising gradients are tried on any model."""


class Sampler:
    """Proposes sentences, and learns from what they scored.

    Parameters
    ----------
    words: the choices.
    kind: ``tpe`` for the tree-structured Parzen estimator of optuna (Bergstra et al. 2011), ``random`` for none.
    steps: of each attack.
    seed: of both.

    Raises
    ------
    AdvplugError: optuna is not installed.
    """

    def __init__(self, words: Words, kind: Literal["tpe", "random"], *, steps: int, seed: int) -> None:
        optuna = require_optuna()
        kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        self.words, self.steps = words, steps
        self._study = optuna.create_study(direction="maximize", sampler=kinds[kind](seed=seed % 2**32))
        for first in first_choices(words):
            self._study.enqueue_trial(first)
        self._asked: deque[Any] = deque()

    def ask(self) -> Sentence:
        """The next sentence; several may be asked for before the first is told."""
        trial = self._study.ask()
        self._asked.append(trial)
        name = trial.suggest_categorical("attack", list(self.words.attacks))
        chosen = {key: _suggested(trial, f"{name}.{key}", space) for key, space in self.words.attacks[name].items()}
        defaults = load(f"attack:{name}")()
        settings = {key: value for key, value in chosen.items() if value != getattr(defaults, key)}
        own_loss = name in self.words.own_loss
        targets = trial.suggest_categorical("targets", list(self.words.targets))
        steps = self.steps if targets is None else max(2, self.steps // 2)  # each target class takes as many
        return Sentence(
            attack=name,
            settings=settings_within(name, settings, steps),
            loss=None if own_loss else trial.suggest_categorical("loss", list(self.words.losses)),
            gradient=trial.suggest_categorical("gradient", list(self.words.gradients)),
            targets=targets,
        )

    def tell(self, score: float) -> None:
        """The score of the sentence that was asked for first and not told yet; more is better."""
        self._study.tell(self._asked.popleft(), score)


def first_choices(words: Words) -> Iterator[dict[str, Any]]:
    """The choices that are worth a trial on any model, in the order in which they are tried.

    Each gradient with APGD and PGD, on the margin and on cross-entropy, and for a detector on the margin and its score
    and on what its samples look like; all with the attack's defaults.
    """
    gradients = list(words.gradients)[:FIRST_GRADIENTS]
    joint = [loss for loss in words.losses if loss.startswith("margin+")][-2:]
    losses = (*joint, *(loss for loss in (*MATCHING, *FIRST_LOSSES) if loss in words.losses))
    attacks = [name for name in FIRST_ATTACKS if name in words.attacks]
    for loss in losses:
        for attack in attacks:
            for gradient in gradients:
                defaults = _defaults(attack, words.attacks[attack])
                yield {"attack": attack, "loss": loss, "gradient": gradient, "targets": None, **defaults}


def _defaults(attack: str, space: Mapping[str, Any]) -> dict[str, Any]:
    instance = load(f"attack:{attack}")()
    return {f"{attack}.{name}": getattr(instance, name) for name in space}


def _suggested(trial: Any, name: str, space: Any) -> Any:
    if isinstance(space, Choices):
        return trial.suggest_categorical(name, list(space.values))
    return trial.suggest_float(name, space.low, space.high, log=True)


def require_optuna() -> Any:
    """The library that samples, without its own log.

    Raises
    ------
    AdvplugError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise AdvplugError("a search needs optuna: pip install 'advplug[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
