"""Recordings of single digits: those that ship, and the wav files of the full collection."""

from __future__ import annotations

import wave
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from advplug.errors import DataUnavailable

RATE = 8000
"""Values per second."""

SHIPPED = Path(__file__).parent / "recordings.npz"


class Recording(NamedTuple):
    """One digit of one speaker; ``number`` counts those of the same digit and speaker, ``sound`` is int16 (T,)."""

    digit: int
    speaker: str
    number: int
    sound: npt.NDArray[np.int16]


def shipped() -> list[Recording]:
    """Those in the package.

    Raises
    ------
    DataUnavailable: the file is damaged.
    """
    try:
        with np.load(SHIPPED, allow_pickle=False) as archive:
            sound, offsets, digits, speakers, numbers = (
                archive[name] for name in ("sound", "offsets", "digits", "speakers", "numbers")
            )
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataUnavailable(f"{SHIPPED} is damaged ({error}): reinstall advplug-data-spoken-digits") from error
    rows = zip(digits.tolist(), speakers.tolist(), numbers.tolist(), np.split(sound, offsets[1:-1]), strict=True)
    return [Recording(*row) for row in rows]


def collected(folder: Path) -> list[Recording]:
    """All of ``folder``, ordered by digit, speaker and number.

    Raises
    ------
    DataUnavailable: there are none, or a file is no such recording.
    """
    remedy = (
        f"Put the files DIGIT_SPEAKER_NUMBER.wav of the Free Spoken Digit Dataset into {folder}, or set ADVPLUG_DATA "
        "to the folder that holds spoken-digits/recordings; the split 'shipped' needs none."
    )
    paths = sorted(folder.glob("*_*_*.wav")) if folder.is_dir() else []
    if not paths:
        raise DataUnavailable(f"no recordings in {folder}. {remedy}")
    return sorted((_read(path, remedy) for path in paths), key=lambda one: one[:3])


def _read(path: Path, remedy: str) -> Recording:
    digit, speaker, number = path.stem.split("_", 2)
    try:
        with wave.open(str(path), "rb") as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(file.getnframes())
        if form != (1, 2, RATE):
            raise ValueError(f"channels, bytes and rate are {form}, not {(1, 2, RATE)}")
        return Recording(int(digit), speaker, int(number), np.frombuffer(content, "<i2").astype(np.int16))
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise DataUnavailable(f"{path} is no recording of a digit ({error}). {remedy}") from error


def without(recordings: Iterable[Recording], others: Iterable[Recording]) -> list[Recording]:
    """``recordings`` that none of ``others`` equals byte for byte."""
    known = {one.sound.tobytes() for one in others}
    return [one for one in recordings if one.sound.tobytes() not in known]
