"""Attacks as a user names them: plugins, losses and ``--set`` texts."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from advplug.errors import InvalidInput
from advplug.manager import Manager

if TYPE_CHECKING:
    from advplug.adaptive import Recipe

LOSSES = {
    "cross-entropy": "CrossEntropy",
    "margin": "Margin",
    "dlr": "DLR",
    "targeted-dlr": "TargetedDLR",
    "logit": "Logit",
    "multi-target-logit": "MultiTargetLogit",
}


def read_recipes(
    attacks: Sequence[str],
    losses: Sequence[str],
    *,
    settings: Sequence[str],
    restarts: int,
    targets: Literal["each"] | None,
    manager: Manager,
) -> list[Recipe]:
    """Each attack plugin with each loss; ``settings`` are texts like ``pgd.steps=100``.

    Raises
    ------
    UnknownPlugin: no such attack.
    InvalidInput: no such loss or parameter, or a value that the attack refuses.
    """
    from advplug import losses as library
    from advplug.adaptive import Recipe

    chosen = _settings(settings, attacks)
    for loss in losses:
        if loss not in LOSSES:
            raise InvalidInput(f"no loss {loss!r}{_near(loss, LOSSES)}: choose among {', '.join(LOSSES)}")
    found = []
    for name in attacks:
        attack = _attack(name, manager.load(f"attack:{name}"), chosen.get(name, {}))
        for loss in losses:
            title = name if len(losses) == 1 else f"{name}, {loss}"
            # None of these was made for the model at hand: they are the baseline that an adaptive attack has to beat.
            word = getattr(library, LOSSES[loss])()
            found.append(
                Recipe(name=title, attack=attack, loss=word, targets=targets, restarts=restarts, role="baseline")
            )
    return found


def _attack(name: str, factory: Any, settings: Mapping[str, str]) -> Any:
    known = inspect.signature(factory).parameters
    for key in settings:
        if key not in known:
            raise InvalidInput(f"--set {name}.{key}: {name} has no such parameter{_near(key, known)}")
    try:
        return factory(**{key: _value(text) for key, text in settings.items()})
    except TypeError as error:
        raise InvalidInput(f"--set for {name}: {error}") from error


def _settings(texts: Sequence[str], attacks: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        attack, dot, key = left.strip().rpartition(".")
        if not equals or not dot:
            raise InvalidInput(f"--set {text}: write ATTACK.NAME=VALUE, such as pgd.steps=100")
        if attack not in attacks:
            raise InvalidInput(f"--set {text}: {attack} is not among --attacks{_near(attack, attacks)}")
        found.setdefault(attack, {})[key] = value.strip()
    return found


def _value(text: str) -> Any:
    """A Python literal, ``true``, ``false`` or ``none`` in any case, a fraction, or else the text itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for read in (ast.literal_eval, lambda fraction: float(Fraction(fraction))):
        try:
            return read(text)
        except (ValueError, SyntaxError, ZeroDivisionError):
            continue
    return text


def _near(name: str, known: Iterable[str]) -> str:
    return "".join(f" (did you mean {match}?)" for match in get_close_matches(name, list(known), n=1))
