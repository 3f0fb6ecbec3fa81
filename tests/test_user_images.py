"""The user's own data from .npz files."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.intake.user_images import in_drawn_order, read_images

PIXELS = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
LABELS = np.array([3, 1])


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (PIXELS, (2, 3, 4, 5)),
        (PIXELS[..., 0], (2, 1, 4, 5)),
        (PIXELS[..., :1], (2, 1, 4, 5)),
        (PIXELS.transpose(0, 3, 1, 2), (2, 3, 4, 5)),
    ],
    ids=["colour", "grey", "grey with channel", "channels first"],
)
def test_bytes_are_pixels(tmp_path: Path, x: Any, shape: tuple[int, ...]) -> None:
    images = read_images(npz(tmp_path, x=x, y=LABELS.astype(np.uint8)))
    assert images.inputs.shape == shape
    assert (images.inputs.dtype, images.labels.dtype) == (torch.float32, torch.int64)
    assert images.labels.tolist() == [3, 1]
    assert images.class_names == (), "numbers are no names"
    assert (images.name, images.pixels) == ("mine", True)
    expected = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2)[:, : shape[1]].astype(np.float32) / 255)
    torch.testing.assert_close(images.inputs, expected, atol=1e-3, rtol=0)


FLOATS = np.full((2, 3, 4, 5), 0.5)


@pytest.mark.parametrize("shape", [(2, 7), (2, 3, 9), (2, 3, 4, 5), (2, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_shape_are_taken_as_they_are(tmp_path: Path, shape: tuple[int, ...], kind: Any) -> None:
    x = (np.arange(np.prod(shape)).reshape(shape) / 8 - 3).astype(kind)
    images = read_images(npz(tmp_path, x=x, y=LABELS))
    assert (images.inputs.dtype, images.pixels) == (torch.float32, False)
    assert torch.equal(images.inputs, torch.from_numpy(x.astype(np.float32)))
    exact = read_images(npz(tmp_path, x=x, y=LABELS), dtype=torch.float64)
    assert torch.equal(exact.inputs, torch.from_numpy(x.astype(np.float64)))


@pytest.mark.parametrize(
    "y",
    [
        LABELS.astype(np.uint64),
        LABELS.astype(np.float32),
        LABELS[:, None],
        LABELS[:, None].astype(float),
        np.eye(4)[LABELS],
        np.eye(4, dtype=int)[LABELS],
        np.eye(4, dtype=bool)[LABELS],
    ],
    ids=["uint64", "floats", "column", "column of floats", "one-hot floats", "one-hot", "one-hot bool"],
)
def test_forms_of_labels(tmp_path: Path, y: Any) -> None:
    labels = read_images(npz(tmp_path, x=PIXELS, y=y)).labels
    assert (labels.dtype, labels.tolist()) == (torch.int64, [3, 1])


def test_labels_of_two_classes_may_be_bool(tmp_path: Path) -> None:
    assert read_images(npz(tmp_path, x=PIXELS, y=np.array([True, False]))).labels.tolist() == [1, 0]


def test_a_label_may_be_large_and_costs_nothing(tmp_path: Path) -> None:
    """How many classes there are is the model's to say; a name for each number would take all memory."""
    assert read_images(npz(tmp_path, x=PIXELS, y=np.array([2**40, 0]))).labels.tolist() == [2**40, 0]


@pytest.mark.parametrize(("x", "y"), [("inputs", "labels"), ("images", "labels"), ("x_test", "y_test")])
def test_other_names_of_the_arrays(tmp_path: Path, x: str, y: str) -> None:
    named = read_images(npz(tmp_path, **{x: PIXELS, y: LABELS, "x_train": PIXELS[:1], "y_train": LABELS[:1]}))
    short = read_images(npz(tmp_path, x=PIXELS, y=LABELS))
    assert torch.equal(named.inputs, short.inputs)
    assert torch.equal(named.labels, short.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": PIXELS}, r"no arrays x and y or inputs and labels or .* x_test and y_test \(it has x\)"),
        ({"a": PIXELS, "labels": LABELS}, r"no arrays x and y or inputs and labels .*\(it has a, labels\)"),
        ({"x": PIXELS.astype(np.int64), "y": LABELS}, "x is int64: give pixels as uint8, and all else as floating"),
        ({"x": PIXELS.astype(np.uint16), "y": LABELS}, "x is uint16: give pixels as uint8"),
        ({"x": PIXELS > 3, "y": LABELS}, "x is bool: give pixels as uint8"),
        ({"x": PIXELS[0, 0], "y": LABELS}, "uint8 x has shape"),
        ({"x": PIXELS.transpose(0, 2, 3, 1), "y": LABELS}, "1 or 3 channels, and all else as floating point"),
        ({"x": FLOATS[:, 0, 0, 0], "y": LABELS}, r"shape \(2,\): give one row for each sample"),
        ({"x": FLOATS.transpose(0, 2, 3, 1), "y": LABELS}, "channels last"),
        ({"x": np.where(FLOATS > 0, np.nan, 0), "y": LABELS}, "NaN or infinite"),
        ({"x": np.where(FLOATS > 0, np.inf, 0), "y": LABELS}, "NaN or infinite"),
        ({"x": FLOATS * 1e300, "y": LABELS}, "5e[+]299, too large for float32"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "empty"),
        ({"x": PIXELS, "y": LABELS[:0]}, "y is empty"),
        ({"x": PIXELS, "y": LABELS[:1]}, "2 samples, y has 1 labels"),
        ({"x": PIXELS, "y": LABELS + 0.5}, "y holds 3.5: give class numbers"),
        ({"x": PIXELS, "y": LABELS * np.nan}, "y holds nan: give class numbers"),
        ({"x": PIXELS, "y": np.array(["cat", "dog"])}, "y is <U3: give class numbers"),
        ({"x": PIXELS, "y": np.eye(2) / 2}, "is not one-hot"),
        ({"x": PIXELS, "y": np.ones((2, 2))}, "is not one-hot"),
        ({"x": PIXELS, "y": np.zeros((2, 2, 2), int)}, r"not \(N,\)"),
        ({"x": PIXELS, "y": -LABELS}, "negative label -3"),
        ({"x": PIXELS, "y": np.array([2**63, 0], np.uint64)}, f"the label {2**63}: classes are 0 to K - 1"),
        ({"x": PIXELS.astype(object), "y": LABELS}, "plain arrays"),
        ({"x": PIXELS, "y": LABELS.astype(object)}, "plain arrays"),
        ({"x": np.uint8(3), "y": LABELS}, r"shape \(\)"),
    ],
)
def test_npz_errors(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_images(npz(tmp_path, **arrays))


def test_other_arrays_of_the_file_are_not_read(tmp_path: Path) -> None:
    names = np.array(["cat", None], dtype=object)
    assert read_images(npz(tmp_path, x=PIXELS, y=LABELS, names=names)).labels.tolist() == [3, 1]


def test_files_that_are_not_there_or_something_else(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        read_images(tmp_path / "absent.npz")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(InvalidInput, match=r"not an \.npz"):
        read_images(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", PIXELS)
    with pytest.raises(InvalidInput, match=r"give an \.npz"):
        read_images(tmp_path / "b.npy")
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(InvalidInput, match=r"not an \.npz"):
        read_images(tmp_path / "b.npz")


def test_a_truncated_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = npz(tmp_path, x=np.random.default_rng(0).random((9, 3, 8, 8)), y=np.zeros(9, int)).read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 255
    (tmp_path / "flipped.npz").write_bytes(middle)
    for name in ("short.npz", "flipped.npz"):
        with pytest.raises(InvalidInput, match=r"not an \.npz file of plain arrays") as caught:
            read_images(tmp_path / name)
        assert "\n" not in str(caught.value)


HEADERS = {
    "one line only": b"{'descr': '<f4', 'fortran_order': False, 'shape': (9, '''4), }",
    "too large": b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999999999, 4), }",
    "too deep": b"(" * 2000,
}


def with_header(header: bytes) -> bytes:
    """An .npy file that starts with ``header``."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(144)


@pytest.mark.parametrize("name", ["x", "x.npy"])
@pytest.mark.parametrize("content", [b"hello", *map(with_header, HEADERS.values())], ids=["text", *HEADERS])
def test_members_that_are_no_arrays_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = npz(tmp_path, y=LABELS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content)
    with pytest.raises(InvalidInput, match=r"mine\.npz: ") as caught:
        read_images(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives_of_other_methods_are_refused(tmp_path: Path, method: int) -> None:
    plain, path = npz(tmp_path, x=PIXELS, y=LABELS), tmp_path / "packed.npz"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", method) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    assert read_images(path).labels.tolist() == [3, 1]
    content = bytearray(path.read_bytes())
    content[50:80] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="damaged"):
        read_images(path)


def test_encrypted_archives_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path, x=PIXELS, y=LABELS)
    content = path.read_bytes()
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = content.split(mark)
        content = mark.join([parts[0], *(part[: place - 4] + b"\x01" + part[place - 3 :] for part in parts[1:])])
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="encrypted"):
        read_images(path)


def test_files_of_python_2_are_read_without_a_warning(tmp_path: Path) -> None:
    path = npz(tmp_path, y=LABELS)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 18L), }"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", with_header(header))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_images(path).inputs.shape == (2, 18)


def test_the_first_of_the_drawn_order_cover_the_classes_and_the_seed_fixes_them() -> None:
    labels = torch.tensor([0] * 50 + [1] * 5 + [7] * 45)
    images = Images(torch.arange(100.0).view(100, 1, 1, 1), labels)
    drawn = in_drawn_order(images, 12, seed=3)
    assert drawn.labels[:12].bincount().tolist() == [4, 4, 0, 0, 0, 0, 0, 4]
    assert sorted(drawn.inputs.flatten().tolist()) == list(range(100)), "none is lost, none is there twice"
    assert (drawn.inputs[:12].flatten().diff() > 0).all(), "in the order of the file"
    assert torch.equal(drawn.labels, images.labels[drawn.inputs.flatten().long()])
    assert torch.equal(in_drawn_order(images, 12, seed=3).inputs, drawn.inputs)
    assert not torch.equal(in_drawn_order(images, 12, seed=4).inputs[:12], drawn.inputs[:12])
    assert in_drawn_order(images, 18, seed=3).labels[:18].bincount()[[0, 1, 7]].tolist() in ([7, 5, 6], [6, 5, 7])
    assert in_drawn_order(images, 100, seed=3) is images
    assert in_drawn_order(images, None, seed=3) is images


def test_missing_classes_are_those_named_and_those_of_the_model() -> None:
    images = Images(torch.zeros(3, 1, 1, 1), torch.tensor([0, 3, 3]), ("a", "b", "c", "d", "e"))
    assert images.missing_classes() == (1, 2, 4)
    assert images.missing_classes(7) == (1, 2, 4, 5, 6)
    assert images[1:].missing_classes(2) == (0, 1, 2, 4)
    assert Images(images.inputs, images.labels).missing_classes() == ()
