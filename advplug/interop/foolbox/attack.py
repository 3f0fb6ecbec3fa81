"""Foolbox's attacks as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import foolbox
import torch
from foolbox.attacks import hop_skip_jump
from foolbox.attacks.base import FixedEpsilonAttack, MinimizationAttack
from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
from foolbox.attacks.ead import EADAttack
from foolbox.criteria import Misclassification, TargetedMisclassification
from foolbox.models.base import Model
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor

from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.errors import InvalidInput
from advplug.interop.external import ExternalError, Part, run_external
from advplug.interop.foolbox.norms import norm_of
from advplug.threat import Norm

_NEVER_FOUND_IS_ZERO = (L2CarliniWagnerAttack, EADAttack)
_CLIPS_TO_UNIT = tuple(
    vars(hop_skip_jump)[name] for name in ("HopSkipJumpAttack", "HopSkipJump") if name in vars(hop_skip_jump)
)  # the second is its name before Foolbox 3.3.3
_UNIT = (0.0, 1.0)


class FoolboxAttack(Attack):
    """Any fixed-epsilon or minimization attack of Foolbox.

    Foolbox decides where to search; the engine counts every pass, judges what it returns by a fresh decision, and
    ignores its ``success``. Two faults of Foolbox 3.3 are mended on the way: the all-zero images that Carlini-Wagner
    and EAD return for samples they never broke count as failures, and HopSkipJump, which clips to [0, 1] whatever the
    bounds, runs on inputs rescaled to that range. It sees scores alone, so it does not know what a detector rejects.

    Random numbers are Foolbox's own: they are drawn for whole batches from torch's global generator, which the engine
    seeds and restores; results depend on the batch size.

    Parameters
    ----------
    attack: a Foolbox attack, or the name of one in ``foolbox.attacks``.
    parameters: its constructor arguments, if ``attack`` is a name.

    Raises
    ------
    InvalidInput: unknown name, wrong parameters, or an attack of another kind.
    ExternalError: Foolbox misses a package, such as numba for Brendel-Bethge.
    """

    fixed_loss = True

    def __init__(self, attack: Any, parameters: Mapping[str, Any] | None = None) -> None:
        self.attack = attack
        self.parameters_ = dict(parameters or {})
        self._external = _make(attack, self.parameters_)

    @property
    def norms(self) -> tuple[str, ...]:
        norm = _measured_norm(self._external)
        return get_args(Norm) if norm is None else (norm,)

    @property
    def minimum_norm(self) -> bool:
        return isinstance(self._external, MinimizationAttack)

    def parameters(self) -> dict[str, Any]:
        return {"attack": self.attack, "parameters": self.parameters_}

    def run(self, task: Task) -> None:
        run_external(
            task, f"Foolbox's {type(self._external).__name__}", lambda part: self._search(part, task.threat.bounds)
        )

    def _search(self, part: Part, bounds: tuple[float, float]) -> Tensor:
        model: Model = PyTorchModel(part.model, bounds=bounds, device=part.inputs.device)
        low, width = 0.0, 1.0
        if isinstance(self._external, _CLIPS_TO_UNIT) and tuple(bounds) != _UNIT:
            low, width = bounds[0], bounds[1] - bounds[0]
            model = model.transform_bounds(_UNIT)
        options: dict[str, Any] = {}
        if part.starting_points is not None:
            options["starting_points"] = (
                ((part.starting_points - low) / width).clamp(0, 1) if width != 1 else part.starting_points
            )
        epsilon = None if part.epsilon is None else part.epsilon / width
        options["early_stop" if self.minimum_norm else "epsilon"] = epsilon
        inputs = part.inputs if (low, width) == _UNIT else ((part.inputs - low) / width).clamp(0, 1)
        goal = Misclassification(part.labels) if part.targets is None else TargetedMisclassification(part.targets)
        found = cast(Tensor, self._external.run(model, inputs, goal, **options))
        if isinstance(self._external, _NEVER_FOUND_IS_ZERO):
            zero = ~found.flatten(1).any(1)
            found = torch.where(zero.view(-1, *(1,) * (found.ndim - 1)), inputs, found)
        return found * width + low if (low, width) != _UNIT else found


def _make(attack: Any, parameters: dict[str, Any]) -> Any:
    if isinstance(attack, str):
        kind = getattr(foolbox.attacks, attack, None)
        if kind is None:
            raise InvalidInput(f"foolbox.attacks has no {attack!r}")
        try:
            attack = kind(**parameters)
        except ImportError as error:
            raise ExternalError(f"Foolbox's {kind.__name__} needs a package that is not installed: {error}") from error
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"foolbox.attacks.{kind.__name__}: {error}") from error
    elif parameters:
        raise InvalidInput("parameters belong to the name of an attack: this one has its own already")
    if not isinstance(attack, FixedEpsilonAttack | MinimizationAttack):
        kind = getattr(attack, "__name__", type(attack).__name__)
        raise InvalidInput(f"{kind}: give a FixedEpsilonAttack or MinimizationAttack; for repeats use restarts")
    return attack


def _measured_norm(attack: Any) -> Norm | None:
    """The norm of a Foolbox attack; None if it was left open or is none of ours."""
    try:
        return norm_of(attack.distance)
    except (ValueError, AttributeError):  # how Foolbox says that no distance was given; PointwiseAttack forgets to
        return None
