"""``advplug show losses``, ``gradients`` and ``criteria``: the words that ``advplug evaluate`` takes."""

from __future__ import annotations

import re
from typing import Any

import click

from advplug.cli import _console
from advplug.cli._lines import folded
from advplug.cli._parameters import parameters_of

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
    from advplug.spelling.words import BASES, component_of, first_parameter, words_of

    base = BASES[kind]
    words = {word: component_of(base, word) for word in words_of(base)}
    return [
        {
            "name": word,
            "summary": _ROLE.sub(r"\1", (found.__doc__ or "").strip().partition("\n\n")[0]).replace("\n    ", " "),
            "first": first_parameter(word, found),
            "parameters": parameters_of(found),
        }
        for word, found in words.items()
        if found is not None
    ]
