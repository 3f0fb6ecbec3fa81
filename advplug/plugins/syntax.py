"""Modules and classes as their files have them: what a name means there, found without importing anything.

Nothing is run but the few statements that :meth:`Module.run` is asked for.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LIGHT = ("advplug.defense", "advplug.threat")
"""Modules of ours that presets may be made of; beside them the standard library."""

_WITHOUT_PARAMETERS = {"object", "ABC", "Generic", "Protocol"}

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class Unknown(Exception):
    """The source alone does not say it."""


@dataclass(frozen=True)
class Found:
    """A class and the module that it stands in."""

    module: Module
    node: ast.ClassDef

    def lineage(self) -> list[Found]:
        """The class and what it derives from, the nearest first.

        Raises
        ------
        Unknown: a base is not to be found.
        """
        found = [self]
        for base in self.node.bases:
            name = base.value if isinstance(base, ast.Subscript) else base  # IterativeAttack[State]
            if not isinstance(name, ast.Name):
                raise Unknown(ast.unparse(base))
            if name.id not in _WITHOUT_PARAMETERS:
                found += self.module.find(name.id).lineage()
        return found

    @property
    def is_dataclass(self) -> bool:
        """Whether its fields are parameters."""
        return any("dataclass" in ast.unparse(one).partition("(")[0] for one in self.node.decorator_list)

    def derives_from(self, name: str) -> bool:
        """Whether a class of that name is among those that it derives from; one that leads elsewhere is none."""
        try:
            return any(one.node.name == name for one in self.lineage()[1:])
        except Unknown:  # a named tuple, for instance
            return False

    @property
    def is_abstract(self) -> bool:
        """Whether it, or what it derives from, leaves a method to others."""
        known: set[str] = set()
        for one in self.lineage():
            methods = [node for node in one.node.body if isinstance(node, ast.FunctionDef)]
            for method in methods:
                decorated = any(ast.unparse(mark).endswith("abstractmethod") for mark in method.decorator_list)
                if decorated and method.name not in known:
                    return True
            known |= {method.name for method in methods}
        return False

    def initialiser(self) -> ast.FunctionDef | None:
        """Its own ``__init__``."""
        return next(
            (one for one in self.node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None
        )


class Module:
    """The source of a module."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.tree = ast.parse(file.read_text(encoding="utf-8"))

    def find(self, name: str) -> Found:
        """The class that goes by ``name`` here.

        Raises
        ------
        Unknown: there is none, or it comes from where it cannot be followed.
        """
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return Found(self, node)
        for node, alias in self._imports():
            if (alias.asname or alias.name) == name:
                return module_of(self._absolute(node)).find(alias.name)
        raise Unknown(name)

    def public_classes(self) -> Iterator[Found]:
        """The classes that the module has, or brings from modules below it, in their order.

        Raises
        ------
        Unknown: one is not to be found.
        """
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield Found(self, node)
            elif isinstance(node, ast.ImportFrom) and self._absolute(node).startswith(f"{self.name}."):
                names = [alias.name for alias in node.names if alias.name[0].isupper()]
                for name in names:
                    if module_of(self._absolute(node)).has_class(name):
                        yield self.find(name)

    def has_class(self, name: str) -> bool:
        """Whether a class of that name stands here."""
        return isinstance(self.statement(name), ast.ClassDef)

    def statement(self, name: str) -> ast.stmt | None:
        """The statement of the module that gives ``name`` its value."""
        return next((node for node in self.tree.body if name in bound(node)), None)

    def value(self, node: ast.expr | None) -> Any:
        """The value of an expression of literals, arithmetic and constants of modules.

        Raises
        ------
        Unknown: it is none.
        """
        match node:
            case ast.Constant():
                return node.value
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))], keywords=[]):
                return float(text)  # "inf"
            case ast.Attribute(value=ast.Name(id="math"), attr=name) if hasattr(math, name):
                return getattr(math, name)
            case ast.Name(id=name):
                return self._constant(name)
        raise Unknown("" if node is None else ast.unparse(node))

    def _constant(self, name: str) -> Any:
        """The value of a name of the module, or of one that it imports."""
        match self.statement(name):
            case ast.Assign(targets=[ast.Name()], value=made) | ast.AnnAssign(value=made):
                return self.value(made)
        for imported, alias in self._imports():
            if (alias.asname or alias.name) == name:
                return module_of(self._absolute(imported)).value(ast.Name(alias.name))
        raise Unknown(name)

    def run(self, expression: ast.expr) -> Any:
        """The value of an expression, for which only those statements are run that it is made of.

        Raises
        ------
        Unknown: it is made of modules that may import torch.
        """
        needed: dict[int, ast.stmt] = {}
        waiting = [*_names(expression)]
        while waiting:
            name = waiting.pop()
            made = self.statement(name)
            if made is None and not hasattr(builtins, name) and name != "__file__":
                raise Unknown(name)
            if made is not None and made.lineno not in needed:
                if isinstance(made, ast.Import | ast.ImportFrom | ast.ClassDef) and not _is_light(made):
                    raise Unknown(ast.unparse(made))
                needed[made.lineno] = made
                waiting += _names(made)
        future = ast.parse("from __future__ import annotations").body
        body = [*future, *(needed[line] for line in sorted(needed))]
        space: dict[str, Any] = {"__file__": str(self.file), "__name__": self.name}
        try:
            exec(compile(ast.Module(body, type_ignores=[]), str(self.file), "exec"), space)
            return eval(compile(ast.Expression(expression), str(self.file), "eval"), space)
        except Exception as error:  # whatever a plugin does there; its import, with --full, shows it
            raise Unknown(ast.unparse(expression)) from error

    def _imports(self) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                yield from ((node, alias) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.file.stem == "__init__" else self.name.split(".")[:-1]
        return ".".join([*parts[: len(parts) + 1 - node.level], *([node.module] if node.module else [])])


@cache
def module_of(name: str) -> Module:
    """The module of that name, found without importing its parents."""
    top, *parts = name.split(".")
    try:
        found = find_spec(top)  # of a top-level package only: that of a part would import the package
    except ValueError as error:  # a module that was made, and has no file
        raise Unknown(name) from error
    for part in parts:
        folders = None if found is None else found.submodule_search_locations
        top = f"{top}.{part}"
        found = None if folders is None else PathFinder.find_spec(top, list(folders))
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise Unknown(name)
    try:
        return Module(name, Path(found.origin))
    except (OSError, ValueError, SyntaxError) as error:
        raise Unknown(name) from error


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement gives a value."""
    match node:
        case ast.Assign():
            return {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return set()


def _names(node: ast.AST) -> set[str]:
    """The names whose values a statement or expression needs when it is run: no annotation does, nor a local."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set()
    if isinstance(node, ast.AnnAssign):
        return set() if node.value is None else _names(node.value)
    parts: list[ast.AST] = [node]
    local: set[str] = set()
    if isinstance(node, ast.FunctionDef):
        arguments = node.args
        parts = [*node.body, *arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
        local = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found = [one for part in parts for one in ast.walk(part) if isinstance(one, ast.Name)]
    local |= {one.id for one in found if isinstance(one.ctx, ast.Store)}
    return {one.id for one in found} - local


def _is_light(node: ast.stmt) -> bool:
    """Whether an import needs neither torch nor the plugin's own modules."""
    if isinstance(node, ast.ImportFrom):
        names = [node.module or ""] if not node.level else [""]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        return False
    return all(name in _LIGHT or name.partition(".")[0] in sys.stdlib_module_names for name in names)
