"""What the search spent on the samples that it broke."""

from __future__ import annotations

import numpy as np

from advplug.records.evaluation import Evaluation
from advplug.report.looks import looks
from advplug.report.picture import Picture, label, listed, name
from advplug.report.style import INK, figure, quiet

TITLE = "Queries to success"
_FEW, _ALIKE = 5, 3  # a histogram of fewer samples, or of fewer different numbers, shows nothing
_WIDE = 30


def query_histogram(evaluation: Evaluation) -> Picture:
    """Forward passes that were spent on each broken sample; only for attacks where these differ."""
    spent = []
    for row, look in zip(evaluation.rows, looks(evaluation), strict=True):
        success, forwards = row.arrays.get("success"), row.arrays.get("forwards")
        if success is None or forwards is None:
            continue
        counts = np.asarray(forwards)[np.asarray(success, bool)]
        if len(counts) >= _FEW and len(np.unique(counts)) >= _ALIKE:
            spent.append((row, look, counts.clip(1)))
    if not spent:
        return Picture(TITLE, "Too few samples were broken, or all at the same cost.")
    everything = np.concatenate([counts for _, _, counts in spent])
    low, high = float(everything.min()), float(everything.max())
    wide = high / low > _WIDE
    bins = np.geomspace(low, high * 1.001, 25) if wide else np.linspace(low, high * 1.001, 25)
    drawn = figure(0.5 + 1.1 * len(spent))
    panels = drawn.subplots(len(spent), 1, squeeze=False, sharex=True).flatten()
    for axes, (row, look, counts) in zip(panels, spent, strict=True):
        axes.hist(counts, bins=bins, color=look.colour, alpha=0.85, rwidth=0.92)
        quiet(axes, title=label(row))
        axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
        if wide:
            axes.set_xscale("log")
    panels[-1].set_xlabel("queries spent on the sample", color=INK, fontsize=8.5)
    drawn.supylabel("broken samples", fontsize=8.5, color=INK)
    clauses = (
        f"{name(row)} broke {len(counts)} samples with {np.median(counts):,.0f} queries in the median, "
        f"{counts.min():,} to {counts.max():,}"
        for row, _, counts in spent
    )
    caption = "Forward passes that the search spent on each sample that it broke."
    return Picture(TITLE, caption, drawn, f"Histograms of queries. {listed(clauses)}")
