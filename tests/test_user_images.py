"""The user's own images from .npz files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.evaluation.user_images import in_drawn_order, read_images

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
        (PIXELS.transpose(0, 3, 1, 2) / 255, (2, 3, 4, 5)),
        ((PIXELS.transpose(0, 3, 1, 2) / 255).astype(np.float16), (2, 3, 4, 5)),
    ],
    ids=["colour", "grey", "grey with channel", "channels first", "float64", "float16"],
)
def test_npz_forms(tmp_path: Path, x: Any, shape: tuple[int, ...]) -> None:
    images = read_images(npz(tmp_path, x=x, y=LABELS.astype(np.uint8)))
    assert images.inputs.shape == shape
    assert (images.inputs.dtype, images.labels.dtype) == (torch.float32, torch.int64)
    assert images.labels.tolist() == [3, 1]
    assert images.class_names == ("0", "1", "2", "3")
    assert images.name == "mine"
    expected = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2)[:, : shape[1]].astype(np.float32) / 255)
    torch.testing.assert_close(images.inputs, expected, atol=1e-3, rtol=0)


FLOATS = np.full((2, 3, 4, 5), 0.5)


def test_npz_of_inputs_and_labels(tmp_path: Path) -> None:
    named = read_images(npz(tmp_path, inputs=PIXELS, labels=LABELS))
    short = read_images(npz(tmp_path, x=PIXELS, y=LABELS))
    assert torch.equal(named.inputs, short.inputs)
    assert torch.equal(named.labels, short.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": PIXELS}, r"no arrays x and y or inputs and labels \(it has x\)"),
        ({"images": PIXELS, "labels": LABELS}, r"no arrays x and y or inputs and labels \(it has images, labels\)"),
        ({"x": PIXELS.astype(np.int64), "y": LABELS}, "x is int64, not uint8"),
        ({"x": PIXELS[0, 0], "y": LABELS}, "uint8 x has shape"),
        ({"x": PIXELS.transpose(0, 2, 3, 1), "y": LABELS}, "1 or 3 channels"),
        ({"x": FLOATS[0], "y": LABELS}, r"not \(N, C, H, W\)"),
        ({"x": FLOATS.transpose(0, 2, 3, 1), "y": LABELS}, "channels last"),
        ({"x": FLOATS * 2.5, "y": LABELS}, r"outside \[0, 1\]$"),
        ({"x": FLOATS * 510, "y": LABELS}, "divide by 255"),
        ({"x": FLOATS - 1, "y": LABELS}, r"\[-0.5, -0.5\]"),
        ({"x": np.where(FLOATS > 0, np.nan, 0), "y": LABELS}, "NaN"),
        ({"x": np.where(FLOATS > 0, np.inf, 0), "y": LABELS}, "outside"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "empty"),
        ({"x": PIXELS, "y": LABELS[:1]}, "2 images, y has 1 labels"),
        ({"x": PIXELS, "y": LABELS.astype(float)}, "y is float64, not integers"),
        ({"x": PIXELS, "y": np.eye(2, dtype=int)}, r"not \(N,\)"),
        ({"x": PIXELS, "y": -LABELS}, "negative label -3"),
        ({"x": PIXELS.astype(object), "y": LABELS}, "plain arrays"),
        ({"x": np.uint8(3), "y": LABELS}, r"shape \(\)"),
    ],
)
def test_npz_errors(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_images(npz(tmp_path, **arrays))


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


def save(path: Path, value: int, mode: str = "RGB", size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).convert(mode).save(path)


def test_a_folder_per_class(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "b.png", 10)
    save(tmp_path / "dog" / "a.png", 20)
    save(tmp_path / "cat" / "7.png", 30, mode="L")
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    images = read_images(tmp_path)
    assert images.inputs.shape == (3, 3, 4, 5)
    assert (images.inputs[:, 0, 0, 0] * 255).round().tolist() == [30, 20, 10]
    assert images.labels.tolist() == [0, 1, 1]
    assert images.class_names == ("cat", "dog")


def test_hidden_folders_are_no_classes_and_empty_ones_keep_their_number(tmp_path: Path) -> None:
    for name in (".ipynb_checkpoints", "ant", "cat", "dog"):
        save(tmp_path / name / "a.png", 10)
    (tmp_path / "cat" / "a.png").unlink()
    images = read_images(tmp_path)
    assert images.class_names == ("ant", "cat", "dog")
    assert images.labels.tolist() == [0, 2]


def test_one_sub_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "pic_0.png", 10)
    save(tmp_path / "images" / "pic_1.png", 20)
    (tmp_path / "labels.csv").write_text("file,label\npic_0.png,0\npic_1.png,1\n")
    with pytest.raises(InvalidInput, match="images is the only sub-folder and would be the only class"):
        read_images(tmp_path)
    assert read_images(tmp_path / "images").labels.tolist() == [0, 1]


def test_numbered_folders_are_the_labels(tmp_path: Path) -> None:
    for label in (2, 10):
        save(tmp_path / str(label) / "a.png", label, mode="L")
    images = read_images(tmp_path)
    assert images.inputs.shape == (2, 1, 4, 5)
    assert sorted(images.labels.tolist()) == [2, 10]
    assert (images.inputs[:, 0, 0, 0] * 255).round().long().tolist() == images.labels.tolist()
    assert len(images.class_names) == 11


def test_labels_in_file_names(tmp_path: Path) -> None:
    save(tmp_path / "photo_00_243.png", 1)
    save(tmp_path / "photo_01_7.png", 2, mode="RGBA")
    assert read_images(tmp_path).labels.tolist() == [243, 7]


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no images"):
        read_images(tmp_path)
    save(tmp_path / "first.png", 1)
    with pytest.raises(InvalidInput, match="_LABEL"):
        read_images(tmp_path)
    (tmp_path / "first.png").rename(tmp_path / "first_1.png")
    save(tmp_path / "second_2.png", 1, size=(6, 4))
    with pytest.raises(InvalidInput, match=r"second_2\.png is 6x4, .*first_1\.png is 5x4"):
        read_images(tmp_path)
    (tmp_path / "second_2.png").write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match="not a readable image"):
        read_images(tmp_path)
    (tmp_path / "second_2.png").unlink()
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(tmp_path / "deep_3.png")
    with pytest.raises(InvalidInput, match="8 bits"):
        read_images(tmp_path)


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
