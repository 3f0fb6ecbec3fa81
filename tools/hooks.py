"""Write docs/hooks.md: every hook of advplug/hookspecs.py with its signature, its kind and its docstring.

usage: python tools/hooks.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from advplug import hookspecs
from advplug.plugins.manager import COLLECTING

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "hooks.md"
HEAD = f"""# Hooks

A hook is a function that a plugin implements and that advplug calls. This page lists all hooks of version
{hookspecs.API_VERSION} of the interface. A plugin implements the hooks that it needs, marks each with
`@advplug.hookimpl`, and names their module in the entry-point group `advplug` of its `pyproject.toml`:

```toml
[project.entry-points.advplug]
attack-NAME = "advplug_attack_NAME"
```

An implementation declares the arguments that it uses, by the names below. It can leave out the others. If it raises an
error, only its own plugin fails, and `advplug doctor` shows the error. The hooks that collect plugins run at every
start of advplug. They must be quick and must not import torch, so a spec names its `factory` as text. advplug never
calls a hook once per batch or once per step.

`python tools/hooks.py` writes this page from `advplug/hookspecs.py`.
"""


def hooks() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Name, function and kind of each hook, in the order of the file."""
    for name, function in vars(hookspecs).items():
        options = getattr(function, "advplug_spec", None)
        if options is not None:
            yield name, function, kind_of(name, function)


def kind_of(name: str, function: Callable[..., Any]) -> str:
    """What the host does with the results."""
    if name in COLLECTING:
        return f"Collecting: all results are joined. Each `{COLLECTING[name].__name__}` is a plugin of the kind " + (
            f"`{COLLECTING[name].kind}`."
        )
    if str(inspect.signature(function).return_annotation).startswith("Iterable"):
        return "Collecting: all results are joined."
    return "The first result that is not None is taken."


def signature_of(thing: Callable[..., Any]) -> str:
    """The signature as it is written, its annotations without quotes."""
    return str(inspect.signature(thing)).replace("'", "")


def render() -> str:
    """The text of the page."""
    parts = [HEAD]
    for name, function, kind in hooks():
        text = (inspect.getdoc(function) or "").replace("``", "`")
        parts.append(f"\n## {name}\n\n`{name}{signature_of(function)}`\n\n{text}\n\n{kind}\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
