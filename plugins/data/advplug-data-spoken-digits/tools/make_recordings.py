"""Make recordings.npz, the recordings that advplug-data-spoken-digits ships.

Usage: python make_recordings.py FOLDER, the folder with the wav files of the Free Spoken Digit Dataset
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
from advplug_data_spoken_digits._dataset import SLOT, TEST
from advplug_data_spoken_digits._recordings import SHIPPED, collected

EACH = 10
"""Recordings of each digit."""


def main(folder: Path) -> None:
    """Write ten recordings of each digit, the speakers taking turns, from those for tests that fit into a phrase."""
    usable = [one for one in collected(folder) if one.number < TEST and len(one.sound) <= SLOT]
    chosen = []
    for digit in range(10):
        own = [one for one in usable if one.digit == digit]
        speakers = ([one for one in own if one.speaker == speaker] for speaker in sorted({one.speaker for one in own}))
        turns = [one for turn in zip_longest(*speakers) for one in turn if one is not None]
        chosen += sorted(turns[:EACH], key=lambda one: one[:3])
    np.savez_compressed(
        SHIPPED,
        sound=np.concatenate([one.sound for one in chosen]),
        offsets=np.cumsum([0, *(len(one.sound) for one in chosen)]),
        digits=np.array([one.digit for one in chosen]),
        speakers=np.array([one.speaker for one in chosen]),
        numbers=np.array([one.number for one in chosen]),
    )
    print(f"{SHIPPED}: {len(chosen)} recordings, {SHIPPED.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
