"""How clean logit pairing and logit squeezing are broken (Mosbach et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advplug_attack_pgd import PGD
from advplug_attack_standard import Standard

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.interop.art import ArtAttack
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

FOOLBOX, ART = "foolbox", "adversarial-robustness-toolbox"


@dataclass(frozen=True)
class Settings:
    """PGD of one data set: number and size of steps, short and long, and restarts of the long one here and there."""

    short: tuple[int, float]
    long: tuple[int, float]
    restarts: int
    published_restarts: str
    source: str


MNIST = Settings(
    (40, 2.55 / 255), (200, 50 / 255), 50, "10,000", "Mosbach et al. 2018, table 1, MNIST, LeNet, linf 0.3"
)
CIFAR = Settings(
    (10, 2 / 255), (100, 4 / 255), 100, "100", "Mosbach et al. 2018, table 2, CIFAR-10, ResNet-20, linf 16/255"
)

PUBLISHED = {
    "mnist": (0.624, 0.291, 0.041),
    "mnist-lsq": (0.706, 0.390, 0.050),
    "mnist-alp": (0.972, 0.953, 0.899),
    "mnist-at50": (0.956, 0.931, 0.882),
    "mnist-at100": (0.952, 0.927, 0.880),
    "cifar10": (0.028, 0.004, 0.000),
    "cifar10-lsq": (0.270, 0.070, 0.017),
    "cifar10-alp": (0.218, 0.115, 0.105),
    "cifar10-at50": (0.186, 0.080, 0.073),
    "cifar10-at100": (0.160, 0.076, 0.067),
}
"""Robust accuracy under the short PGD, the long one, and the long one with all restarts."""


class BreakLogitPairing(AdaptiveAttack):
    """The losses distort the surface around an image, so that one short run of PGD ends in a local maximum.

    Baselines: one run of PGD on the cross-entropy, at the number and size of steps of the published evaluation, in both
    libraries. For digits these are Foolbox's defaults as well. The intermediate attacks are those that the published
    evaluation ends with; the adaptive one spends the same steps better.
    """

    breaks = "logit-pairing"
    claim = "Pairing or squeezing the logits of clean images makes a network robust without adversarial training."
    lesson = (
        "One run of PGD with default steps measures the attack, not the defense: use large steps and many restarts."
    )

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        settings, (published, _, _) = _settings(preset), _published(preset)
        steps, size = settings.short
        attacks = {
            FOOLBOX: FoolboxAttack("LinfPGD", {"steps": steps, "abs_stepsize": size}),
            ART: ArtAttack("ProjectedGradientDescent", {"max_iter": steps, "eps_step": size, "num_random_init": 1}),
        }
        return [
            Recipe(
                name=f"PGD-{steps}, small steps",
                attack=attack,
                role="baseline",
                library=library,
                published=published,
                source=None if published is None else settings.source,
            )
            for library, attack in attacks.items()
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        settings, (_, once, often) = _settings(preset), _published(preset)
        steps, size = settings.long
        last_iterate = FoolboxAttack("LinfPGD", {"steps": steps, "abs_stepsize": size})
        return [
            Recipe(name="standard", attack=Standard(), role="intermediate"),
            Recipe(
                name=f"PGD-{steps}, large steps",
                attack=last_iterate,
                role="intermediate",
                library=FOOLBOX,
                published=once,
                source=None if once is None else settings.source,
            ),
            Recipe(
                name=f"PGD-{steps}, {settings.restarts} restarts",
                attack=PGD(steps=steps, step_size=size),
                restarts=settings.restarts,
                role="intermediate",
                published=often,
                source=None if often is None else f"{settings.source}, {settings.published_restarts} restarts",
            ),
            Recipe(
                name=f"decaying steps, {settings.restarts} restarts",
                attack=PGD(steps=steps, step_size=threat.epsilon, schedule="cosine"),
                loss=Margin(),
                restarts=settings.restarts,
            ),
        ]


def _settings(preset: str) -> Settings:
    return CIFAR if preset.startswith("cifar10") else MNIST


def _published(preset: str) -> tuple[float | None, float | None, float | None]:
    """The figures that belong to the preset; none for networks that were not evaluated there."""
    return PUBLISHED.get(preset, (None, None, None))
