"""``Images.of``: torch's datasets and loaders, tensors, arrays and mappings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from advplug import Images
from advplug.errors import InvalidInput

X = torch.arange(20 * 3 * 2 * 2).reshape(20, 3, 2, 2) / 256
Y = torch.tensor([0] * 15 + [1] * 5)


class Counted(Dataset[Any]):
    """Samples, and which of them were read; ``targets`` as torchvision's datasets have them."""

    def __init__(self, x: Any = X, y: Any = Y, *, told: bool = True) -> None:
        self.x, self.y = x, y
        self.read: list[int] = []
        if told:
            self.targets = [int(label) for label in y]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, place: int) -> Any:
        self.read.append(place)
        return self.x[place], self.y[place]


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X.tolist(), Y.tolist()),
        (list(X), list(Y)),
        (X.bfloat16(), Y.float()),
        {"x": X, "y": Y},
        {"images": X, "labels": torch.eye(2)[Y], "ids": ["a"] * 20},
        TensorDataset(X, Y),
        Counted(),
        Counted(told=False),
        Counted(list(X.numpy()), Y.numpy()),
        ConcatDataset([TensorDataset(X[:5], Y[:5]), Subset(Counted(), range(5, 20))]),
        DataLoader(Counted(), batch_size=3),
        DataLoader(TensorDataset(X, Y), batch_size=6, shuffle=True, drop_last=True),
        DataLoader(TensorDataset(X, Y), batch_size=None),
        Flow(),
        DataLoader(Flow(), batch_size=7),
    ],
    ids=lambda data: type(data).__name__,
)
def test_forms_of_data(data: Any) -> None:
    images = Images.of(data)
    assert (images.inputs.dtype, images.labels.dtype, images.pixels) == (torch.float32, torch.int64, False)
    assert torch.equal(images.inputs, X)
    assert torch.equal(images.labels, Y)


def test_inputs_beside_labels_names_and_dtype() -> None:
    images = Images.of(X.double(), Y, class_names=["ant", "bee"], name="insects", dtype=torch.float64)
    assert (images.inputs.dtype, images.class_names, images.name) == (torch.float64, ("ant", "bee"), "insects")
    again = Images.of(images, limit=4)
    assert (len(again), again.class_names, again.name) == (4, ("ant", "bee"), "insects")


def test_bytes_and_pictures_are_pixels() -> None:
    raw = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    wanted = torch.from_numpy(raw.transpose(0, 3, 1, 2) / np.float32(255)).float()
    pictures = [Image.fromarray(one) for one in raw]
    for data in ((raw, [1, 0]), Counted(raw, [1, 0]), Counted(pictures, [1, 0])):
        images = Images.of(data)
        assert images.pixels
        torch.testing.assert_close(images.inputs, wanted)
    grey = Images.of(Counted([picture.convert("L") for picture in pictures], [1, 0]))
    assert grey.inputs.shape == (2, 1, 4, 5)
    mixed = Images.of(Counted([pictures[0], pictures[1].convert("L")], [1, 0]))
    assert mixed.inputs.shape == (2, 3, 4, 5)


@pytest.mark.parametrize("wrapped", ["dataset", "loader", "subset", "concatenated"])
def test_only_the_samples_that_are_drawn_are_read(wrapped: str) -> None:
    dataset: Any = Counted()
    data = {
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=3, shuffle=True),
        "subset": Subset(dataset, range(20)),
        "concatenated": ConcatDataset([dataset]),
    }[wrapped]
    images = Images.of(data, limit=6, seed=1)
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1], "evenly across the classes"
    assert len(dataset.read) == 6
    assert torch.equal(images.inputs, X[sorted(dataset.read)])
    others = Images.of(data, limit=6, seed=2)
    assert not torch.equal(images.inputs, others.inputs)


def test_labels_that_are_not_told_cost_a_pass_and_the_draw_is_the_same() -> None:
    dataset = Counted(told=False)
    assert torch.equal(Images.of(dataset, limit=6).inputs, Images.of(Counted(), limit=6).inputs)
    assert len(dataset.read) == 20


@pytest.mark.parametrize("told", [["a"] * 20, 3, [0] * 19, [[0, 1]] * 20, "00000000000000000000", {"a": 1}])
def test_an_attribute_that_holds_no_labels_is_not_taken_for_some(told: Any) -> None:
    dataset = Counted(told=False)
    dataset.targets = told
    assert torch.equal(Images.of(dataset).labels, Y)


def test_a_property_that_fails_tells_no_labels() -> None:
    class Lazy(Counted):
        @property
        def labels(self) -> Any:
            raise OSError("no such file")

    assert torch.equal(Images.of(Lazy(told=False)).labels, Y)


def test_the_labels_that_count_come_with_the_samples() -> None:
    dataset = Counted()
    dataset.targets = [1 - label for label in dataset.targets]
    assert torch.equal(Images.of(dataset).labels, Y)


def test_a_stream_gives_its_first_samples() -> None:
    for data in (Flow(), DataLoader(Flow(), batch_size=4)):
        images = Images.of(data, limit=6)
        assert torch.equal(images.inputs, X[:6])


def test_a_sampler_of_its_own_is_kept_and_seeded() -> None:
    some = DataLoader(Counted(), batch_size=2, sampler=SubsetRandomSampler(range(15, 20)))
    assert Images.of(some).labels.tolist() == [1] * 5
    weighted = DataLoader(Counted(), batch_size=4, sampler=WeightedRandomSampler([0] * 19 + [1], 8))
    assert torch.equal(Images.of(weighted).inputs, X[-1:].expand(8, -1, -1, -1))
    first, second = (Images.of(some, seed=seed).inputs for seed in (0, 0))
    assert torch.equal(first, second)
    state = torch.get_rng_state()
    Images.of(some, seed=3)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are left alone"


def test_a_loader_collates_by_its_own_rule() -> None:
    def doubled(samples: list[Any]) -> dict[str, Any]:
        x, y = zip(*samples, strict=True)
        return {"pixel_values": 2 * torch.stack(x), "labels": torch.stack(y)}

    images = Images.of(DataLoader(Counted(), batch_size=8, collate_fn=doubled), limit=4)
    assert len(images) == 4
    assert torch.equal(images.inputs[0] % (2 / 256), torch.zeros(3, 2, 2))


class Failing(Counted):
    def __getitem__(self, place: int) -> Any:
        if place == 3:
            raise OSError("disk\nfull")
        return super().__getitem__(place)


class Endless(Dataset[Any]):
    def __getitem__(self, place: int) -> Any:
        return X[0], 0


ragged = [*X[:5], torch.zeros(3, 9, 9), *X[6:]]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ((X, Y[:3]), {}, "data: x has 20 samples, y has 3 labels"),
        ((X.where(X > 0, torch.nan), Y), {}, "x holds NaN or infinite values: clean the data"),
        ((X, Y - 1), {}, "negative label -1"),
        ((X, Y), {"class_names": ["one"]}, "the label 1, and there are 1 class names: number classes from 0"),
        ((X, Y + 0.5), {}, "y holds 0.5: give class numbers"),
        ((X.long(), Y), {}, "x is int64: give pixels as uint8"),
        ((X[:0], Y[:0]), {}, "x is empty"),
        (([[1.0], [1.0, 2.0]], [0, 1]), {}, "x is a list of unlike rows: give one array"),
        ((X,), {}, "it holds a tuple of 1: give a tuple"),
        (X, {}, "it holds a Tensor: give a tuple"),
        ({"a": X, "y": Y}, {"name": "mine"}, r"mine: no arrays x and y or .* \(it has a, y\)"),
        ("data.npz", {}, "names a file: read it with advplug.intake.read_images"),
        (Counted(ragged), {}, r"data\[5\] has shape \(3, 9, 9\), the first sample has \(3, 2, 2\): resize them"),
        (Failing(), {}, "reading sample or batch 3 failed: OSError: disk"),
        (DataLoader(Failing(), batch_size=2), {}, "reading sample or batch 1 failed: OSError: disk"),
        (DataLoader(Counted(ragged), batch_size=20), {}, "reading sample or batch 0 failed: RuntimeError"),
        (Endless(), {}, "the dataset has no length"),
        (TensorDataset(X), {}, "a sample is a tuple: give input and label as a tuple"),
        (Counted([Image.new("L", (2, 2)), X[0]], [0, 1]), {}, "some samples are images and some are arrays"),
        (Counted([Image.new("I;16", (2, 2))], [0]), {}, r"data\[0\]: I;16 pixels"),
        (Counted(X, [np.zeros(2), *[0] * 19], told=False), {}, "the labels have different shapes"),
        ([{"input": X[0], "y": 0}], {}, "it holds a list of 1"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(data: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        Images.of(data, **options)
    assert "\n" not in str(caught.value)


def test_the_names_of_a_sample_are_listed() -> None:
    class Named(Counted):
        def __getitem__(self, place: int) -> Any:
            return {"pixels": self.x[place], "y": 0}

    with pytest.raises(InvalidInput, match=re.escape("a sample has pixels, y: name them as one pair of x and y, ")):
        Images.of(Named())


def test_an_attack_takes_what_was_drawn() -> None:
    from advplug import ThreatModel, load, run

    digits = load("data:mnist")().load("shipped", limit=60)
    loader = DataLoader(TensorDataset(digits.inputs, digits.labels), batch_size=16, shuffle=True)
    images = Images.of(loader, limit=10)
    assert images.labels.unique().tolist() == list(range(10))
    model = load("defense:kwta")().build("mnist-relu")
    found = run(load("attack:pgd")(steps=5), model, images.inputs, images.labels, ThreatModel("linf", 0.1))
    assert isinstance(found.adversarials, Tensor)
