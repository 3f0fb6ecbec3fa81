"""``advplug show NAME``: what specs and sources say, so that it imports torch only with ``--full``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from advplug.cli import _console, _words
from advplug.cli._lines import folded
from advplug.cli._parameters import parameters_of
from advplug.cli._presets import one_of, preset_option
from advplug.errors import BrokenPlugin, InvalidInput
from advplug.plugins.manager import KINDS, Manager, default_manager
from advplug.plugins.source import parameters_in_source, presets_in_source
from advplug.specs import AdaptiveSpec, AttackSpec, PluginSpec, split_key

_BESIDE = ("key", "kind", "name", "summary", "parameters", "presets")
"""What is not shown as one of the facts."""


@click.command("show")
@click.argument("name")
@preset_option
@click.option("--full", is_flag=True, help="Import the plugin, and show what its source alone does not tell.")
@_console.json_option
def command(name: str, preset: str | None, full: bool, as_json: bool) -> None:
    """Show the plugins called NAME: ead (of any kind), attack:ead, distribution:attack:ead, or foolbox:LinfPGD.

    kwta:cifar10 shows one preset of a defense. NAME may also be losses, gradients or criteria: the words that
    --losses, --gradients and --criterion of advplug evaluate take.
    """
    if name in _words.KINDS:
        _words.show(name, as_json=as_json)
        return
    manager = default_manager()
    key, preset = _without_preset(manager, name, preset)
    keys = [spec.key for spec in manager.specs() if key == spec.name] or [key]
    broken: list[BrokenPlugin] = []
    pages = [_describe(manager, key, broken, full=full) for key in keys]
    if preset is not None:
        pages = [_with_one(page, preset) for page in pages if page["kind"] == "defense"]
        if not pages:
            raise InvalidInput(f"{key} has no presets: leave {preset} out")
    if as_json:
        _console.print_json({"plugins": pages})
    else:
        click.echo("\n".join(line for page in pages for line in _lines(page)))
    if broken:  # what is known without importing it has been shown; now say what is wrong
        raise broken[0]


def _without_preset(manager: Manager, name: str, preset: str | None) -> tuple[str, str | None]:
    """The plugin and the preset: of ``kwta:cifar10``, which is the name of none, the parts."""
    distribution, kind, rest = split_key(name, KINDS)
    if kind not in KINDS:
        distribution, kind, rest = "", "", name
    first, colon, inner = rest.partition(":")
    if not colon or kind not in ("", "defense") or any(spec.name == rest for spec in manager.specs()):
        return name, preset
    if not any(spec.name == first for spec in manager.specs("defense")):
        return name, preset
    return ":".join(part for part in (distribution, kind, first) if part), one_of(name, inner, preset)


def _with_one(page: dict[str, Any], preset: str) -> dict[str, Any]:
    """``page`` with one of its presets.

    Raises
    ------
    InvalidInput: it has no such.
    """
    known = page["presets"] or {}
    if preset not in known:
        raise InvalidInput(f"no preset {preset!r}: choose one of {', '.join(known)}")
    return {**page, "presets": {preset: known[preset]}}


def _describe(manager: Manager, key: str, broken: list[BrokenPlugin], *, full: bool) -> dict[str, Any]:
    """Everything known of a plugin; ``parameters`` and ``presets`` are null where they are not known."""
    spec, source = manager.find(key), manager.provenance(key)
    page = {
        "key": spec.key,
        "kind": spec.kind,
        "name": spec.name,
        "summary": spec.summary,
        "reference": spec.reference,
        "tags": sorted(spec.tags),
        "factory": spec.factory,
        "api": spec.api,
        **{name: value for name, value in asdict(source).items() if value != ""},
        **_pairs(manager, spec),
        "parameters": None,
        "presets": None,
    }
    parameters: dict[str, dict[str, Any]] | None
    presets: Mapping[str, Any] | None
    if full or spec.factory.partition(":")[0] in sys.modules:
        try:
            factory = manager.load(key)
        except BrokenPlugin as error:
            broken.append(error)
            return page
        parameters, presets = parameters_of(factory), getattr(factory, "presets", None)
    else:
        parameters = parameters_in_source(spec.factory)
        presets = presets_in_source(spec.factory) if spec.kind == "defense" else None
    shown = {name: _preset(preset) for name, preset in presets.items()} if isinstance(presets, Mapping) else None
    return {**page, "parameters": parameters, "presets": shown}


def _pairs(manager: Manager, spec: PluginSpec) -> dict[str, Any]:
    """What it breaks and which attacks it uses; for a defense who breaks it, for an attack who uses it."""
    adaptive = manager.specs("adaptive")
    if isinstance(spec, AdaptiveSpec):
        return {"breaks": f"defense:{spec.breaks}", "uses_attacks": [f"attack:{name}" for name in spec.uses_attacks]}
    if spec.kind == "defense":
        return {"broken_by": [other.key for other in adaptive if other.breaks == spec.name]}
    if spec.kind == "attack":
        library = {"library": spec.library} if isinstance(spec, AttackSpec) and spec.library else {}
        return {**library, "used_by": [other.key for other in adaptive if spec.name in other.uses_attacks]}
    return {}


def _preset(preset: Any) -> dict[str, Any]:
    return {
        "summary": preset.summary,
        "data": f"data:{preset.data}",
        "threat": str(preset.threat),
        "weights": None if preset.weights is None else str(preset.weights),
    }


def _lines(page: Mapping[str, Any]) -> Iterator[str]:
    """The page for people."""
    head = folded(f"{page['key']}  ", page["summary"], indent=2)
    yield click.style(page["key"], bold=True) + head.removeprefix(page["key"])
    facts = {name.replace("_", " "): value for name, value in page.items() if name not in _BESIDE}
    shown = {name: value for name, value in facts.items() if value not in ("", [], (), None)}
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
        yield folded(f"  {name:<{width}}", text, indent=width + 2)
    for name, facts_of in (page["parameters"] or {}).items():
        annotation = f": {facts_of['annotation']}" if facts_of["annotation"] else ""
        default = "" if facts_of["required"] else f" = {facts_of['default']!r}"
        yield folded("  ", f"parameter {name}{annotation}{default}", indent=6)
    for name, preset in (page["presets"] or {}).items():
        weights = "weights shipped" if preset["weights"] else "no weights shipped"
        told = f"{preset['summary']} ({preset['data']}, {preset['threat']}, {weights})"
        yield folded("  ", f"preset {name}: {told}", indent=6)
    missing = [what for what in ("parameters", "presets") if _untold(page, what)]
    if missing:
        yield folded("  ", f"for its {' and '.join(missing)}: advplug show --full {page['key']}", indent=6)
    yield ""


def _untold(page: Mapping[str, Any], what: str) -> bool:
    """Whether a plugin of this kind has such, and they are not known."""
    return page[what] is None and (what == "parameters" or page["kind"] == "defense")
