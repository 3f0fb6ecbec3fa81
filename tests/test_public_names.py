"""The names at the top of the package: all of them there, and each what type checkers are told."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import advplug

ROOT = Path(__file__).resolve().parent.parent


def test_every_public_name_is_there() -> None:
    for name in advplug.__all__:
        assert getattr(advplug, name) is not None, name


LAZY = sorted([*ROOT.glob("advplug/**/__init__.py"), *ROOT.glob("plugins/*/*/src/*/__init__.py")])


def test_lazy_packages_name_the_same_things_to_type_checkers_and_at_run_time() -> None:
    """Names under TYPE_CHECKING, names that ``lazily`` finds and names in ``__all__`` are the same."""
    seen = 0
    for file in LAZY:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict) and _is_table(node)]
        if "lazily(" not in file.read_text(encoding="utf-8"):
            continue
        seen += 1
        told = {
            alias.name
            for block in tree.body
            if isinstance(block, ast.If)
            for node in block.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        package = import_module(_name_of(file))
        found = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
        assert found <= told, f"{file}: type checkers are not told of {sorted(found - told)}"
        assert found <= set(package.__all__), f"{file}: __all__ misses {sorted(found - set(package.__all__))}"
        modules = {path.stem for path in file.parent.glob("*.py")} | {path.name for path in file.parent.iterdir()}
        assert not found & modules, f"{file}: importing the module {found & modules} would replace the name"
        for name in package.__all__:
            assert getattr(package, name) is not None, f"{file}: {name}"
    assert seen > len(list(ROOT.glob("plugins/*/*"))), "every plugin's package is lazy, and some of the core's"


def _is_table(node: ast.Dict) -> bool:
    values = [value.value for value in node.values if isinstance(value, ast.Constant)]
    return bool(values) and all(isinstance(value, str) and value.startswith(".") for value in values)


def _name_of(file: Path) -> str:
    folder = file.parent.relative_to(ROOT)
    return folder.name if folder.parts[0] == "plugins" else ".".join(folder.parts)
