"""Image files of every kind: the right pixels, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from advplug.errors import InvalidInput
from advplug.intake.pictures import read_picture, read_pictures

COLOURS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4


def saved(folder: Path, picture: Any, name: str = "a.png", **options: Any) -> Path:
    picture.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(
    ("mode", "name"),
    [("RGB", "a.png"), ("RGB", "a.bmp"), ("RGB", "a.tif"), ("RGBA", "a.png"), ("RGBA", "a.webp")],
)
def test_colours_are_read_as_they_are(tmp_path: Path, mode: str, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    assert np.array_equal(
        read_picture(saved(tmp_path, Image.fromarray(COLOURS).convert(mode), name, **options)), COLOURS
    )


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_keeps_one_channel(tmp_path: Path, mode: str) -> None:
    grey = COLOURS[..., 0]
    assert np.array_equal(read_picture(saved(tmp_path, Image.fromarray(grey).convert(mode)))[..., 0], grey)


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    bits = COLOURS[..., 0] > 100
    assert np.array_equal(read_picture(saved(tmp_path, Image.fromarray(bits)))[..., 0], bits * 255)


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_a_palette_is_looked_up(tmp_path: Path, name: str) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    assert read_picture(saved(tmp_path, picture, name)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_becomes_colours(tmp_path: Path) -> None:
    """Full cyan takes the red away, full black everything."""
    inks = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)
    bands = [Image.fromarray(np.ascontiguousarray(inks[..., band])) for band in range(4)]
    found = read_picture(saved(tmp_path, Image.merge("CMYK", bands), "a.tif"))
    assert found.tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_picture(saved(tmp_path, Image.fromarray(COLOURS), exif=exif))
    assert np.array_equal(found, np.rot90(COLOURS, turn))


def test_sizes_are_compared_after_turning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(tmp_path, Image.fromarray(COLOURS.transpose(1, 0, 2)), "turned.png", exif=exif)
    straight = saved(tmp_path, Image.fromarray(COLOURS), "straight.png")
    assert read_pictures([turned, straight]).shape == (2, 4, 5, 3)


def test_grey_beside_colours_gets_their_channels(tmp_path: Path) -> None:
    files = [saved(tmp_path, Image.fromarray(COLOURS)), saved(tmp_path, Image.new("L", (5, 4), 7), "b.png")]
    assert read_pictures(files)[1].tolist() == [[[7, 7, 7]] * 5] * 4
    assert read_pictures(files[1:]).shape == (1, 4, 5, 1)


def transparent_palette() -> Any:
    picture = Image.new("P", (2, 2))
    picture.info["transparency"] = 0
    return picture


REFUSED: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "transparent in places": (Image.new("RGBA", (2, 2), (1, 2, 3, 254)), "a.png", {}),
    "grey.png is transparent in places": (Image.new("LA", (2, 2), (1, 0)), "grey.png", {}),
    "palette.png is transparent": (transparent_palette(), "palette.png", {"transparency": 0}),
    "a.gif has 2 frames": (
        Image.new("L", (2, 2)),
        "a.gif",
        {"save_all": True, "append_images": [Image.new("L", (2, 2), 9)]},
    ),
    "a.tif has 2 frames": (
        Image.new("L", (2, 2)),
        "a.tif",
        {"save_all": True, "append_images": [Image.new("L", (2, 2), 9)]},
    ),
    "convert the image to 8 bits": (Image.fromarray(np.zeros((4, 5), np.uint16)), "deep.png", {}),
    "F pixels; convert": (Image.fromarray(np.zeros((4, 5), np.float32)), "real.tif", {}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_one_right_value_is_refused_by_name(tmp_path: Path, message: str) -> None:
    picture, name, options = REFUSED[message]
    path = saved(tmp_path, picture, name, **options)
    with pytest.raises(InvalidInput, match=message) as caught:
        read_picture(path)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif", "a.webp"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_truncated_files_are_refused_in_one_line(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InvalidInput, match=f"{name}: not a readable image") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
