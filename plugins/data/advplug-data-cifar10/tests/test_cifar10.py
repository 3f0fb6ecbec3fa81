"""CIFAR-10 from arrays, .bin files and the archive, and what happens when they are missing or wrong."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from advplug_data_cifar10 import _dataset
from advplug_data_cifar10._dataset import ARCHIVE, CIFAR10, FILES, INNER

import advplug
from advplug.errors import DataUnavailable, InvalidInput


def records(count: int = 10) -> bytes:
    """``count`` records: image i is red i, green 2i, blue 3i, of class i mod 10."""
    return b"".join(
        bytes([i % 10]) + b"".join(bytes([channel * i % 256]) * 1024 for channel in (1, 2, 3)) for i in range(count)
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images a file, and no network."""

    def refuse(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(_dataset, "PER_FILE", 10)
    monkeypatch.setattr("pooch.retrieve", refuse)


def check(folder: Path) -> None:
    test, train = CIFAR10(folder).load("test"), CIFAR10(folder).load("train", 33)
    assert test.inputs.shape == (10, 3, 32, 32)
    assert test.inputs.dtype == torch.float32
    assert (test.inputs[7, :, 5, 6] * 255).round().tolist() == [7, 14, 21]
    assert test.labels.tolist() == list(range(10))
    assert len(train) == 33
    assert test.class_names[3] == "cat"


def test_plugin_is_found() -> None:
    assert advplug.load("data:cifar10") is CIFAR10


@pytest.mark.parametrize("inner", [".", INNER])
def test_bin_files(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    for name in [*FILES["test"], *FILES["train"]]:
        (tmp_path / inner / name).write_bytes(records())
    check(tmp_path)


def archive(path: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(path, "w:gz") as out:
        for name in names:
            member = tarfile.TarInfo(f"{INNER}/{name}")
            member.size = len(records())
            out.addfile(member, io.BytesIO(records()))


def test_archive(tmp_path: Path) -> None:
    archive(tmp_path / ARCHIVE, FILES["test"] + FILES["train"])
    check(tmp_path)


def test_own_arrays(tmp_path: Path) -> None:
    x = np.arange(4 * 32 * 32 * 3).reshape(4, 32, 32, 3).astype(np.uint8)
    np.savez(tmp_path / "test.npz", x=x, y=np.array([3, 1, 4, 1]))
    images = CIFAR10(tmp_path).load("test", 3)
    assert images.labels.tolist() == [3, 1, 4]
    assert np.array_equal((images.inputs * 255).round().numpy(), x[:3].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.zeros((2, 32, 32, 3), np.uint8)},
        {"x": np.zeros((2, 32, 32, 3), np.float32), "y": np.zeros(2, int)},
        {"x": np.zeros((2, 3, 32, 32), np.uint8), "y": np.zeros(2, int)},
        {"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.zeros(3, int)},
        {"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([0, 10])},
        {"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([-1, 0])},
        {"x": np.array([None, None]), "y": np.zeros(2, int)},
    ],
    ids=["no y", "float", "channels first", "lengths", "label 10", "label -1", "pickled"],
)
def test_own_arrays_of_another_form(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "train.npz", **arrays)
    with pytest.raises(DataUnavailable, match="train"):
        CIFAR10(tmp_path).load("train")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_damaged_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.npz").write_bytes(content)
    with pytest.raises(DataUnavailable, match=r"test\.npz"):
        CIFAR10(tmp_path).load("test")


def test_damaged_archive(tmp_path: Path) -> None:
    archive(tmp_path / ARCHIVE, FILES["train"])
    with pytest.raises(DataUnavailable, match="damaged or another archive"):
        CIFAR10(tmp_path).load("test")
    (tmp_path / ARCHIVE).write_bytes((tmp_path / ARCHIVE).read_bytes()[:60])
    with pytest.raises(DataUnavailable, match="damaged or another archive"):
        CIFAR10(tmp_path).load("train")


def test_truncated_bin_file(tmp_path: Path) -> None:
    (tmp_path / FILES["test"][0]).write_bytes(records()[:-1])
    with pytest.raises(DataUnavailable, match="bytes, not"):
        CIFAR10(tmp_path).load("test")


def test_missing_files_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="ADVPLUG_DATA") as caught:
        CIFAR10(tmp_path / "none").load("test")
    for part in (ARCHIVE, "test.npz", str(tmp_path / "none"), "no network"):
        assert part in str(caught.value)


def test_download_checks_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def retrieve(url: str, known_hash: str, *, fname: str, path: Path, downloader: object) -> str:
        assert len(known_hash) == 64
        raise ValueError("hash of downloaded file does not match")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(DataUnavailable, match="does not match"):
        CIFAR10(tmp_path).load("test")


@pytest.mark.parametrize(("split", "limit"), [("shipped", None), ("test", -1)])
def test_invalid_requests(tmp_path: Path, split: str, limit: int | None) -> None:
    with pytest.raises(InvalidInput, match=r"choose one of test, train|limit"):
        CIFAR10(tmp_path).load(split, limit)
