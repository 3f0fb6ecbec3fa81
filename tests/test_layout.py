"""The layout of the core: layers, imports that point downwards, and what plugins may import."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import layout  # noqa: E402

PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))
TEMPLATES = sorted(ROOT.glob("advplug/scaffold/*/*.py.template"))
GUIDES = sorted(ROOT.glob("docs/writing-*.md"))


def test_every_module_stands_in_one_layer() -> None:
    for module in layout.modules():
        layout.layer_of(module)
    names = [name for layer in layout.LAYERS.values() for name in layer]
    assert len(names) == len(set(names))


def test_imports_point_downwards_and_never_in_a_circle() -> None:
    edges = layout.graph()
    assert layout.upward(edges) == []
    assert layout.circles(edges) == []


def test_an_upward_import_and_a_circle_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "advplug"
    (package / "cli").mkdir(parents=True)
    texts = {
        "__init__.py": "",
        "errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from advplug.cli import command\n",
        "losses.py": "def lazily():\n    from advplug import model\n",
        "model.py": "import advplug.losses\n",
        "cli/__init__.py": "",
        "cli/command.py": "from advplug.losses import Loss\n",
    }
    for name, text in texts.items():
        (package / name).write_text(text)
    monkeypatch.setattr(layout, "ROOT", tmp_path)
    edges = layout.graph()
    assert layout.upward(edges) == ["advplug.errors imports advplug.cli.command"]
    assert layout.circles(edges) == [["advplug.losses", "advplug.model"]]


def test_eagerpy_ends_at_the_task() -> None:
    """The engine is torch: only the task, which attacks see, and what it hands to them know eagerpy."""
    knowing = {
        path.stem for path in (ROOT / "advplug" / "engine").glob("*.py") if "import eagerpy" in path.read_text("utf-8")
    }
    assert knowing == {"task", "other_model"}


def test_plugins_import_public_names_alone() -> None:
    """Of the core, and of each other; their tests may use what ``advplug.testing`` has, and the runners of the core."""
    found = [
        problem
        for folder in PLUGINS
        for file in sorted(folder.glob("src/*/*.py"))
        for problem in layout.private_imports(file, folder.name.replace("-", "_"))
    ]
    assert found == []


def test_plugins_leave_the_private_parts_of_a_task_alone() -> None:
    """An attack sees what the first two parts of :class:`Task` offer; the rest is between the task and the engine."""
    engines = {"best_points", "gateway", "tick", "close"}
    found = [
        f"{file.name}:{node.lineno} reads task.{node.attr}"
        for folder in PLUGINS
        for file in sorted(folder.glob("src/*/*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "task"
        if node.attr.startswith("_") or node.attr in engines
    ]
    assert found == []


def test_plugin_tests_import_no_private_module_of_another_distribution() -> None:
    found = [
        problem
        for folder in PLUGINS
        for file in sorted(folder.glob("tests/*.py"))
        for problem in layout.private_imports(file, folder.name.replace("-", "_"))
        if " advplug." not in problem
    ]
    assert found == []


def test_templates_and_guides_import_public_names_alone(tmp_path: Path) -> None:
    found = []
    for template in TEMPLATES:
        code = tmp_path / f"{template.parent.name}-{template.name}"
        code.write_text(re.sub(r"\$\{?(\w+)\}?", r"\1", template.read_text(encoding="utf-8")))
        found += layout.private_imports(code, "module")
    for guide in GUIDES:
        for number, block in enumerate(
            re.findall(r"```python[^\n]*\n(.*?)```", guide.read_text(encoding="utf-8"), re.S)
        ):
            code = tmp_path / f"{guide.stem}-{number}"
            code.write_text(block)
            found += layout.private_imports(code, "")
    assert found == []


def test_a_private_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "_attack.py"
    file.write_text(
        "from advplug.attack import Attack\nfrom advplug.engine.task import Task\nimport advplug.plugins.manager\n"
        "from advplug_attack_pgd import PGD\nfrom advplug_attack_pgd._pgd import State\n"
        "from advplug_attack_own._parts import part\nfrom advplug.numerics import unit\n"
    )
    assert layout.private_imports(file, "advplug_attack_own") == [
        "_attack.py imports advplug.engine.task",
        "_attack.py imports advplug.plugins.manager",
        "_attack.py imports advplug_attack_pgd._pgd",
    ]
