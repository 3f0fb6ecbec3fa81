"""What a plugin needs for a section of the report: a figure in a section, and the evaluated model to measure on."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from advplug.defense import Defense
from advplug.model import DefendedModel
from advplug.plugins.manager import load
from advplug.records.evaluation import Evaluation
from advplug.records.section import Section
from advplug.report.style import data_uri


def figure_section(title: str, drawn: Figure, *, alt: str, caption: str) -> Section:
    """The section that shows ``drawn`` over its caption, as the page's own sections do.

    Parameters
    ----------
    title, caption: plain text.
    drawn: made by :func:`advplug.report.style.figure`, whose colours follow the reader's light or dark scheme.
    alt: what is to be seen, plain text, for readers who do not see it.
    """
    image = f'<div class="wide"><img src="{data_uri(drawn)}" alt="{escape(alt)}"></div>'
    return Section(title, f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")


class Rebuilt(NamedTuple):
    """A model and the samples that were attacked, on the CPU.

    Parameters
    ----------
    model: with its shipped weights, frozen, in evaluation mode.
    inputs, labels: float32 (N, ...) and int64 (N,); they share the memory of the evaluation's arrays.
    """

    model: DefendedModel
    inputs: Tensor
    labels: Tensor


def rebuilt(evaluation: Evaluation, defense: str, preset: str | None = None) -> Rebuilt | None:
    """Build ``defense`` as it was evaluated; None where the evaluation names no preset that ships weights.

    Parameters
    ----------
    preset: another preset than the evaluated one, for a comparison on the same samples.

    Raises
    ------
    UnknownPlugin, BrokenPlugin: the defense is not to be had.
    MissingWeights, CorruptWeights: its shipped weights are absent or damaged.
    """
    plugin: Defense = load(f"defense:{defense}")()
    name = preset or evaluation.preset or ""
    if name not in plugin.presets or plugin.presets[name].weights is None:
        return None
    model = plugin.build(name).requires_grad_(False)
    return Rebuilt(model, torch.from_numpy(evaluation.inputs), torch.from_numpy(evaluation.labels))
