"""A class for each attack of Foolbox, made when it is first asked for."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import foolbox

from advplug.errors import InvalidInput
from advplug.interop.foolbox import FoolboxAttack
from advplug_attack_foolbox._catalogue import CATALOGUE

FROM_ELSEWHERE = {"distance", "tensorboard"}
"""Parameters of Foolbox that are not the user's here: the threat model says how perturbations are measured."""


class BridgedFoolboxAttack(FoolboxAttack):
    """An attack of Foolbox by its own name and with its own parameters; see :class:`FoolboxAttack`."""

    name: ClassVar[str]
    __signature__: ClassVar[inspect.Signature]

    def __init__(self, **parameters: Any) -> None:
        if unknown := parameters.keys() - self.__signature__.parameters.keys():
            raise InvalidInput(f"foolbox.attacks.{self.name} has no parameters {sorted(unknown)} here")
        entry = CATALOGUE.entries.get(self.name)
        super().__init__(self.name, {**(entry.defaults if entry else {}), **parameters})

    def parameters(self) -> dict[str, Any]:
        """All of them, those of which Foolbox has the value included."""
        return {
            name: self.parameters_.get(name, parameter.default)
            for name, parameter in self.__signature__.parameters.items()
        }


def __getattr__(name: str) -> type[BridgedFoolboxAttack]:
    kind = None if name.startswith("_") else getattr(foolbox.attacks, name, None)
    if not isinstance(kind, type) or name in CATALOGUE.left_out:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    entry = CATALOGUE.entries.get(name)
    defaults = {} if entry is None else entry.defaults
    signature = inspect.Signature(
        [
            parameter.replace(
                kind=inspect.Parameter.KEYWORD_ONLY, default=defaults.get(parameter.name, parameter.default)
            )
            for parameter in inspect.signature(kind).parameters.values()
            if parameter.name not in FROM_ELSEWHERE
        ]
    )
    members = {"__doc__": kind.__doc__, "__module__": __name__, "__signature__": signature, "name": name}
    made = globals()[name] = type(name, (BridgedFoolboxAttack,), members)  # kept: pickle asks for the same class again
    return made
