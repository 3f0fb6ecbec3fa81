"""Each attack has one look, in the table and all figures, which readers of any colour vision tell from the others."""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_evaluations
import numpy as np
import pytest
from numpy.typing import NDArray

from advplug.plugins.manager import Manager, using
from advplug.report.looks import looks, numbered
from advplug.report.page import render
from advplug.report.style import ADAPTIVE, PALETTE, PAPER

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
VISIONS: dict[str, Any] = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TOLD_APART = 10.0  # in CIELAB; 2.3 is the least that is seen at all
SCHEMES = {"light": list(PALETTE), "dark": list(PALETTE.values())}


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(values: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    ratio = np.array(matrix) @ values.clip(0, 1) / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(float(linear(colour) @ weights) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_colours_are_told_apart(scheme: str, vision: str) -> None:
    seen = [lab(np.array(VISIONS[vision]) @ linear(colour)) for colour in SCHEMES[scheme]]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > TOLD_APART


@pytest.mark.parametrize(("scheme", "paper"), list(zip(SCHEMES, PAPER, strict=True)))
def test_colours_stand_out_from_the_paper(scheme: str, paper: str) -> None:
    assert min(contrast(colour, paper) for colour in SCHEMES[scheme]) > 3  # WCAG for graphics


def test_no_two_of_many_attacks_look_alike() -> None:
    many = numbered(50)
    assert len({(look.colour, look.marker) for look in many}) == 50
    assert len({look.colour for look in many[:9]}) == len({look.marker for look in many[:9]}) == 9
    assert len({(look.colour, look.marker) for look in numbered(40, 3)}) == 40


def test_the_adaptive_attack_has_a_colour_of_its_own(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path)
    weak, strong = made.rows
    found = looks(replace(made, rows=(weak, weak, weak, strong)))
    assert found[3].colour == ADAPTIVE
    assert ADAPTIVE not in {look.colour for look in found[:3]}
    assert len({look.colour for look in found}) == 4


def test_table_and_figures_agree(tmp_path: Path) -> None:
    made = made_evaluations.evaluation(tmp_path)
    own = looks(made)
    with using(Manager(plugins=[])):
        text = render(made)
    table = text[text.index('id="table"') : text.index('id="figure-1"')]
    marks = re.findall(r'<path d="([^"]*)" style="fill: var\(--r(\d)\)"', table)
    assert marks == [(look.outline, str(look.number)) for look in own]
    for number, look in enumerate(own):
        assert f"--r{look.number}: {look.colour};" in text
        assert look.number != own[1 - number].number
    for image in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text)[:1]:
        svg = base64.b64decode(image).decode()
        names = dict(re.findall(r"(--c\d+):(#[0-9a-f]{6});", svg[: svg.index("@media")]))
        drawn = {names[name] for name in re.findall(r"stroke: var\((--c\d+)\)", svg)}
        assert {look.colour for look in own} <= drawn
