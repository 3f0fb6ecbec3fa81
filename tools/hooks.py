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

Every function that the host calls in a plugin; version {hookspecs.API_VERSION} of the interface. A plugin writes those
it needs, marks each with `@advplug.hookimpl`, and names their module in the entry-point group `advplug` of its
`pyproject.toml`:

```toml
[project.entry-points.advplug]
attack-NAME = "advplug_attack_NAME"
```

A hook takes any of the arguments below, by name. One that raises costs its own plugin alone and shows in
`advplug doctor`. The collecting hooks that bring plugins run whenever advplug starts: they must be quick and must not
import torch, which is why a spec names its `factory` as text. No hook is called once per batch or step.

Written by `python tools/hooks.py` from `advplug/hookspecs.py`.
"""


def hooks() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Name, function and kind of each hook, in the order of the file."""
    for name, function in vars(hookspecs).items():
        options = getattr(function, "advplug_spec", None)
        if options is not None:
            yield name, function, kind_of(name, function, options)


def kind_of(name: str, function: Callable[..., Any], options: Any) -> str:
    """What the host does with the results."""
    if options["firstresult"]:
        return "The first result that is not None is taken; may be wrapped."
    if name in COLLECTING:
        return f"Collecting: all results are joined. Each `{COLLECTING[name].__name__}` is a plugin of the kind " + (
            f"`{COLLECTING[name].kind}`."
        )
    if str(inspect.signature(function).return_annotation).startswith("Iterable"):
        return "Collecting: all results are joined."
    return "Called for its effect; the result is not looked at."


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
