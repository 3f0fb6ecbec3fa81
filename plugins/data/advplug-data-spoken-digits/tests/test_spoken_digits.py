"""The shipped recordings, the phrases made of them, and what happens when files are missing or wrong."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from advplug_data_spoken_digits import SpokenDigits, _recordings
from advplug_data_spoken_digits._dataset import DIGITS, PEAK, SLOT, at_one_level, phrases_of
from advplug_data_spoken_digits._recordings import RATE, SHIPPED, Recording, shipped

import advplug
from advplug.errors import DataUnavailable, InvalidInput
from advplug.transcription import spelled, unpacked


def write(path: Path, sound: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight recordings of two digits and one speaker, each of one value only; one of them ships."""
    for digit in (3, 7):
        for number in range(8):
            write(tmp_path / "recordings" / f"{digit}_ann_{number}.wav", np.full(1000 + number, 100 * digit + number))
    write(tmp_path / "recordings" / "3_ann_7.wav", shipped()[0].sound)
    return tmp_path


def test_plugin_is_found() -> None:
    assert advplug.load("data:spoken-digits") is SpokenDigits


def test_shipped_recordings_are_few_and_balanced() -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    found = shipped()
    assert np.bincount([one.digit for one in found]).tolist() == [10] * 10
    assert {len({one.speaker for one in found if one.digit == digit}) for digit in range(10)} <= {4, 5, 6}
    assert all(0 < len(one.sound) <= SLOT for one in found)


def test_shipped_phrases(tmp_path: Path) -> None:
    phrases = SpokenDigits(tmp_path).load("shipped")
    assert phrases.inputs.shape == (200, 2 * RATE)
    assert phrases.inputs.dtype == torch.float32
    assert float(phrases.inputs.abs().max()) == PEAK / 2**15
    assert torch.equal(phrases.inputs * 2**15, (phrases.inputs * 2**15).round())  # 16-bit sound
    assert (phrases.transcribed, phrases.sample_rate, phrases.pixels) == (True, RATE, False)
    assert unpacked(phrases.labels, 10).shape == (200, DIGITS)
    assert len(phrases.labels.unique()) > 190
    assert phrases.missing_classes() == ()


def test_every_digit_lies_within_its_half_second(tmp_path: Path) -> None:
    phrases = SpokenDigits(tmp_path).load("shipped", 20)
    known = {(one.digit, at_one_level(one.sound).tobytes()) for one in shipped()}
    for sound, label in zip(phrases.inputs.numpy(), phrases.labels.tolist(), strict=True):
        for slot, digit in zip(sound.reshape(DIGITS, SLOT), spelled(label, phrases.class_names), strict=True):
            own = [content for said, content in known if said == int(digit)]
            assert any(content in slot.tobytes() for content in own)


def test_a_phrase_has_one_speaker() -> None:
    voices = {"ann": 1000, "bob": 2000}
    recordings = [Recording(5, name, 0, np.full(length, 7, np.int16)) for name, length in voices.items()]
    for _, (sound, digits) in zip(range(10), phrases_of(recordings, 0), strict=False):
        assert digits.tolist() == [5] * DIGITS
        assert np.count_nonzero(sound) in (4000, 8000)


def test_splits_of_the_full_collection(folder: Path) -> None:
    dataset = SpokenDigits(folder)
    train, test = dataset._recordings("train"), dataset._recordings("test")
    assert [(one.digit, one.number) for one in train] == [(3, 5), (3, 6), (7, 5), (7, 6), (7, 7)]  # 3, 7 ships
    assert {one.number for one in test} == set(range(5))
    phrases = dataset.load("train", 10)
    assert {digit for label in phrases.labels.tolist() for digit in spelled(label, phrases.class_names)} <= {"3", "7"}
    assert phrases.name == "spoken-digits-train"


def test_long_recordings_are_left_out() -> None:
    recordings = [Recording(digit, "ann", 0, np.ones(SLOT + digit, np.int16)) for digit in (0, 1)]
    _, digits = next(phrases_of(recordings, 0))
    assert digits.tolist() == [0] * DIGITS


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_limit_takes_the_first(tmp_path: Path, limit: int) -> None:
    dataset = SpokenDigits(tmp_path)
    assert torch.equal(dataset.load("shipped", limit).inputs, dataset.load("shipped", 9).inputs[:limit])


@pytest.mark.parametrize(("split", "limit"), [("validation", None), ("shipped", -1)])
def test_invalid_requests(tmp_path: Path, split: str, limit: int | None) -> None:
    with pytest.raises(InvalidInput, match=r"shipped|limit"):
        SpokenDigits(tmp_path).load(split, limit)


def test_missing_files_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="ADVPLUG_DATA") as caught:
        SpokenDigits(tmp_path).load("train")
    assert str(tmp_path / "recordings") in str(caught.value)


@pytest.mark.parametrize("name", ["3_ann_x.wav", "three_ann_1.wav"])
def test_names_without_numbers(folder: Path, name: str) -> None:
    write(folder / "recordings" / name, np.ones(10))
    with pytest.raises(DataUnavailable, match=name):
        SpokenDigits(folder).load("test")


def test_another_rate_and_no_sound(folder: Path) -> None:
    path = folder / "recordings" / "3_ann_9.wav"
    write(path, np.ones(10), rate=16000)
    with pytest.raises(DataUnavailable, match="16000"):
        SpokenDigits(folder).load("test")
    path.write_bytes(b"no sound")
    with pytest.raises(DataUnavailable, match="3_ann_9"):
        SpokenDigits(folder).load("test")


def test_damaged_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "recordings.npz"
    damaged.write_bytes(SHIPPED.read_bytes()[:1000])
    monkeypatch.setattr(_recordings, "SHIPPED", damaged)
    with pytest.raises(DataUnavailable, match="reinstall"):
        SpokenDigits(tmp_path).load("shipped")
