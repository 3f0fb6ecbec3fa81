"""Phrases of four digits, put together from recordings of single ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from advplug.data import Dataset, Images
from advplug.data_files import check_request, data_folder
from advplug.transcription import packed
from advplug_data_spoken_digits._recordings import RATE, Recording, collected, shipped, without

DIGITS, SLOT = 4, RATE // 2
"""Digits of a phrase, and how many values each of them has room for; longer recordings are left out."""

PEAK = 2**14
"""Of every recording the largest value is this, half of full scale: some speakers are forty times as loud as others."""

PHRASES = {"shipped": 200, "train": 3000, "test": 1000}
TEST = 5
"""Recordings of each digit and speaker with a smaller number are for tests."""


class SpokenDigits(Dataset):
    """Phrases of four digits by one speaker, float32 (N, 16000) in [-1, 1], in steps of 16-bit sound.

    Digit k lies somewhere within the k-th half second, silence around it. The label is the sequence of digits as a
    number (:mod:`advplug.transcription`).

    Splits: ``shipped``, 200 phrases from 100 recordings in the package; ``train``, 3,000 phrases from those recordings
    of the full collection that are neither shipped nor for tests; ``test``, 1,000 phrases from the first five of each
    digit and speaker.

    Parameters
    ----------
    folder: holds the folder ``recordings`` of the full collection; by default ``spoken-digits`` below ``ADVPLUG_DATA``,
        or below the user's cache.
    """

    splits: ClassVar[tuple[str, ...]] = ("shipped", "train", "test")
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    shape: ClassVar[tuple[int, ...] | None] = (DIGITS * SLOT,)

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or data_folder("spoken-digits")) / "recordings"

    def load(self, split: str, limit: int | None = None) -> Images:
        """The first ``limit`` phrases of ``split``; see :class:`advplug.Dataset`."""
        check_request(self.splits, split, limit)
        recordings = self._recordings(split)
        count = PHRASES[split] if limit is None else min(limit, PHRASES[split])
        phrases = phrases_of(recordings, seed=self.splits.index(split))
        sounds, digits = np.zeros((count, DIGITS * SLOT), np.float32), np.zeros((count, DIGITS), np.int64)
        for row, (sound, said) in zip(range(count), phrases, strict=False):
            sounds[row], digits[row] = sound, said
        return Images(
            torch.from_numpy(sounds),
            packed(torch.from_numpy(digits), len(self.class_names)),
            self.class_names,
            f"spoken-digits-{split}",
            pixels=False,
            transcribed=True,
            sample_rate=RATE,
        )

    def _recordings(self, split: str) -> list[Recording]:
        if split == "shipped":
            return shipped()
        everything = collected(self.folder)
        if split == "test":
            return [one for one in everything if one.number < TEST]
        return without((one for one in everything if one.number >= TEST), shipped())


def phrases_of(
    recordings: Iterable[Recording], seed: int
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Phrases (T,) and their digits (DIGITS,), without end: speaker, digits, recordings and places at random."""
    said: dict[str, dict[int, list[Recording]]] = defaultdict(lambda: defaultdict(list))
    for one in recordings:
        if len(one.sound) <= SLOT:
            said[one.speaker][one.digit].append(one)
    speakers = sorted(said)
    draw = np.random.RandomState(seed).randint  # its numbers are the same in every version of NumPy
    while True:
        own = said[speakers[draw(len(speakers))]]
        known, phrase, digits = sorted(own), np.zeros((DIGITS, SLOT), np.float32), np.zeros(DIGITS, np.int64)
        for place in range(DIGITS):
            digits[place] = known[draw(len(known))]
            takes = own[int(digits[place])]
            sound = takes[draw(len(takes))].sound
            start = draw(SLOT - len(sound) + 1)
            phrase[place, start : start + len(sound)] = at_one_level(sound)
        yield phrase.ravel(), digits


def at_one_level(sound: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """``sound`` (T,) with its largest value at ``PEAK``, as parts of full scale."""
    values = sound.astype(np.float64)
    return np.asarray(np.rint(values * (PEAK / np.abs(values).max())) / 2**15, np.float32)
