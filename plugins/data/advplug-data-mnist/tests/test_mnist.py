"""The shipped digits, the IDX reader and what happens when files are missing or wrong."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from advplug_data_mnist import _dataset
from advplug_data_mnist._dataset import FILES, MNIST, SHA256
from advplug_data_mnist._idx import parse_idx
from hypothesis import given
from hypothesis import strategies as st

import advplug
from advplug.errors import DataUnavailable, InvalidInput

HERE = Path("file.gz")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small standard files, two of whose training digits are shipped, with their hashes."""
    generator = np.random.default_rng(0)
    shipped = (255 * MNIST(tmp_path).load("shipped", 2).inputs).round().numpy().astype(np.uint8)[:, 0]
    arrays = {}
    for images, labels in FILES.values():
        x = generator.integers(0, 256, (5, 28, 28), dtype=np.uint8)
        x[1::2] = shipped
        arrays.update({images: x, labels: np.arange(5)})
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(gzip.compress(idx(array)))
        monkeypatch.setitem(SHA256, name, hashlib.sha256(idx(array)).hexdigest())
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", refuse)


def test_plugin_is_found() -> None:
    assert advplug.load("data:mnist") is MNIST


def test_shipped_digits_are_balanced_bytes(tmp_path: Path) -> None:
    digits = MNIST(tmp_path).load("shipped")
    assert digits.inputs.shape == (10_000, 1, 28, 28)
    assert digits.inputs.dtype == torch.float32
    assert digits.labels.dtype == torch.int64
    assert (digits.inputs.min(), digits.inputs.max()) == (0, 1)
    assert digits.labels[:100].bincount().tolist() == [10] * 10
    assert torch.equal(digits.inputs, (digits.inputs * 255).round() / 255)
    assert len({image.numpy().tobytes() for image in digits.inputs}) == 10_000


def test_shipped_file_is_small_and_plain() -> None:
    assert _dataset.SHIPPED.stat().st_size < 2_000_000
    with np.load(_dataset.SHIPPED, allow_pickle=False) as archive:
        assert sorted(archive) == ["x", "y"]


@pytest.mark.parametrize("limit", [0, 1, 37])
def test_limit_takes_the_first(tmp_path: Path, limit: int) -> None:
    dataset = MNIST(tmp_path)
    assert torch.equal(dataset.load("shipped", limit).inputs, dataset.load("shipped").inputs[:limit])


@pytest.mark.parametrize(("split", "limit"), [("validation", None), ("shipped", -1)])
def test_invalid_requests(tmp_path: Path, split: str, limit: int | None) -> None:
    with pytest.raises(InvalidInput, match=r"shipped|limit"):
        MNIST(tmp_path).load(split, limit)


def test_standard_files(folder: Path) -> None:
    train = MNIST(folder).load("train")
    assert train.inputs.shape == (5, 1, 28, 28)
    assert train.labels.tolist() == [0, 1, 2, 3, 4]
    assert train.class_names == tuple("0123456789")


def test_disjoint_leaves_the_shipped_out(folder: Path) -> None:
    assert MNIST(folder).load("train-disjoint").labels.tolist() == [0, 2, 4]


def test_few_are_the_first_of_these(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dataset, "FEW", 2)
    few = MNIST(folder).load("train-few")
    assert (few.labels.tolist(), few.name) == ([0, 2], "mnist-train-few")


@pytest.mark.usefixtures("offline")
def test_missing_files_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="ADVPLUG_DATA") as caught:
        MNIST(tmp_path / "none").load("test")
    for name in [*SHA256, str(tmp_path / "none"), "shipped"]:
        assert name in str(caught.value)


def test_download_lands_in_the_folder(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def retrieve(url: str, known_hash: None, *, fname: str, path: Path, downloader: object) -> str:
        assert (url.endswith(fname), known_hash) == (True, None)
        if "googleapis" in url:
            raise OSError("mirror is down")
        (path / fname).write_bytes((folder / fname).read_bytes())
        return str(path / fname)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    target = tmp_path / "new"
    target.mkdir()
    assert len(MNIST(target).load("test")) == 5
    assert len(list(target.iterdir())) == 2


def test_wrong_hash(folder: Path) -> None:
    (folder / FILES["test"][1]).write_bytes(gzip.compress(idx(np.arange(4))))
    with pytest.raises(DataUnavailable, match="SHA-256"):
        MNIST(folder).load("test")


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(b"x" * 5000)[:-20]], ids=["empty", "text", "cut off"]
)
def test_damaged_gzip(folder: Path, content: bytes) -> None:
    (folder / FILES["test"][0]).write_bytes(content)
    with pytest.raises(DataUnavailable, match=r"gzip|SHA-256"):
        MNIST(folder).load("test")


def test_damaged_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "digits.npz"
    damaged.write_bytes(_dataset.SHIPPED.read_bytes()[:1000])
    monkeypatch.setattr(_dataset, "SHIPPED", damaged)
    with pytest.raises(DataUnavailable, match="Reinstall"):
        MNIST(tmp_path).load("shipped")


def test_data_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADVPLUG_DATA", str(tmp_path))
    assert MNIST().folder == tmp_path / "mnist"
    monkeypatch.delenv("ADVPLUG_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert MNIST().folder == tmp_path / "cache" / "advplug" / "mnist"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_idx_round_trip(shape: list[int]) -> None:
    array = (np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape)
    assert np.array_equal(parse_idx(idx(array), HERE), array)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\1\x08\1\0\0\0\0", b"\0\0\x0d\1\0\0\0\0", b"\0\0\x08\2\0\0\0\1", b"\0\0\x08\1\0\0\0\2a"],
)
def test_idx_refuses(content: bytes) -> None:
    with pytest.raises(DataUnavailable, match=r"file\.gz"):
        parse_idx(content, HERE)


def test_full_set_is_disjoint_from_the_shipped() -> None:
    dataset = MNIST()
    if "ADVPLUG_DATA" not in os.environ or not all((dataset.folder / name).is_file() for name in SHA256):
        pytest.skip("the standard files are not here")
    shipped = {image.numpy().tobytes() for image in dataset.load("shipped").inputs}
    disjoint = dataset.load("train-disjoint")
    assert len(disjoint) == 50_000
    assert not any(image.numpy().tobytes() in shipped for image in disjoint.inputs)
    assert not any(image.numpy().tobytes() in shipped for image in dataset.load("test").inputs)
    assert len(dataset.load("train")) == 60_000
