"""``advplug show losses`` and ``advplug show gradients``: the words that ``advplug evaluate`` takes."""

from __future__ import annotations

import re
from typing import Any

import click

from advplug.cli import _console
from advplug.cli._lines import folded
from advplug.plugins.source import classes_in_source, parameters_in_source
from advplug.spelling.names import FIRST, HOMES, WITHOUT_WORD, word_of

KINDS = {
    "losses": "Sums with weights are losses, too: 0.5*margin+10*detector-score. OUTER of INNER wraps a loss.",
    "gradients": "OUTER of INNER takes the gradients of one inside another: eot:20 of bpda.",
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
    base, homes = HOMES[kind]
    pages = []
    for home in homes:
        for name, told in classes_in_source(home, base):
            if name in WITHOUT_WORD:
                continue
            word, parameters = word_of(name), parameters_in_source(f"{home}:{name}") or {}
            pages.append(
                {
                    "name": word,
                    "summary": _ROLE.sub(r"\1", told.strip().partition("\n\n")[0]).replace("\n    ", " "),
                    "first": FIRST.get(word) or next((one for one in parameters if one != "of"), None),
                    "parameters": parameters,
                }
            )
    return pages
