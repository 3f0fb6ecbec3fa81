"""What the files of a package import, and what its distribution declares."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

from advplug.interop import HOMES
from advplug.plugins.discovery import canonical

REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^]]*)\])?")
EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")

PEERS = ("foolbox", "art")
"""Packages that a module of ``advplug.interop`` needs and only an extra brings."""

FORGOTTEN = {"art": ("packaging",)}
"""What a package imports and does not declare: whoever imports it must."""


def imported_packages(spec: ModuleSpec) -> set[str]:
    """The top-level packages that the files of a package import, inside functions too."""
    folders = spec.submodule_search_locations
    files = [Path(spec.origin or "")] if folders is None else [file for top in folders for file in _sources(Path(top))]
    modules = {module for file in files for module in _imported(ast.parse(file.read_text(encoding="utf-8")))}
    peers = {_library(module) for module in modules}
    found = {module.partition(".")[0] for module in modules} | peers.intersection(PEERS)
    return found.union(*(FORGOTTEN[name] for name in found & FORGOTTEN.keys()))


def missing_declarations(distribution: str, packages: set[str], own: str) -> list[str]:
    """The distributions of ``packages`` that the metadata of ``distribution`` does not name.

    What an extra of advplug brings counts as declared by whoever asks for that extra.
    """
    declared = declared_by(distribution)
    homes = metadata.packages_distributions()
    missing = []
    for package in sorted(packages - {own} - sys.stdlib_module_names):
        names = {canonical(name) for name in homes.get(package, [package])}
        names.add(canonical(package))  # an editable install has no list of its packages
        if not names & declared:
            missing.append(min(names))
    return missing


def declared_by(distribution: str) -> set[str]:
    """Names of the distributions that ``distribution`` requires, those of the extras of advplug it asks for included.

    Environment markers are taken to hold, and its own extras to be asked for.
    """
    declared: set[str] = set()
    waiting = list(metadata.requires(distribution) or ())
    seen: set[str] = set()
    while waiting:
        match = REQUIREMENT.match(waiting.pop())
        assert match is not None, "the metadata of an installed distribution was parsed by its build tool"
        name = canonical(match["name"])
        declared.add(name)
        extras = {extra.strip() for extra in (match["extras"] or "").split(",")} - {"", *seen}
        if name == "advplug":
            seen |= extras
            waiting += [text for text in metadata.requires("advplug") or () if extras & set(EXTRA.findall(text))]
    return declared


def _library(module: str) -> str:
    """The package behind ``advplug.interop.art.ArtAttack`` or, shorter, ``advplug.interop.ArtAttack``; "" for none."""
    parts = module.split(".")
    if parts[:2] != ["advplug", "interop"] or len(parts) < 3:
        return ""
    return HOMES.get(parts[2], parts[2]).removeprefix(".")


def _sources(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*.py")) if "__pycache__" not in file.parts)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
