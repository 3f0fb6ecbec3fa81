"""What a plugin says about itself: frozen, cheap to build, loadable later."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any, ClassVar

from advplug.errors import InvalidSpec

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
BRIDGED = re.compile(rf"{NAME.pattern}:[A-Z]\w*", re.ASCII)
"""Another library's attack by its own name, such as ``foolbox:LinfPGD``."""
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
TYPES: dict[str, type] = {"api": int, "tags": frozenset, "uses_attacks": tuple}
"""Types of the fields that are no str; the items of the last two are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """Identity card of one plugin.

    Parameters
    ----------
    name: unique within its kind, lower case with dashes, as users type it.
    factory: ``"package.module:attribute"``, imported only by :meth:`load`.
    summary: one line.
    reference: title, venue and year of the source (arXiv id where there is one).
    api: version of :data:`advplug.hookspecs.API_VERSION` the plugin was written for.
    tags: capabilities in the field's terms, such as ``linf``, ``targeted``, ``stochastic``.

    Raises
    ------
    InvalidSpec: if a field does not have that form.
    """

    kind: ClassVar[str] = "plugin"

    name: str
    factory: str
    summary: str
    reference: str
    api: int = 1
    tags: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for own in fields(self):
            _check_type(own.name, getattr(self, own.name))
        if self.bridged and not BRIDGED.fullmatch(self.name):
            raise InvalidSpec(f"plugin name {self.name!r}: write library:ClassName, like art:SquareAttack")
        if not self.bridged and not NAME.fullmatch(self.name):
            raise InvalidSpec(f"plugin name {self.name!r}: use lower-case letters, digits and single dashes")
        if not FACTORY.fullmatch(self.factory):
            raise InvalidSpec(f"factory {self.factory!r} of {self.name!r}: write 'package.module:attribute'")
        if not self.summary.strip() or "\n" in self.summary:
            raise InvalidSpec(f"summary of {self.name!r}: write exactly one line")

    @property
    def bridged(self) -> bool:
        """Whether it is one of many attacks that a bridge brings from another library, named ``library:ClassName``."""
        return False

    @property
    def key(self) -> str:
        """``kind:name``, the form :func:`advplug.load` takes."""
        return f"{self.kind}:{self.name}"

    def load(self) -> Any:
        """Import the factory and return it."""
        return imported(self.factory)


def imported(factory: str) -> Any:
    """What ``"package.module:attribute"`` names."""
    module, _, attribute = factory.partition(":")
    return getattr(import_module(module), attribute)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackSpec(PluginSpec):
    """An attack; the factory is an :class:`advplug.Attack` class.

    ``library`` is empty, or the distribution of another library whose attack this is. Its name is then
    ``library:ClassName`` with a short name of that library, such as ``art:SquareAttack``, and its distribution
    ``advplug-attack-art`` brings all of them.
    """

    kind: ClassVar[str] = "attack"

    library: str = ""

    @property
    def bridged(self) -> bool:
        return bool(self.library)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefenseSpec(PluginSpec):
    """A defense; the factory is an :class:`advplug.Defense` class."""

    kind: ClassVar[str] = "defense"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSpec(PluginSpec):
    """An adaptive attack: ``breaks`` names its defense, ``uses_attacks`` the attacks it needs."""

    kind: ClassVar[str] = "adaptive"

    breaks: str
    uses_attacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(PluginSpec):
    """A data set; the factory is an :class:`advplug.Dataset` class."""

    kind: ClassVar[str] = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSpec(PluginSpec):
    """A tracker; the factory is an :class:`advplug.tracking.Tracker` class, called with the text of its target."""

    kind: ClassVar[str] = "tracker"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec(PluginSpec):
    """A loss; the factory is an :class:`advplug.losses.Loss` class, and the name is the word that spells it."""

    kind: ClassVar[str] = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientSpec(PluginSpec):
    """A gradient estimator; the factory is an :class:`advplug.gradients.GradientEstimator` class, the name its word."""

    kind: ClassVar[str] = "gradient"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionSpec(PluginSpec):
    """A criterion; the factory is an :class:`advplug.criteria.Criterion` class, and the name is its word."""

    kind: ClassVar[str] = "criterion"


def _check_type(name: str, value: object) -> None:
    """Refuse a wrong type here, where the plugin makes its spec, and not in whatever command reads the field."""
    kind = TYPES.get(name, str)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidSpec(f"{name} of a plugin is {value!r}, not of type {kind.__name__}")
    if isinstance(value, frozenset | tuple) and not all(isinstance(item, str) for item in value):
        raise InvalidSpec(f"{name} of a plugin is {value!r}: its items must be of type str")


def split_key(key: str, kinds: Collection[str]) -> tuple[str, str, str]:
    """Distribution, kind and name in a key, each "" where it is missing: of ``kind:name`` and ``dist:kind:name``.

    A name may hold a colon, ``attack:foolbox:LinfPGD``, so the kind is looked for; where there is none of ``kinds`` the
    parts are counted from the end.
    """
    parts = key.split(":")
    for position in (0, 1):
        if len(parts) > position + 1 and parts[position] in kinds:
            return ":".join(parts[:position]), parts[position], ":".join(parts[position + 1 :])
    front, _, name = key.rpartition(":")
    distribution, _, kind = front.rpartition(":")
    return distribution, kind, name
