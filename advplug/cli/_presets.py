"""A plugin and its preset as a user names them, the same in every command: ``kwta:cifar10`` or ``--preset cifar10``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from advplug.errors import InvalidInput
from advplug.plugins.manager import KINDS
from advplug.specs import split_key

if TYPE_CHECKING:
    from advplug.plugins.manager import Manager

preset_option = click.option("--preset", help="Configuration of a defense, as in NAME:PRESET; its first one if absent.")


class Chosen(NamedTuple):
    """A plugin's key, ``kind:name`` or ``distribution:kind:name``, and the preset, None where none is named."""

    key: str
    preset: str | None

    @property
    def name(self) -> str:
        """The plugin's name alone."""
        return self.key.rpartition(":")[2]


def chosen(text: str, preset: str | None, kind: str) -> Chosen:
    """The plugin of ``kind`` that ``text`` names, with or without its kind and a preset.

    Raises
    ------
    InvalidInput: another kind, or two presets.
    """
    distribution, named, name = split_key(text, KINDS)
    if named not in KINDS:
        distribution, named, name = "", kind, text
    if named != kind:
        raise InvalidInput(f"{text} is no {kind}: name one of those that advplug list --kind {kind} shows")
    name, colon, inner = name.partition(":")
    key = f"{distribution}:{kind}:{name}" if distribution else f"{kind}:{name}"
    return Chosen(key, one_of(text, inner if colon else None, preset))


def one_of(text: str, inner: str | None, preset: str | None) -> str | None:
    """The preset in ``text``, or that of the option.

    Raises
    ------
    InvalidInput: they differ.
    """
    if preset is not None and inner not in (None, preset):
        raise InvalidInput(f"{text} names the preset {inner}, --preset {preset} another: leave one of them out")
    return inner if preset is None else preset


def with_preset(model: str, preset: str | None, manager: Manager) -> str:
    """``model`` as ``name:preset`` if it names a defense plugin, with or without its kind; else as it is.

    Raises
    ------
    InvalidInput: a preset for a model that has none, or two presets.
    """
    name = model.removeprefix("defense:")
    first, colon, inner = name.partition(":")
    if colon and not any(spec.name == first for spec in manager.specs("defense")):
        if preset is not None:
            raise InvalidInput(f"--preset {preset}: {model} is no defense plugin, and has no presets: leave it out")
        return model
    found = one_of(model, inner if colon else None, preset)
    return first if found is None else f"{first}:{found}"


def first_preset(defense: Any) -> str:
    """The preset of a defense where none is named."""
    name: str = next(iter(defense.presets))
    return name
