"""The user's own data from .pt and .safetensors files, and from names of their own code, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from advplug.cli import run
from advplug.errors import InvalidInput
from advplug.intake import read_images

PIXELS = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)
LABELS = torch.tensor([3, 1])
FLOATS = PIXELS.float() / 7


@pytest.mark.parametrize(
    "content",
    [
        (PIXELS, LABELS),
        [PIXELS, LABELS],
        {"x": PIXELS, "y": LABELS},
        {"inputs": PIXELS, "labels": LABELS, "note": "kept"},
        {"images": PIXELS, "labels": LABELS[:, None]},
        {"x_test": PIXELS, "y_test": LABELS, "x_train": PIXELS[:1], "y_train": LABELS[:1]},
    ],
    ids=["tuple", "list", "x", "inputs", "images", "x_test"],
)
@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_files_of_torch(tmp_path: Path, content: Any, suffix: str) -> None:
    torch.save(content, tmp_path / f"mine.{suffix}")
    images = read_images(tmp_path / f"mine.{suffix}")
    assert (images.labels.tolist(), images.pixels, images.name) == ([3, 1], True, "mine")
    torch.testing.assert_close(images.inputs, PIXELS / 255)


def test_files_of_safetensors(tmp_path: Path) -> None:
    save_file({"images": FLOATS, "labels": LABELS, "other": PIXELS}, tmp_path / "mine.safetensors")
    images = read_images(tmp_path / "mine.safetensors", dtype=torch.float64)
    assert (images.labels.tolist(), images.pixels, images.inputs.dtype) == ([3, 1], False, torch.float64)
    assert torch.equal(images.inputs, FLOATS.double())


class Custom:
    pass


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    torch.save(Custom(), tmp_path / "object.pt")
    torch.save(PIXELS, tmp_path / "one.pt")
    torch.save((PIXELS, LABELS, LABELS), tmp_path / "three.pt")
    torch.save({"a": PIXELS, "y": LABELS}, tmp_path / "names.pt")
    save_file({"a": PIXELS}, tmp_path / "names.safetensors")
    for name in ("damaged.pt", "damaged.safetensors"):
        (tmp_path / name).write_bytes(b"hello")
    for name, message in {
        "object.pt": r"not a file of plain tensors: write it with torch.save\(\(x, y\), 'object.pt'\)",
        "one.pt": r"it holds a Tensor: give a tuple \(x, y\)",
        "three.pt": "it holds a tuple of 3",
        "names.pt": r"no arrays x and y .*\(it has a, y\)",
        "names.safetensors": r"no arrays x and y .*\(it has a\)",
        "damaged.pt": "damaged",
        "damaged.safetensors": "damaged",
        "absent.pt": "no such file",
    }.items():
        with pytest.raises(InvalidInput, match=message) as caught:
            read_images(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / name))


PARTS = """
import torch
from torch.utils.data import DataLoader, TensorDataset

class Light(torch.nn.Module):
    def forward(self, x):
        light = x.flatten(1).mean(1) - 0.5
        return torch.stack((-light, light), 1)

x = torch.linspace(0, 1, 12)[:, None]
y = (x[:, 0] > 0.5).long()
dataset = TensorDataset(x, y)
loader = DataLoader(dataset, batch_size=5, shuffle=True)
pair = (x, y)
number = 3

def make():
    return loader

class Made(TensorDataset):
    def __init__(self):
        super().__init__(x, y)

def needs(path):
    return dataset

def fails():
    raise OSError("no disk")
"""


@pytest.fixture
def evaluate(folder: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    folder.write({"own_data": PARTS})

    def call(data: str, *arguments: str) -> tuple[int, str, str]:
        common = ("--threat", "linf:0.25", "--attacks", "pgd", "--no-report", "--json", "--fresh")
        code = run(["evaluate", "own_data:Light", "--data", data, *common, *arguments])
        return (code, *capsys.readouterr())

    return call


@pytest.mark.parametrize("name", ["dataset", "loader", "pair", "make", "Made"])
def test_data_of_the_users_own_code(evaluate: Callable[..., tuple[int, str, str]], name: str) -> None:
    code, out, err = evaluate(f"own_data:{name}")
    assert code == 0, err
    document = json.loads(out)
    assert (document["samples"], document["clean_accuracy"]) == (12, 1)
    assert document["rows"][0]["robust_accuracy"] == 0.5
    code, out, err = evaluate(f"own_data:{name}", "--limit", "4")
    assert code == 0, err
    assert json.loads(out)["samples"] == 4


def test_a_file_of_torch_on_the_command_line(evaluate: Callable[..., tuple[int, str, str]]) -> None:
    x = torch.linspace(0, 1, 12)[:, None]
    torch.save((x, (x[:, 0] > 0.5).long()), "mine.pt")
    code, out, err = evaluate("mine.pt")
    assert code == 0, err
    assert json.loads(out)["samples"] == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_data:absent", "own_data has no absent"),
        ("own_absent:x", "no module own_absent is to be found, nor such a data plugin"),
        ("mnits:shipped", "nor such a data plugin (did you mean mnist?)"),
        ("own_data:number", "own_data:number: it holds a int: give a tuple (x, y)"),
        ("own_data:needs", "own_data:needs needs path: name what gives the data without an argument"),
        ("own_data:fails", "OSError: no disk"),
    ],
)
def test_names_that_give_no_data(evaluate: Callable[..., tuple[int, str, str]], name: str, message: str) -> None:
    code, out, err = evaluate(name)
    assert (code, out) == (2, "")
    assert message in err
