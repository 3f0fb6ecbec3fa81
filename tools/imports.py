"""Import every module of every installed advplug distribution, and look up what their functions import.

usage: python tools/imports.py    where only ``advplug[all]`` is installed

Exit 1 if something is missing: a dependency that nobody declared. Run where there is no pytest, for that brings
``packaging``, which ART needs and does not declare.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

OPTIONAL = {"pytest", "hypothesis", "tomli"}
"""Imported only where they are known to be there: in tests of plugins, and on Python 3.10."""

EXTRAS = {"datasets", "optuna", "pandas", "ray", "timm", "transformers"}
"""Libraries of extras: imported inside functions, which say what to install."""


def modules() -> Iterator[tuple[str, Path]]:
    """Name and file of every module that an advplug distribution installed."""
    for distribution in distributions():
        if distribution.name == "advplug" or distribution.name.startswith("advplug-"):
            for file in distribution.files or ():
                if file.suffix == ".py":
                    parts = file.with_suffix("").parts
                    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                    yield name, Path(str(distribution.locate_file(file)))


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere, inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def main() -> int:
    """Print what is missing."""
    everything = sorted(modules())
    missing = []
    for name, path in everything:
        names = imported(path) - OPTIONAL - EXTRAS
        missing += [f"{name}: imports {package}" for package in sorted(names) if find_spec(package) is None]
        if imported(path) & OPTIONAL:
            continue
        try:
            import_module(name)
        except ImportError as error:
            missing.append(f"{name}: {error}")
    print(f"{len(everything)} modules, {len(missing)} imports of what is not installed", *missing, sep="\n")
    return 1 if missing or not everything else 0


if __name__ == "__main__":
    sys.exit(main())
