"""The figure behind the lesson: at which beginnings the sounds of each attack read otherwise than as a whole."""

from __future__ import annotations

from typing import cast

import torch
from advplug_defense_temporal_dependency import TemporalDependency
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, GRID, Section, figure, figure_section, quiet, rebuilt
from advplug.transcription import beginnings, lengths

SHARES, SAMPLES = torch.linspace(0.2, 0.8, 25).tolist(), 50
CAPTION = (
    "Share of the sounds whose beginning, transcribed alone, reads otherwise than in the whole, against the length of "
    "the beginning as a part of the sound. Dotted lines are the beginnings that the detector looks at. The attack on "
    "the whole is that of the control, which knows no detector."
)


def consistency(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where the preset ships no weights, or an attack broke nothing."""
    found = rebuilt(evaluation, "temporal-dependency")
    sounds = {role: _broken(evaluation, role) for role in ("control", "adaptive")}
    if found is None or any(len(one) == 0 for one in sounds.values()):
        return []
    model = cast(TemporalDependency, found.model)
    kinds = {"clean": found.inputs[:SAMPLES], "attack on the whole": sounds["control"], "adaptive": sounds["adaptive"]}
    curves = {name: [inconsistent(model, x, share) for share in SHARES] for name, x in kinds.items()}
    told = "; ".join(f"{name} {sum(curve) / len(curve):.0%}" for name, curve in curves.items())
    alt = f"Curves of the share of inconsistent sounds over the part that is cut off. On average: {told}."
    return [figure_section("Beginnings that read otherwise", drawn(curves, model.shares), alt=alt, caption=CAPTION)]


def _broken(evaluation: Evaluation, role: str) -> Tensor:
    """The first adversarial sounds of the last attack of ``role``, (n, T)."""
    rows = [row for row in evaluation.rows if row.role == role and "adversarials" in row.arrays]
    if not rows:
        return torch.zeros(0)
    arrays = rows[-1].arrays
    return torch.from_numpy(arrays["adversarials"][arrays["success"]][:SAMPLES])


@torch.no_grad()
def inconsistent(model: TemporalDependency, x: Tensor, share: float) -> float:
    """At which share of the sounds ``x`` (N, T) the beginning is not heard as the beginning of the whole."""
    symbols = len(model.symbols)
    whole, part = model.answers(model(x)), model.answers(model(x[:, : int(share * x.shape[1])]))
    return float((beginnings(whole, lengths(part, symbols), symbols) != part).double().mean())


def drawn(curves: dict[str, list[float]], looked_at: tuple[float, ...]) -> Figure:
    """One curve for each kind of sound."""
    page = figure(2.8)
    axes = page.subplots()
    for share in looked_at:
        axes.axvline(share, color=GRID, lw=1, ls=":")
    for (name, curve), colour in zip(curves.items(), ("#7f7f7f", BASELINE, ADAPTIVE), strict=True):
        axes.plot(SHARES, curve, label=name, color=colour, lw=1.5)
    axes.set_ylim(-0.02, 1.02)
    quiet(axes, x="part of the sound", y="share that reads otherwise")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return page
