"""Clean sound and adversarial of samples that were broken: what is said in each, drawn and to be heard."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.records.evaluation import Evaluation
from advplug.report.picture import Picture, Player
from advplug.report.style import ADAPTIVE, INK, figure, quiet
from advplug.report.summary import strongest

MOST, SECONDS = 3, 30
"""Pairs of sounds on the page, and seconds of one from which on a page would be heavy."""

FULL_SCALE = 2**15
"""The values of 16-bit sound go from minus this to this."""

TITLE = "Broken samples"


def players(evaluation: Evaluation, rate: int) -> Picture:
    """The first samples that the strongest attack broke: their waves, their changes, and players for both."""
    row, inputs = strongest(evaluation), evaluation.inputs
    adversarials = None if row is None else row.arrays.get("adversarials")
    if row is None or adversarials is None:
        return Picture(TITLE, "No adversarials were recorded.")
    if inputs.ndim != 2 or inputs.shape != adversarials.shape or inputs.shape[1] > SECONDS * rate:
        return Picture(TITLE, f"The inputs have shape {tuple(inputs.shape[1:])}: no sounds of up to {SECONDS} seconds.")
    broken = np.flatnonzero(row.arrays["success"])[:MOST]
    if len(broken) == 0:
        return Picture(TITLE, f"{row.name} broke no sample.")
    clean, found = inputs[broken].astype(np.float64), adversarials[broken].astype(np.float64)
    said = [evaluation.name_of(int(label)) for label in evaluation.labels[broken]]
    heard = [evaluation.name_of(int(label)) for label in row.arrays["predicted"][broken]]
    drawn = figure(0.4 + 1.1 * len(broken))
    panels = drawn.subplots(len(broken), 2, squeeze=False, sharex=True, sharey="col")
    seconds = np.arange(inputs.shape[1]) / rate
    for (left, right), one, other, before, after in zip(panels, clean, found, said, heard, strict=True):
        left.plot(seconds, one, color=INK, lw=0.4)
        right.plot(seconds, other - one, color=ADAPTIVE, lw=0.4)
        left.set_title(f"says {before}".replace("$", r"\$"), fontsize=8, color=INK)
        right.set_title(f"change to {after}".replace("$", r"\$"), fontsize=8, color=INK)
        for axes in (left, right):
            quiet(axes, x="", y="")
    for axes in panels[-1]:
        axes.set_xlabel("seconds", fontsize=8, color=INK)
    sizes = [loudness(one, other) for one, other in zip(clean, found, strict=True)]
    caption = (
        f"The first {len(broken)} of {int(np.sum(row.arrays['success']))} samples that {row.name} broke: the sound and "
        "what is said in it (left), and what was added and is heard instead (right, on a scale of its own). Below, the "
        "largest change is in steps of 16-bit sound, and in decibels against the loudest value of the clean sound."
    )
    told = "; ".join(f"{before} to {after}, {size}" for before, after, size in zip(said, heard, sizes, strict=True))
    clips = [
        clip
        for one, other, before, after, size in zip(clean, found, said, heard, sizes, strict=True)
        for clip in (
            Player(f"clean, {before}", wave_uri(one, rate)),
            Player(f"adversarial, heard as {after} ({size})", wave_uri(other, rate)),
        )
    ]
    return Picture(TITLE, caption, drawn, f"Waves of {len(broken)} sounds that {row.name} broke: {told}.", tuple(clips))


def loudness(clean: NDArray[Any], found: NDArray[Any]) -> str:
    """The largest change in steps of 16-bit sound, and in decibels (Carlini and Wagner 2018, section 2)."""
    change, peak = float(np.abs(found - clean).max()), float(np.abs(clean).max())
    decibels = f", {20 * np.log10(change / peak):.0f} dB" if change > 0 and peak > 0 else ""
    return f"largest change {change * FULL_SCALE:.0f}{decibels}"


def wave_uri(sound: NDArray[Any], rate: int) -> str:
    """Sound (T,) in [-1, 1] as a 16-bit wav file in a ``data:`` URI."""
    values = np.clip(np.rint(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
