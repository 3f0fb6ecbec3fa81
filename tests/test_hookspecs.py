"""Each hook has a test here, named ``test_hook_`` and the hook's name without ``advplug_``."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from advplug import (
    AdaptiveSpec,
    AttackSpec,
    CriterionSpec,
    DatasetSpec,
    DefenseSpec,
    GradientSpec,
    LossSpec,
    TrackerSpec,
    hookimpl,
    hookspecs,
)
from advplug.plugins.manager import Manager

FIELDS: dict[str, Any] = {"name": "x", "factory": "a:b", "summary": "one line", "reference": "2026"}
HOOKS = [name for name in vars(hookspecs) if name.startswith("advplug_")]


def plugin(**hooks: Any) -> Any:
    """A plugin whose attributes are these functions."""
    return SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()})


def test_the_manager_knows_exactly_the_hooks_of_the_module() -> None:
    manager = Manager(plugins=[])
    known = {name for name, caller in vars(manager.pm.hook).items() if getattr(caller, "spec", None)}
    assert known == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_a_docstring_and_a_signature_with_types(hook: str) -> None:
    assert callable(globals()[f"test_hook_{hook.removeprefix('advplug_')}"])
    assert inspect.getdoc(getattr(hookspecs, hook))
    signature = inspect.signature(getattr(hookspecs, hook))
    annotations = [signature.return_annotation, *(one.annotation for one in signature.parameters.values())]
    assert inspect.Signature.empty not in annotations


def test_no_test_is_left_of_a_hook_that_is_gone() -> None:
    tests = {name.removeprefix("test_hook_") for name in globals() if name.startswith("test_hook_")}
    assert tests == {hook.removeprefix("advplug_") for hook in HOOKS}


def test_the_module_imports_only_pluggy() -> None:
    program = (
        "import sys; before = set(sys.modules); import advplug.hookspecs; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == {"advplug", "pluggy"}


def test_hook_attacks() -> None:
    spec = AttackSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_attacks=lambda: [spec])]).specs("attack") == (spec,)


def test_hook_defenses() -> None:
    spec = DefenseSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_defenses=lambda: (spec,))]).specs("defense") == (spec,)


def test_hook_adaptive() -> None:
    spec = AdaptiveSpec(**FIELDS, breaks="x")
    assert Manager(plugins=[plugin(advplug_adaptive=lambda: {spec})]).specs("adaptive") == (spec,)


def test_hook_datasets() -> None:
    spec = DatasetSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_datasets=lambda: iter([spec]))]).specs("data") == (spec,)


def test_hook_trackers() -> None:
    spec = TrackerSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_trackers=lambda: [spec])]).specs("tracker") == (spec,)


def test_hook_losses() -> None:
    spec = LossSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_losses=lambda: [spec])]).specs("loss") == (spec,)


def test_hook_gradients() -> None:
    spec = GradientSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_gradients=lambda: (spec,))]).specs("gradient") == (spec,)


def test_hook_criteria() -> None:
    spec = CriterionSpec(**FIELDS)
    assert Manager(plugins=[plugin(advplug_criteria=lambda: [spec])]).specs("criterion") == (spec,)


def test_hook_evaluate() -> None:
    def fails(job: str) -> str:
        raise OSError("no machine")

    silent, broken, wrong, first, second = (
        plugin(advplug_evaluate=answer)
        for answer in (lambda job: None, fails, lambda job: 3, lambda job: f"first {job}", lambda job: "second")
    )
    manager = Manager(plugins=[second, first, wrong, broken, silent])  # the one registered last is asked first
    assert manager.first("advplug_evaluate", of=str, job="job") == "first job"
    assert [failure.error for failure in manager.failures] == [
        "OSError: no machine",
        "InvalidSpec: advplug_evaluate returned int, not str",
    ]
    assert Manager(plugins=[silent]).first("advplug_evaluate", of=str, job="job") is None


def test_hook_diagnose() -> None:
    manager = Manager(plugins=[plugin(advplug_diagnose=lambda job, evaluation: [(job, evaluation)]), plugin()])
    assert manager.collect("advplug_diagnose", of=tuple, job=1, evaluation=2) == [(1, 2)]


def test_hook_report_sections() -> None:
    manager = Manager(plugins=[plugin(advplug_report_sections=lambda evaluation: (s for s in (evaluation, "more")))])
    assert manager.collect("advplug_report_sections", of=str, evaluation="one") == ["one", "more"]
