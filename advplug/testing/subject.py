"""The plugin under test, as the checks see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar

from advplug.errors import BrokenPlugin
from advplug.plugins.discovery import Provenance
from advplug.plugins.manager import Manager, default_manager
from advplug.specs import PluginSpec

T = TypeVar("T")

BASES = {
    "attack": "advplug.attack:Attack",
    "defense": "advplug.defense:Defense",
    "adaptive": "advplug.adaptive:AdaptiveAttack",
    "data": "advplug.data:Dataset",
    "tracker": "advplug.tracking:Tracker",
    "loss": "advplug.losses:Loss",
    "gradient": "advplug.gradients:GradientEstimator",
    "criterion": "advplug.criteria:Criterion",
}
"""What the factory of each kind must be a subclass of."""


MANY_STEPS = 2000
"""An attack of more takes minutes for all its checks."""


class NotApplicable(Exception):
    """The check says nothing about this plugin; the message says why."""


def require(condition: object, message: str) -> None:
    """Raise AssertionError with ``message`` unless ``condition`` holds; unlike ``assert``, under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


class Subject:
    """One plugin.

    What several checks need is made once. Where making it fails, one check reports that and the others do not apply:
    one fault, one failed check.

    Parameters
    ----------
    key: ``kind:name``, or ``distribution:kind:name``.
    manager: where it is found; None for the installed plugins.
    quick: leave out whatever runs an attack of thousands of steps.
    """

    def __init__(self, key: str, manager: Manager | None = None, *, quick: bool = False) -> None:
        self.key = key
        self.quick = quick
        self.manager = manager or default_manager()
        self._made: dict[Any, Any] = {}

    @property
    def spec(self) -> PluginSpec:
        """What it says about itself."""
        return self.manager.find(self.key)

    @property
    def source(self) -> Provenance:
        """Who brought it."""
        return self.manager.provenance(self.key)

    @property
    def installed(self) -> Provenance:
        """Its source; not applicable to plugins that are no installed distribution."""
        if not self.source.version:
            raise NotApplicable("given in memory: there is no distribution")
        return self.source

    @property
    def base(self) -> type | None:
        """Class that its factory must derive from, None where any callable will do."""
        if self.spec.kind not in BASES:
            return None
        module, _, attribute = BASES[self.spec.kind].partition(":")
        base: type = getattr(import_module(module), attribute)
        return base

    @cached_property
    def factory(self) -> Any:
        """What the factory names, of the right base class."""
        try:
            factory = self.manager.load(self.key)
        except BrokenPlugin as error:
            raise NotApplicable("the plugin does not load: see factory_loads") from error
        if self.base is not None and not (isinstance(factory, type) and issubclass(factory, self.base)):
            raise NotApplicable("the factory is of another class: see factory_loads")
        return factory

    def once(self, kind: Callable[[Subject], T]) -> T:
        """``kind(self)``, made when first asked for and then shared by the checks."""
        if kind not in self._made:
            self._made[kind] = kind(self)
        made: T = self._made[kind]
        return made

    def new(self) -> Any:
        """A fresh instance with the default settings, typed as Any because its class depends on the kind."""
        factory = self.factory
        try:
            made = factory()
        except Exception as error:
            raise NotApplicable("it cannot be constructed: see constructs_with_defaults") from error
        steps = getattr(made, "planned_steps", 0)
        if self.quick and steps > MANY_STEPS:
            raise NotApplicable(f"{steps} steps by default: not quick")
        return made
