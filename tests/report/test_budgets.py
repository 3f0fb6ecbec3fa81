"""A budget is shown as it was written: 8/255 stays 8/255 in every form of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import made_evaluations
import numpy as np
import pytest
import torch

from advplug import load, run
from advplug.cli._budgets import smaller_budgets
from advplug.errors import InvalidInput
from advplug.evaluation import Evaluation
from advplug.plugins.manager import Manager, using
from advplug.report.card import card
from advplug.report.comparison import compare
from advplug.report.comparison_page import render as comparison_page
from advplug.report.csv_tables import attacks_csv
from advplug.report.markdown import whole_report
from advplug.report.page import render
from advplug.threat import ThreatModel

FULL, SMALL = 8 / 255, 2 / 255
DECIMALS = re.compile(r"0\.031[34]|0\.0078[0-9]|0\.00784")


@pytest.fixture
def made(tmp_path: Path) -> Evaluation:
    evaluation = made_evaluations.evaluation(tmp_path)
    spans = np.where(np.arange(12) < 6, np.float32(FULL), np.nan)
    change = np.where(np.arange(12) < 6, np.float32(FULL), 0)[:, None, None, None]
    adversarials = evaluation.inputs + change.astype(np.float32)
    arrays = made_evaluations.arrays(distance=spans, adversarials=adversarials)
    sweep = ((SMALL, 0.5), (FULL, 0.0))
    rows = tuple(replace(row, arrays=arrays, sweep=sweep, shrunk=()) for row in evaluation.rows)
    lines = np.linspace(-1, 1, 81)[None]
    around = {
        "shown": np.array([0]), "radius": np.array([FULL]), "random": lines, "descent": -lines,
        "plane": np.linspace(-1, 1, 441).reshape(1, 21, 21),
    }  # fmt: skip
    return replace(evaluation, threat="linf:8/255", rows=rows, landscapes=around)


@pytest.mark.parametrize("form", ["page", "comparison", "Markdown", "CSV", "card"])
def test_no_form_of_a_report_writes_a_decimal(made: Evaluation, form: str) -> None:
    """The alternative texts once said 58.0 % at 0.03137, and the CSV accuracy_at_0.0313725."""
    with using(Manager(plugins=[])):
        text = {
            "page": lambda: render(made),
            "comparison": lambda: comparison_page(compare({"one": made, "two": made})),
            "Markdown": lambda: whole_report(made),
            "CSV": lambda: attacks_csv(made).splitlines()[0],
            "card": lambda: str(card(made)),
        }[form]()
    shown = re.sub(r'src="data:[^"]*"', "", text)
    assert DECIMALS.findall(shown) == []
    assert "8/255" in shown
    assert form != "page" or len(re.findall(r'alt="[^"]*8/255', shown)) == 4


def test_the_error_about_budgets_names_the_largest() -> None:
    with pytest.raises(InvalidInput, match="at most 8/255"):
        smaller_budgets(ThreatModel.parse("linf:8/255"), "0.1", None)


def test_the_distances_of_a_result() -> None:
    pytest.importorskip("advplug_attack_fgm")
    net = torch.nn.Linear(4, 2).double()
    net.load_state_dict({"weight": torch.tensor([[1.0], [-1.0]]) * torch.ones(4), "bias": torch.tensor([-2.0, 2.01])})
    x = torch.full((6, 4), 0.5, dtype=torch.float64)
    result = run(load("attack:fgm")(), net, x, net(x).argmax(1), "linf:64/255")
    assert "distance: 64/255 to 64/255, median 64/255" in repr(result)
