"""The figure behind the lesson: logits that are too far apart for a softmax, and the gradient that this hides."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from advplug.evaluation import Evaluation
from advplug.report import ADAPTIVE, BASELINE, INTERMEDIATE, Section, figure, figure_section, quiet, rebuilt
from advplug_adaptive_distillation._adaptive import CONTROL
from advplug_adaptive_distillation._measures import SATURATED, correct, gaps, slopes

HEAT = 100.0
CAPTION = (
    "The samples that the network gets right. Left: the gap between the two largest logits, for this network and for "
    "an undefended one. Beyond the line the softmax of every other class is zero in float32. Right: the length of the "
    f"gradient with respect to the input, smallest first, of the cross-entropy of the logits and of the logits / "
    f"{HEAT:g}. Samples with a gradient of exactly zero are not drawn."
)


def saturation(evaluation: Evaluation) -> list[Section]:
    """The section for the report; none where the preset or its undefended network has no weights."""
    plain = f"{(evaluation.preset or '').partition('-')[0]}{CONTROL}"
    found, alone = (rebuilt(evaluation, "distillation", name) for name in (evaluation.preset or "", plain))
    if found is None or alone is None:
        return []
    right = correct(*found)
    x, y = found.inputs[right], found.labels[right]
    apart = {"undefended": gaps(alone.model, x), "this network": gaps(found.model, x)}
    lengths = {
        "cross-entropy": slopes(found.model, x, y),
        f"of the logits / {HEAT:g}": slopes(found.model, x, y, HEAT),
    }
    alt = "Logits far apart; the gradient of the cross-entropy is zero for most samples, of divided logits for none."
    return [figure_section("Why the softmax fails", drawn(apart, lengths), alt=alt, caption=CAPTION)]


def drawn(apart: dict[str, Tensor], lengths: dict[str, Tensor]) -> Figure:
    """Histograms of the gaps ``apart``, (n,) each, beside the sorted ``lengths`` of gradients, (n,) each."""
    canvas = figure(2.6)
    left, right = canvas.subplots(1, 2)
    edges = torch.logspace(-1, 3.6, 60)
    for (label, values), colour in zip(apart.items(), (INTERMEDIATE, BASELINE), strict=True):
        left.hist(values.numpy(), bins=edges.tolist(), color=colour, label=label)
    left.set_xscale("log")
    left.axvline(SATURATED, color=ADAPTIVE, linewidth=1)
    left.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    quiet(left, title="Largest logit less the second largest", x="gap", y="samples")
    for (label, values), colour in zip(lengths.items(), (BASELINE, ADAPTIVE), strict=True):
        ordered = values.sort().values
        lost = int((ordered == 0).sum())
        name = f"{label}, {lost} zero"
        right.semilogy(range(lost, len(ordered)), ordered[lost:].numpy(), color=colour, linewidth=1.4, label=name)
    right.legend(frameon=False, fontsize=8, loc="lower center", labelcolor="linecolor")
    right.set_xlim(0, len(next(iter(lengths.values()))))
    quiet(right, title="Length of the gradient", x="sample, smallest first")
    return canvas
