"""A class for each evasion attack of ART, made when it is first asked for."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any, ClassVar

import art.attacks.evasion
import torch
from torch import Tensor, nn

from advplug.attack import Task
from advplug.errors import InvalidInput
from advplug.interop import ExternalError, Part
from advplug.interop.art import ArtAttack
from advplug_attack_art._catalogue import CATALOGUE

FROM_ELSEWHERE = {
    "estimator", "classifier", "eps", "norm", "targeted", "batch_size", "verbose", "summary_writer",
}  # fmt: skip
"""Parameters of ART that are not the user's here: model, threat model, goal and batch say them."""


ONE_AT_A_TIME = {"ShadowAttack"}
"""Attacks that refuse more than one image."""

WANT_PROBABILITIES = {"SimBA", "VirtualAdversarialMethod"}
"""Attacks that refuse logits; they see the softmax of the model's."""


class BridgedArtAttack(ArtAttack):
    """An attack of ART by its own name and with its own parameters; see :class:`ArtAttack`."""

    name: ClassVar[str]
    __signature__: ClassVar[inspect.Signature]

    def __init__(self, **parameters: Any) -> None:
        entry = CATALOGUE.entries.get(self.name)
        if entry is not None and not entry.installed:  # ART says so only after half of the search, or not at all
            raise ExternalError(
                f"ART's {self.name} needs {entry.needs}, which is not installed: pip install {entry.needs}"
            )
        if unknown := parameters.keys() - self.__signature__.parameters.keys():
            raise InvalidInput(f"art.attacks.evasion.{self.name} has no parameters {sorted(unknown)} here")
        super().__init__(self.name, {**(entry.defaults if entry else {}), **parameters})

    @property
    def norms(self) -> tuple[str, ...]:
        entry = CATALOGUE.entries.get(self.name)
        return super().norms if entry is None else entry.norms

    def _search(self, part: Part, task: Task) -> Tensor:
        if self.name in WANT_PROBABILITIES:
            part = replace(part, model=nn.Sequential(part.model, nn.Softmax(1)))  # type: ignore[arg-type]
        if self.name not in ONE_AT_A_TIME:
            return super()._search(part, task)
        rows = ("inputs", "labels", "targets", "starting_points")
        found = []
        for i in range(len(part.labels)):
            values = {name: getattr(part, name) for name in rows}
            single: dict[str, Any] = {
                name: None if value is None else value[i : i + 1] for name, value in values.items()
            }
            found.append(super()._search(replace(part, **single), task))
        return torch.cat(found)

    def parameters(self) -> dict[str, Any]:
        """All of them, those of which ART has the value included."""
        return {
            name: self.parameters_.get(name, parameter.default)
            for name, parameter in self.__signature__.parameters.items()
        }


def __getattr__(name: str) -> type[BridgedArtAttack]:
    kind = getattr(art.attacks.evasion, name, None)
    entry = CATALOGUE.entries.get(name)
    missing = kind is None and entry is not None and not entry.installed  # ART does not export it then
    if name.startswith("_") or name in CATALOGUE.left_out or not (missing or isinstance(kind, type)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    defaults = {} if entry is None else entry.defaults
    signature = inspect.Signature(
        [
            parameter.replace(
                kind=inspect.Parameter.KEYWORD_ONLY, default=defaults.get(parameter.name, parameter.default)
            )
            for parameter in (() if kind is None else inspect.signature(kind).parameters.values())
            if parameter.name in defaults or parameter.name not in FROM_ELSEWHERE
        ]
    )
    members = {
        "__doc__": getattr(kind, "__doc__", None), "__module__": __name__, "__signature__": signature, "name": name,
    }  # fmt: skip
    made = globals()[name] = type(name, (BridgedArtAttack,), members)  # kept: pickle asks for the same class again
    return made
