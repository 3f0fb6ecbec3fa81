"""What a bridge tells of another library's attacks without importing it: their names from its source, facts declared.

Imports neither torch nor the library.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from advplug.specs import AttackSpec

Access = Literal["white-box", "score-based", "decision-based"]

EVERY_NORM = ("linf", "l2", "l1", "l0")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of one attack.

    Parameters
    ----------
    summary: one line.
    reference: title, venue and year of its source.
    norms: those it works under; all of them where it has no size of its own and is judged by any.
    budget: ``fixed`` if it needs an epsilon, ``minimum-norm`` if it looks for a small perturbation by itself.
    access: what it asks of the model: gradients, scores, or decisions.
    targeted: whether it can aim at given classes.
    needs: package that the library does not install and this attack imports.
    defaults: arguments for which the library's own default is missing, or is no choice here.
    """

    summary: str
    reference: str
    norms: tuple[str, ...]
    budget: Literal["fixed", "minimum-norm"]
    access: Access
    targeted: bool = False
    needs: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """Whether what it needs beside the library is there."""
        found = find_spec(self.needs) if self.needs else None
        return not self.needs or (found is not None and found.origin is not None)  # else some folder of that name

    @property
    def tags(self) -> frozenset[str]:
        """As in the specs."""
        extra = {"targeted"} if self.targeted else set()
        if self.budget == "minimum-norm":
            extra.add("minimum-norm")
        return frozenset({*self.norms, self.access, *extra})


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The attacks of one library.

    Parameters
    ----------
    library: its distribution.
    title: its name in texts.
    prefix: what stands before the colon in the names of its attacks.
    package: the package that exports the attack classes.
    factory: module of the bridge that has a class of the same name for each.
    entries: what is declared of them, by name; one without an entry is listed with what little is known.
    left_out: why a name is not brought; names of no attack have an empty reason.
    """

    library: str
    title: str
    prefix: str
    package: str
    factory: str
    entries: Mapping[str, Entry]
    left_out: Mapping[str, str]

    def specs(self) -> list[AttackSpec]:
        """One for each attack that the installed version exports.

        Raises
        ------
        ModuleNotFoundError: the library is not installed.
        """
        return [self._spec(name, kind) for name, kind in exported(self.package).items() if name not in self.left_out]

    def names(self) -> list[str]:
        """Names of the bridged attacks that the installed version exports."""
        return [name for name in exported(self.package) if name not in self.left_out]

    def _spec(self, name: str, kind: str) -> AttackSpec:
        entry = self.entries.get(name)
        summary = f"{name} of {self.title}" if entry is None else entry.summary
        return AttackSpec(
            name=f"{self.prefix}:{name}",
            factory=f"{self.factory}:{name}",
            summary=summary if name == kind else f"{summary}, {kind}",  # which the library's own pages may say
            reference=f"The documentation of {self.title}" if entry is None else entry.reference,
            tags=frozenset() if entry is None else entry.tags,
            library=self.library,
        )


def exported(package: str) -> dict[str, str]:
    """The classes that the ``__init__`` of a package brings from its own modules by the name they go by, sorted.

    Its file is read, not run. A class with an alias goes by the alias, which is the name that users write and papers
    use: ``LinfPGD`` and not ``LinfProjectedGradientDescentAttack``. Of an alias of an alias the first one counts.

    Raises
    ------
    ModuleNotFoundError: the package is not installed.
    """
    tree = ast.parse(_source(package).read_text(encoding="utf-8"))
    names = {name: name for name in _imported(tree, package)}
    for alias, name in _aliases(tree):
        if name in names:
            names[alias] = names.pop(name)
    return dict(sorted(names.items()))


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):  # some stand below an if
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(package)):
            yield from (name.asname or name.name for name in node.names)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Pairs (alias, name) that stand for a name which is no alias itself."""
    seen: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and isinstance(node.targets[0], ast.Name):
            if node.value.id not in seen:
                yield node.targets[0].id, node.value.id
            seen.add(node.targets[0].id)


def _source(package: str) -> Path:
    """The ``__init__`` file of a package, found without importing its parents."""
    top, *parts = package.split(".")
    found = find_spec(top)  # of a top-level package only: that of a part would import the package
    for part in parts:
        folders = None if found is None else found.submodule_search_locations
        found = None if folders is None else PathFinder.find_spec(f"{top}.{part}", list(folders))
        top = f"{top}.{part}"
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{package.partition('.')[0]} is not installed, or has no package {package}")
    return Path(found.origin)
