"""Datasets of Hugging Face: look-alikes always, and real ones on disk where the library is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from advplug import Images
from advplug.errors import InvalidInput
from advplug.intake import read_images

BYTES = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
LABELS = [0] * 8 + [1] * 4
NAMES = ["ant", "bee"]


class Image:
    """Stands for the feature of that name; so do the next two."""


class ClassLabel:
    names = NAMES


class Value:
    pass


class LookAlike:
    """As much of a dataset as is asked for, and which images were decoded."""

    def __init__(self, features: dict[str, Any], columns: dict[str, list[Any]]) -> None:
        self.features, self.columns = features, columns
        self.read: list[int] = []

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    def with_format(self, _: str | None) -> LookAlike:
        return self

    def select_columns(self, names: list[str]) -> LookAlike:
        return LookAlike({name: self.features[name] for name in names}, self.columns)

    def __getitem__(self, key: Any) -> dict[str, Any]:
        if isinstance(key, int):
            self.read.append(key)
        return {name: self.columns[name][key] for name in self.features}


def alike(**features: Any) -> LookAlike:
    pictures = [Picture.fromarray(one) for one in BYTES]
    columns: dict[str, list[Any]] = {
        "photo": pictures,
        "other": pictures,
        "kind": LABELS,
        "fine": LABELS,
        "label": LABELS,
        "x": list(BYTES / np.float32(255)),
    }
    return LookAlike(features, columns)


def test_types_say_which_columns_hold_images_and_labels() -> None:
    dataset = alike(label=Value(), photo=Image(), kind=ClassLabel())
    images = Images.of(dataset, limit=4)
    assert images.class_names == ("ant", "bee")
    assert (images.labels.tolist(), images.pixels) == ([0, 0, 1, 1], True)
    assert len(dataset.read) == 4, "only the drawn images are decoded"
    torch.testing.assert_close(images.inputs, torch.from_numpy(BYTES[dataset.read]).permute(0, 3, 1, 2) / 255)


def test_names_say_it_where_no_type_does() -> None:
    found = alike(x=Value(), label=Value())
    found.columns["x"] = list(BYTES.transpose(0, 3, 1, 2) / np.float32(255))
    images = Images.of(found)
    assert (images.labels.tolist(), images.class_names, images.pixels) == (LABELS, (), False)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"photo": Image(), "other": Image(), "label": Value()}, "several columns of images or inputs among photo"),
        ({"photo": Image(), "kind": ClassLabel(), "fine": ClassLabel()}, r"several .* labels .*\(remove_columns\)"),
        ({"photo": Image()}, r"no column of labels among photo \(Image\): call it label \(rename_column\)"),
        ({"kind": ClassLabel()}, "no column of images or inputs among kind"),
    ],
)
def test_columns_that_are_not_there_or_not_alone(features: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Images.of(alike(**features))


def test_a_label_that_is_hidden_is_refused() -> None:
    dataset = alike(photo=Image(), kind=ClassLabel())
    dataset.columns["kind"] = [-1] * 12
    with pytest.raises(InvalidInput, match="negative label -1"):
        Images.of(dataset)


def test_a_folder_without_the_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"pip install 'advplug\[hf\]'"):
        read_images(tmp_path)


def saved(folder: Path) -> Any:
    """Three splits on disk."""
    datasets = pytest.importorskip("datasets", reason="the extra advplug[hf]")
    features = datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)})
    pictures = [Picture.fromarray(one) for one in BYTES]
    whole = datasets.Dataset.from_dict({"img": pictures, "kind": LABELS}, features=features)
    splits = datasets.DatasetDict({"train": whole.select(range(3)), "test": whole, "extra": whole.select([0])})
    splits.save_to_disk(str(folder))
    return datasets


def test_a_folder_of_splits_gives_the_test_split_unless_one_is_named(tmp_path: Path) -> None:
    saved(tmp_path / "mine")
    images = read_images(tmp_path / "mine")
    assert (images.labels.tolist(), images.class_names, images.pixels) == (LABELS, ("ant", "bee"), True)
    torch.testing.assert_close(images.inputs, torch.from_numpy(BYTES).permute(0, 3, 1, 2) / 255)
    assert read_images(tmp_path / "mine" / "train").labels.tolist() == [0, 0, 0]


def test_arrays_and_plain_numbers_on_disk(tmp_path: Path) -> None:
    datasets = saved(tmp_path / "other")
    features = datasets.Features({"x": datasets.Array3D((3, 4, 4), "float32"), "label": datasets.Value("int64")})
    x = BYTES.transpose(0, 3, 1, 2) / np.float32(255)
    datasets.Dataset.from_dict({"x": list(x), "label": LABELS}, features=features).save_to_disk(str(tmp_path / "mine"))
    images = read_images(tmp_path / "mine")
    assert (images.pixels, images.labels.tolist()) == (False, LABELS)
    assert np.array_equal(images.inputs.numpy(), x)


def test_a_folder_that_is_damaged_or_has_no_known_split(tmp_path: Path) -> None:
    datasets = saved(tmp_path / "mine")
    for file in (tmp_path / "mine" / "test").glob("*.arrow"):
        file.write_bytes(b"hello")
    with pytest.raises(InvalidInput, match="damaged, or of another version"):
        read_images(tmp_path / "mine")
    odd = datasets.DatasetDict({"odd": datasets.Dataset.from_dict({"label": [0]})})
    odd.save_to_disk(str(tmp_path / "odd"))
    with pytest.raises(InvalidInput, match=r"has the splits odd: name the folder of one, .*odd/SPLIT"):
        read_images(tmp_path / "odd")
