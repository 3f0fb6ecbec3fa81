"""``advplug show NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from advplug.cli import _console, _words
from advplug.cli._parameters import parameters_of
from advplug.errors import BrokenPlugin
from advplug.plugins.manager import Manager, default_manager
from advplug.specs import AdaptiveSpec, AttackSpec, PluginSpec


@click.command("show")
@click.argument("name")
@_console.json_option
def command(name: str, as_json: bool) -> None:
    """Show the plugins called NAME: ead (of any kind), attack:ead, distribution:attack:ead, or foolbox:LinfPGD.

    NAME may also be losses or gradients: the words that --losses and --gradients of advplug evaluate take.
    """
    if name in _words.KINDS:
        _words.show(name, as_json=as_json)
        return
    manager = default_manager()
    keys = [spec.key for spec in manager.specs() if name == spec.name] or [name]
    broken: list[BrokenPlugin] = []
    pages = [_describe(manager, key, broken) for key in keys]
    if as_json:
        _console.print_json({"plugins": pages})
    else:
        for page in pages:
            _print(page)
    if broken:  # what is known without importing it has been shown; now say what is wrong
        raise broken[0]


def _describe(manager: Manager, key: str, broken: list[BrokenPlugin]) -> dict[str, Any]:
    """Everything known of a plugin; ``parameters`` and ``presets`` are null if it cannot be imported."""
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
    try:
        factory = manager.load(key)
    except BrokenPlugin as error:
        broken.append(error)
        return page
    presets = getattr(factory, "presets", None)
    return {
        **page,
        "parameters": parameters_of(factory),
        "presets": {name: _preset(preset) for name, preset in presets.items()}
        if isinstance(presets, Mapping)
        else None,
    }


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


def _print(page: Mapping[str, Any]) -> None:
    from rich.table import Table

    console = _console.out()
    console.print(f"[bold]{page['key']}[/bold]  {page['summary']}", markup=True)
    facts = Table.grid(padding=(0, 2))
    for name, value in page.items():
        if name in ("key", "kind", "name", "summary", "parameters", "presets") or value in ("", [], (), None):
            continue
        text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
        facts.add_row(f"  {name.replace('_', ' ')}", _escape(text))
    console.print(facts)
    for name, facts_of in (page["parameters"] or {}).items():
        annotation = f": {facts_of['annotation']}" if facts_of["annotation"] else ""
        default = "" if facts_of["required"] else f" = {facts_of['default']!r}"
        console.print(_escape(f"  parameter {name}{annotation}{default}"))
    for name, preset in (page["presets"] or {}).items():
        weights = "weights shipped" if preset["weights"] else "no weights shipped"
        console.print(
            _escape(f"  preset {name}: {preset['summary']} ({preset['data']}, {preset['threat']}, {weights})")
        )
    console.print()


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
