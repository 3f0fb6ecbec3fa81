"""What a plugin says about itself: frozen, cheap to build, loadable later."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any, ClassVar

from advplug.errors import InvalidSpec

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
TYPES: dict[str, type] = {"api": int, "tags": frozenset, "drives": tuple}
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
        if not NAME.fullmatch(self.name):
            raise InvalidSpec(f"plugin name {self.name!r}: use lower-case letters, digits and single dashes")
        if not FACTORY.fullmatch(self.factory):
            raise InvalidSpec(f"factory {self.factory!r} of {self.name!r}: write 'package.module:attribute'")
        if not self.summary.strip() or "\n" in self.summary:
            raise InvalidSpec(f"summary of {self.name!r}: write exactly one line")

    @property
    def key(self) -> str:
        """``kind:name``, the form :func:`advplug.load` takes."""
        return f"{self.kind}:{self.name}"

    def load(self) -> Any:
        """Import the factory and return it."""
        module, _, attribute = self.factory.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackSpec(PluginSpec):
    """An attack; the factory is an :class:`advplug.Attack` class."""

    kind: ClassVar[str] = "attack"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefenseSpec(PluginSpec):
    """A defense; the factory is an :class:`advplug.Defense` class."""

    kind: ClassVar[str] = "defense"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSpec(PluginSpec):
    """An adaptive attack: ``breaks`` names its defense, ``drives`` the attacks it uses."""

    kind: ClassVar[str] = "adaptive"

    breaks: str
    drives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(PluginSpec):
    """A data set; the factory is an :class:`advplug.Dataset` class."""

    kind: ClassVar[str] = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec(PluginSpec):
    """Another library's attack, called as that library's users call it; ``library`` names the distribution."""

    kind: ClassVar[str] = "baseline"

    library: str


def _check_type(name: str, value: object) -> None:
    """Refuse a wrong type here, where the plugin makes its spec, and not in whatever command reads the field."""
    kind = TYPES.get(name, str)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidSpec(f"{name} of a plugin is {value!r}, not of type {kind.__name__}")
    if isinstance(value, frozenset | tuple) and not all(isinstance(item, str) for item in value):
        raise InvalidSpec(f"{name} of a plugin is {value!r}: its items must be of type str")
