"""An adaptive attack has four components; an adaptive plugin says which ones break one defense."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from advplug.attack import Attack
from advplug.criteria import Criterion
from advplug.gradients import Exact, GradientEstimator
from advplug.losses import Loss
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

Role = Literal["baseline", "intermediate", "control", "adaptive", "attack"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One attack, spelled out: its four components, and how often it is run.

    Parameters
    ----------
    name: as it stands in tables.
    attack, loss, gradient, criterion: the components; no loss means the attack's own, no criterion the goal of the
        threat model.
    targets: None, ``"each"`` for every other class in turn, or a function from labels (N,) to the target of each.
    num_targets: how many of the likeliest other classes to try in turn, instead of ``targets``.
    targets_at_once: how many of these share a batch; see :class:`advplug.attack.Options`.
    restarts: independent runs, later ones on survivors only.
    role: ``baseline`` (the evaluation the defense's authors ran), ``intermediate``, ``control`` (run ``on`` the network
        without the defense: what there is to lose), ``adaptive``, or ``attack`` where none is adapted to the model.
    on: another model that the attack is run on, and judged by; None for the defended one.
    library: distribution whose attack it is.
    published: robust accuracy in [0, 1] that the source reports for this attack, None where it reports none.
    source: where that figure stands.
    """

    name: str
    attack: Attack
    loss: Loss | None = None
    gradient: GradientEstimator = field(default_factory=Exact)
    criterion: Criterion | None = None
    targets: Literal["each"] | Callable[[Tensor], Tensor] | None = None
    num_targets: int | None = None
    targets_at_once: int = 1
    restarts: int = 1
    role: Role = "adaptive"
    on: DefendedModel | None = None
    library: str = "advplug"
    published: float | None = None
    source: str | None = None

    def components(self) -> dict[str, str]:
        """The components as text, for records; two recipes of equal components run alike."""
        names = ("attack", "gradient", "criterion", "targets", "restarts")
        loss = self.loss or self.attack.default_loss
        text = {"attack": repr(self.attack), "loss": repr(loss)} | {name: repr(getattr(self, name)) for name in names}
        if self.num_targets is not None:
            text["num_targets"] = repr(self.num_targets)
        if self.targets_at_once > 1:
            text["targets_at_once"] = repr(self.targets_at_once)
        return text if self.on is None else text | {"on": type(self.on).__name__}


class AdaptiveAttack(ABC):
    """An adaptive plugin: nearly all declaration.

    ``claim`` is what the defense's authors claim, in one sentence, and ``lesson`` what the break teaches.
    """

    breaks: ClassVar[str]
    claim: ClassVar[str]
    lesson: ClassVar[str]

    @abstractmethod
    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        """The weak evaluation: other libraries' attacks at the settings of the defense's authors."""

    @abstractmethod
    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        """Intermediate attempts, controls and, last, the attack that breaks the defense."""
