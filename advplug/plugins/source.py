"""What the source of a plugin says of its factory: parameters and presets, read without importing torch.

What cannot be known so is None: the class of a library that makes it at run time, or a preset that needs the plugin's
own modules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from advplug.plugins.syntax import Found, Module, Unknown, bound, module_of


def parameters_in_source(factory: str) -> dict[str, dict[str, Any]] | None:
    """Constructor parameters of ``"package.module:Class"`` by name: annotation, default, whether required.

    A default that is no literal is given as its source has it. None if the source does not tell.
    """
    try:
        found = _class(factory)
        lineage = found.lineage()
        if found.is_dataclass:
            fields: dict[str, dict[str, Any]] = {}
            for one in reversed([part for part in lineage if part.is_dataclass]):
                fields |= _fields(one)
            return {name: facts for name, facts in fields.items() if facts.pop("init")}
        for one in lineage:
            if (made := one.initialiser()) is not None:
                return _arguments(one.module, made)
        return {}
    except Unknown:
        return None


def classes_in_source(module: str, base: str) -> Iterator[tuple[str, str]]:
    """Name and docstring of each public and concrete class of ``module`` that derives from one called ``base``.

    Raises
    ------
    Unknown: a class is not to be found.
    """
    for found in module_of(module).public_classes():
        if found.derives_from(base) and not found.is_abstract:
            yield found.node.name, ast.get_docstring(found.node, clean=False) or ""


def presets_in_source(factory: str) -> Mapping[str, Any] | None:
    """The presets of a defense, by name; None if the source does not tell, or there are none."""
    try:
        for one in _class(factory).lineage():
            for node in one.node.body:
                if isinstance(node, ast.Assign | ast.AnnAssign) and "presets" in bound(node) and node.value is not None:
                    presets: Mapping[str, Any] = one.module.run(node.value)
                    return presets
    except Unknown:
        pass
    return None


def _class(factory: str) -> Found:
    module, _, name = factory.partition(":")
    return module_of(module).find(name)


def _fields(found: Found) -> dict[str, dict[str, Any]]:
    """The fields that a dataclass adds; ``init`` says whether the constructor takes one."""
    fields = {}
    for node in found.node.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        annotation, value, init = ast.unparse(node.annotation), node.value, True
        if annotation.startswith("ClassVar"):
            continue
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
            given = {one.arg: one.value for one in value.keywords}
            init = not ("init" in given and found.module.value(given["init"]) is False)
            value = given.get("default") or (ast.Name("<factory>") if "default_factory" in given else None)
        fields[node.target.id] = {**_facts(found.module, annotation, value), "init": init}
    return fields


def _arguments(module: Module, function: ast.FunctionDef) -> dict[str, dict[str, Any]]:
    """The arguments of an initialiser but the first."""
    given = function.args
    places = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(places) - len(given.defaults)) + list(given.defaults)
    pairs = [*list(zip(places, defaults, strict=True))[1:], *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return {
        argument.arg: _facts(module, "" if argument.annotation is None else ast.unparse(argument.annotation), default)
        for argument, default in pairs
    }


def _facts(module: Module, annotation: str, default: ast.expr | None) -> dict[str, Any]:
    if default is None:
        return {"annotation": annotation, "default": None, "required": True}
    try:
        value = module.value(default)
    except Unknown:
        return {"annotation": annotation, "default": ast.unparse(default), "required": False}
    plain = value is None or isinstance(value, str | int | float)
    return {"annotation": annotation, "default": value if plain else repr(value), "required": False}
