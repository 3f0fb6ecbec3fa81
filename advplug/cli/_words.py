"""``advplug show losses``, ``gradients`` and ``criteria``: the words that ``advplug evaluate`` takes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import click

from advplug.cli import _console
from advplug.cli._lines import folded
from advplug.plugins.manager import default_manager
from advplug.plugins.source import classes_in_source, parameters_in_source
from advplug.spelling.names import FIRST, HOMES, PLUGINS, WITHOUT_WORD, word_of

KINDS = {
    "losses": "Sums with weights are losses, too: 0.5*margin+10*detector-score. OUTER of INNER wraps a loss.",
    "gradients": "OUTER of INNER takes the gradients of one inside another: eot:20 of bpda.",
    "criteria": "NAME & NAME counts what both count.",
}
"""What may be shown, and how these words are put together."""

_GRAMMAR = (
    "NAME:VALUE sets the parameter marked *, NAME(KEY=VALUE, ...) any. package.module:NAME is your own class, instance "
    "or function that returns one."
)
_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")


def show(kind: str, *, as_json: bool) -> None:
    """Print each word with its parameters and the first line of its docstring."""
    pages = _pages(kind)
    if as_json:
        _console.print_json({kind: pages})
        return
    for page in pages:
        click.echo(folded(f"{page['name']}  ", page["summary"], indent=4))
        for name, facts in page["parameters"].items():
            default = "" if facts["required"] else f" = {facts['default']}"
            click.echo(folded("  ", f"{name}{'*' * (name == page['first'])}: {facts['annotation']}{default}", indent=6))
    click.echo()
    click.echo(folded("", f"{KINDS[kind]} {_GRAMMAR}", indent=0))


def _pages(kind: str) -> list[dict[str, Any]]:
    core = list(_of_the_core(kind))
    return [*core, *_of_plugins(kind, {page["name"] for page in core})]


def _of_the_core(kind: str) -> Iterator[dict[str, Any]]:
    base, homes = HOMES[kind]
    for home in homes:
        for name, told in classes_in_source(home, base):
            if name not in WITHOUT_WORD:
                summary = _ROLE.sub(r"\1", told.strip().partition("\n\n")[0]).replace("\n    ", " ")
                yield _page(word_of(name), summary, f"{home}:{name}")


def _of_plugins(kind: str, taken: Collection[str]) -> Iterator[dict[str, Any]]:
    for spec in default_manager().specs(PLUGINS[kind]):
        if spec.name not in taken:
            yield _page(spec.name, spec.summary, spec.factory)


def _page(word: str, summary: str, factory: str) -> dict[str, Any]:
    parameters = parameters_in_source(factory) or {}
    first = FIRST.get(word) or next((one for one in parameters if one != "of"), None)
    return {"name": word, "summary": summary, "first": first, "parameters": parameters}
