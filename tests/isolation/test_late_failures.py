"""Plugins that register well and fail later: when loaded, when asked for commands, while an evaluation runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Install = Callable[..., Path]


def plugin(source: str, **modules: str) -> SmallDistribution:
    """``advplug-attack-late``, version 1.2.3, whose top module is ``source``."""
    return SmallDistribution(
        name="advplug-attack-late",
        version="1.2.3",
        modules={"advplug_attack_late.py": source, **{f"{name}.py": text for name, text in modules.items()}},
        entry_points={"attack-late": "advplug_attack_late"},
    )


LATE = attack_source("late", factory="late_parts:Late")


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ("import surely_absent_library", "ModuleNotFoundError: No module named 'surely_absent_library'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("class Panic(BaseException): pass\nraise Panic('no device')", "Panic: no device"),
        ("Lat = 3", "AttributeError: module 'late_parts' has no attribute 'Late'"),
    ],
    ids=["ImportError", "SystemExit", "Panic", "no attribute"],
)
def test_a_factory_that_fails_at_load(
    advplug: Advplug, site: Install, working: set[str], parts: str, error: str
) -> None:
    folder = site(plugin(LATE, late_parts=parts))
    listed = advplug(folder, "list")
    assert (listed.code, listed.keys, listed.stderr) == (0, working | {"attack:late"}, "")

    used = advplug(folder, "evaluate", "no.such:model", "--attacks", "late")
    assert (used.code, used.stdout) == (4, "")
    assert used.stderr.splitlines()[-1] == (
        f"Error: attack:late could not be imported ({error}): advplug doctor shows the traceback"
    )

    doctor = advplug(folder, "doctor", "--json", ADVPLUG_PLUGINS="advplug-attack-*")
    assert doctor.code == 1
    problems = [one for one in doctor.document["problems"] if one["distribution"] == "advplug-attack-late"]
    assert [(one["version"], one["stage"], one["error"]) for one in problems] == [("1.2.3", "factory", error)]
    assert "Traceback" in problems[0]["traceback"]


def test_an_interrupt_while_a_factory_is_imported_is_the_users(advplug: Advplug, site: Install) -> None:
    folder = site(plugin(LATE, late_parts="raise KeyboardInterrupt"))
    answer = advplug(folder, "show", "--full", "attack:late")
    assert (answer.code, answer.stderr.strip()) == (130, "Error: interrupted: give the same command again")


def test_a_lazy_module_is_not_asked_for_what_it_would_import(
    advplug: Advplug, site: Install, working: set[str]
) -> None:
    lazy = """
def __getattr__(name):
    open("asked.txt", "a").write(name + "\\n")
    import torch
    return torch

def __dir__():
    return [*globals(), "Late", "functional"]
"""
    answer = advplug(site(plugin(LATE + lazy)), "list")
    assert (answer.code, answer.keys, answer.stderr) == (0, working | {"attack:late"}, "")
    assert answer.heavy == []
    assert not (answer.folder / "asked.txt").exists()


def test_what_plugins_print_stays_out_of_the_data(advplug: Advplug, site: Install, working: set[str]) -> None:
    source = LATE.replace("    return", "    print('in the hook')\n    return") + "print('at import')\n"
    folder = site(plugin(source, late_parts="print('in the factory')\nclass Late: pass"))
    listed = advplug(folder, "list", "--json")
    own = {one["key"] for one in listed.document["plugins"] if one["library"] is None}
    assert own == {key for key in working if not key.endswith(":*")} | {"attack:late"}
    assert listed.stderr == "at import\nin the hook\n"
    shown = advplug(folder, "show", "--full", "attack:late", "--json")
    assert shown.document["plugins"][0]["name"] == "late"
    assert shown.stderr.endswith("in the factory\n")


STEP = SmallDistribution(
    name="advplug-attack-step",
    modules={
        "advplug_attack_step.py": attack_source("step", factory="step_parts:Step"),
        "step_parts.py": """
from advplug.attack import Attack
from advplug.numerics import raw, wrap

class Step(Attack):
    def run(self, task):
        move = raw(task.gradient(task.inputs)).sign() * raw(task.epsilon).view(-1, 1, 1, 1)
        task.evaluate(task.project(wrap(raw(task.inputs) - move)))
""",
        "tiny_model.py": """
import torch

class Light(torch.nn.Module):
    def forward(self, x):
        light = x.flatten(1).mean(1) - 0.5
        return torch.stack((-light, light), 1)
""",
    },
    entry_points={"attack-step": "advplug_attack_step"},
)
FINDINGS = """
from advplug import hookimpl

@hookimpl
def advplug_diagnose(evaluation):
    from advplug.records import Finding
    {body}

@hookimpl
def advplug_report_sections(evaluation):
    from advplug.report import Section
    yield Section("Beside it", "<p>fine</p>")
    {section}
"""


@pytest.fixture
def job(tmp_path: Path) -> tuple[str, ...]:
    x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    np.savez(tmp_path / "data.npz", x=x, y=(x.ravel() > 0.5).astype(int))
    data = ("--data", str(tmp_path / "data.npz"), "--threat", "linf:0.25", "--attacks", "step")
    return ("evaluate", "tiny_model:Light", *data, "--out", "run")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return [1 / 0]", "ZeroDivisionError: division by zero"),
        ("yield Finding(name='lost', status='warn', message='one')\n    1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (
            "return ['no finding', Finding(name='stays', status='warn', message='one')]",
            "InvalidSpec: advplug_diagnose gave str, not Finding",
        ),
        ("return 3", "returned int, not an iterable"),
    ],
    ids=["raises", "generator", "exits", "no finding", "no iterable"],
)
def test_diagnosing_hooks_that_fail_cost_only_their_own_findings(
    advplug: Advplug, site: Install, job: tuple[str, ...], body: str, error: str
) -> None:
    folder = site(STEP, plugin(FINDINGS.format(body=body, section="")))
    answer = advplug(folder, *job, "--no-report", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.document["rows"][0]["robust_accuracy"] == 0.5
    assert [one["name"] for one in answer.document["findings"] if not one["id"]] == ["stays"] * ("stays" in body)
    (line,) = (line for line in answer.stderr.splitlines() if line.startswith("!"))
    assert line.startswith("! advplug-attack-late 1.2.3 failed in advplug_diagnose (")
    assert error in line
    assert json.loads((answer.folder / "run" / "evaluation.json").read_text())["rows"]


@pytest.mark.parametrize(
    ("body", "error"),
    [("raise OSError('no machine')", "OSError: no machine"), ("return 'robust'", "returned str, not Evaluation")],
    ids=["raises", "no evaluation"],
)
def test_an_evaluating_hook_that_fails_costs_itself_alone(
    advplug: Advplug, site: Install, job: tuple[str, ...], body: str, error: str
) -> None:
    hook = f"from advplug import hookimpl\n\n@hookimpl\ndef advplug_evaluate(job):\n    {body}\n"
    answer = advplug(site(STEP, plugin(hook)), *job, "--no-report", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.document["rows"][0]["robust_accuracy"] == 0.5
    (line,) = (line for line in answer.stderr.splitlines() if line.startswith("!"))
    assert line.startswith("! advplug-attack-late 1.2.3 failed in advplug_evaluate (")
    assert error in line


def test_a_report_section_that_fails_leaves_the_rest_of_the_page(
    advplug: Advplug, site: Install, job: tuple[str, ...]
) -> None:
    beside = SmallDistribution(
        name="beside",
        modules={"beside.py": FINDINGS.format(body="return []", section="")},
        entry_points={"beside": "beside"},
    )
    folder = site(STEP, beside, plugin(FINDINGS.format(body="return []", section="raise OSError('no ink')")))
    answer = advplug(folder, *job)
    assert answer.code == 0, answer.stderr
    page = (answer.folder / "run" / "report.html").read_text()
    assert page.count("<p>fine</p>") == 1
    (line,) = (line for line in answer.stderr.splitlines() if line.startswith("!"))
    assert line.startswith("! advplug-attack-late 1.2.3 failed in advplug_report_sections (OSError: no ink)")


def test_strict_stops_an_evaluation_at_the_failing_hook_and_loses_no_attack(
    advplug: Advplug, site: Install, job: tuple[str, ...]
) -> None:
    folder = site(STEP, plugin(FINDINGS.format(body="return [1 / 0]", section="")))
    answer = advplug(folder, *job, ADVPLUG_STRICT="1")
    assert (answer.code, answer.stdout) == (4, "")
    assert "ZeroDivisionError: division by zero" in answer.stderr
    assert "return [1 / 0]" in answer.stderr
    assert list((answer.folder / "run" / "rows").iterdir())
