"""Figures of the margin around samples say in words what they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest

from advplug.evaluation import Evaluation
from advplug.report.landscape_figures import margin_lines, margin_planes

STEPS = np.linspace(-1, 1, 81)


def of(folder: Path, **around: Any) -> Evaluation:
    """Two samples: the margin 1 falls to -1 against the gradient, and stays along the random direction."""
    descent = np.stack([-STEPS, 2 - STEPS]).astype(np.float32)
    plane = np.broadcast_to(descent[:, None, ::4], (2, 21, 21))
    found = {"shown": np.array([3, 5]), "radius": np.array([0.3]), "random": np.ones((2, 81), np.float32),
             "descent": descent, "plane": plane, **around}  # fmt: skip
    found = {name: values for name, values in found.items() if values is not None}
    return replace(made_evaluations.evaluation(folder), landscapes=found)


def test_what_they_show(tmp_path: Path) -> None:
    lines, planes = margin_lines(of(tmp_path)), margin_planes(of(tmp_path))
    assert lines.figure is not None
    assert planes.figure is not None
    assert "sample 3, margin 1: along a random direction 1 at least, against the gradient -1 at least" in lines.alt
    assert "sample 3: wrong on 48 % of the plane, margins from -1 to 1; sample 5: wrong on 0 %" in planes.alt
    assert [axes.get_title(loc="left") for axes in lines.figure.axes] == [
        "sample 3, class zero",
        "sample 5, class zero",
    ]


def test_without_a_gradient_the_random_line_is_left(tmp_path: Path) -> None:
    made = of(tmp_path, descent=None, plane=None)
    assert margin_lines(made).figure is not None
    assert "along the random direction alone" in margin_lines(made).caption
    assert margin_planes(made).figure is None


def test_a_random_model_is_one_draw(tmp_path: Path) -> None:
    made = of(tmp_path)
    assert "one draw" not in margin_planes(made).caption
    assert "one draw" in margin_planes(replace(made, clean_error_rate=0.1)).caption


@pytest.mark.filterwarnings("error")
def test_where_the_model_gives_no_number(tmp_path: Path) -> None:
    holes = np.where(STEPS > 0.5, np.nan, -STEPS)
    made = of(tmp_path, random=np.stack([np.full(81, np.nan), holes]))
    picture = margin_lines(made)
    assert "Margin of 1 samples" in picture.alt
    assert "sample 3" not in picture.alt
    nowhere = of(tmp_path, random=np.full((2, 81), np.nan))
    assert margin_lines(nowhere).figure is margin_planes(nowhere).figure is None
    assert "Not measured" in margin_lines(nowhere).caption
    assert margin_lines(replace(made, landscapes={})).figure is None
