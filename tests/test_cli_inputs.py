"""``advplug evaluate``: the range of inputs, data that is no image, and masks, bounds and budgets from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from advplug.cli import run

MODEL = """
import torch
from torch import nn

class Mean(nn.Module):
    \"\"\"Class 1 where the mean is above MIDDLE.\"\"\"

    def __init__(self, middle=0.0, dtype=None):
        super().__init__()
        self.middle = nn.Parameter(torch.tensor(middle, dtype=dtype))

    def forward(self, x):
        assert x.dtype == self.middle.dtype
        mean = x.flatten(1).mean(1) - self.middle
        return torch.stack((-mean, mean), 1)

def zero():
    return Mean()

def half():
    return Mean(0.5)

def double():
    return Mean(dtype=torch.float64)

class Image(Mean):
    def forward(self, x):
        n, channels, height, width = x.shape
        return super().forward(x)

class Ten(Mean):
    def forward(self, x):
        return torch.cat((super().forward(x), x.new_full((len(x), 8), -9.0)), 1)
"""


class Call:
    """Runs the command, and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.code, self.out, self.err = capsys, 0, "", ""

    def __call__(self, *arguments: str) -> Call:
        self.code = run(["evaluate", "--no-report", "--attacks", "pgd", *arguments])
        self.out, self.err = self.capsys.readouterr()
        return self

    @property
    def words(self) -> str:
        """What it printed, without line breaks."""
        return " ".join(self.out.split())

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, *parts: str) -> None:
        """Exit code 2 and one line with all of ``parts``, before any attack."""
        assert (self.code, self.out) == (2, ""), self.err
        (line,) = [line for line in self.err.splitlines() if not line.startswith("!")]
        for part in parts:
            assert part in line


Evaluate = Callable[..., Call]


@pytest.fixture
def evaluate(folder: Any, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    folder.write({"own_mean": MODEL})
    return Call(capsys)


def rows(*shape: int) -> Any:
    """Eight float32 inputs in [-1, 1] whose means are -1, -5/7, ..., 1."""
    return np.linspace(-1, 1, 8, dtype=np.float32).reshape(8, *(1,) * len(shape)) * np.ones(shape, np.float32)


def save(name: str, x: Any, y: Any = None) -> tuple[str, str]:
    np.savez(name, x=x, y=np.asarray(x.reshape(len(x), -1).mean(1) > 0, int) if y is None else y)
    return "--data", name


WIDE = ("--bounds=-1,1", "--threat", "linf:0.5", "--json")


def inputs_of(document: Any) -> Any:
    with np.load(Path(document["run_dir"]) / "inputs.npz") as archive:
        return archive["inputs"]


@pytest.mark.parametrize("shape", [(6,), (2, 5), (3, 4, 4), (1, 2, 3, 4)], ids=str)
def test_floats_of_any_shape_are_taken_as_they_are(evaluate: Evaluate, shape: tuple[int, ...]) -> None:
    x = rows(*shape)
    call = evaluate("own_mean:zero", *save("x.npz", x), *WIDE)
    assert (call.document["clean_accuracy"], call.document["rows"][0]["robust_accuracy"]) == (1, 0.5)
    assert np.array_equal(inputs_of(call.document), x)
    assert call.err.startswith("pgd"), "nothing to remark"


def test_a_file_of_another_kind_is_no_data_plugin(evaluate: Evaluate) -> None:
    Path("table.csv").write_text("1,2\n")
    evaluate("own_mean:zero", "--data", "table.csv", *WIDE).refused("table.csv: give an .npz file with x and y")


def test_pixels_are_rescaled_to_the_bounds(evaluate: Evaluate) -> None:
    x = np.array([0, 51, 204, 255], np.uint8).reshape(4, 1, 1, 1)
    data = save("x.npz", x, np.array([0, 0, 1, 1]))
    for bounds, expected in (("-1,1", [-1, -0.6, 0.6, 1]), ("0,255", [0, 51, 204, 255])):
        document = evaluate("own_mean:zero", *data, f"--bounds={bounds}", "--threat", "linf:0.1", "--json").document
        assert inputs_of(document).ravel().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "bounds", "parts"),
    [
        (-1, 1, (), ("x ranges over [-1, 1], outside the bounds [0, 1]", "--bounds=-1,1")),
        (-0.5, 0.2, (), ("x ranges over [-0.5, 0.2]", "--bounds=-1,1")),
        (0, 200, (), ("x ranges over [0, 200]", "--bounds=0,255, or divide by 255")),
        (-2.1, 2.6, (), ("--bounds=-3,3",)),
        (-2, 2, ("--bounds=-1,1",), ("x ranges over [-2, 2], outside the bounds [-1, 1]", "--bounds=-2,2")),
    ],
)
def test_floats_outside_the_bounds_are_refused_with_their_range(
    evaluate: Evaluate, low: float, high: float, bounds: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    x = np.linspace(low, high, 12).reshape(6, 1, 2, 1)
    evaluate("own_mean:zero", *save("x.npz", x), "--threat", "linf:0.1", *bounds).refused("x.npz: ", *parts)


def test_a_table_is_not_told_to_divide_by_255(evaluate: Evaluate) -> None:
    x = np.linspace(0, 98.8, 12).reshape(6, 2)
    call = evaluate("own_mean:zero", *save("x.npz", x), "--threat", "linf:0.1")
    call.refused("give their range as --bounds=0,99")
    assert "255" not in call.err


def test_floats_in_0_1_within_wider_bounds_are_taken_as_they_are_and_named(evaluate: Evaluate) -> None:
    x = (rows(6) + 1) / 2
    call = evaluate("own_mean:half", *save("x.npz", x, (x.mean(1) > 0.5).astype(int)), *WIDE)
    assert call.document["clean_accuracy"] == 1
    assert np.array_equal(inputs_of(call.document), x)
    assert call.err.startswith("! x.npz: floating-point values in [0, 1] are taken as they are")


@pytest.mark.parametrize("pixels", [True, False])
def test_values_on_a_bound_that_float32_rounds_outwards(evaluate: Evaluate, pixels: bool) -> None:
    """float32(0.1) is above 0.1."""
    x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    data = save("x.npz", x if pixels else np.float32(0.1) * (x / 255).astype(np.float32), np.array([0, 1]))
    document = evaluate("own_mean:zero", *data, "--bounds=0,0.1", "--threat", "linf:0.01", "--json").document
    assert float(inputs_of(document).max()) == pytest.approx(0.1, abs=1e-7)
    assert float(inputs_of(document).max()) <= 0.1


def test_float64_is_kept_for_a_model_of_float64_alone(evaluate: Evaluate) -> None:
    x = rows(6).astype(np.float64) / 3
    for model, kind in (("double", np.float64), ("zero", np.float32)):
        document = evaluate(f"own_mean:{model}", *save("x.npz", x), "--out", model, *WIDE).document
        assert inputs_of(document).dtype == kind
        assert np.array_equal(inputs_of(document), x.astype(kind))


def test_labels_beyond_the_classes_of_the_model_are_refused_with_both_numbers(evaluate: Evaluate) -> None:
    for large in (2, 2**40):
        data = save("x.npz", rows(6), np.array([0, 1, 0, 1, 0, 1, 0, large]))
        evaluate("own_mean:zero", *data, *WIDE).refused(f"labels span 0 to {large}, the model has classes 0 to 1")


def test_classes_without_a_sample_are_named(evaluate: Evaluate) -> None:
    call = evaluate("own_mean:Ten", *save("x.npz", rows(6)), *WIDE)
    assert "Of 10 classes 8 have no sample among the 8 attacked: 2, 3, 4, 5, 6 and 3 more." in call.words
    for name, value in (("ant", 20), ("bee", 30), ("cow", 200)):
        Path("pics", name).mkdir(parents=True)
        Image.new("L", (3, 3), value).save(f"pics/{name}/1.png")
    call = evaluate("own_mean:Ten", "--data", "pics", "--limit", "2", "--threat", "linf:0.1")
    assert call.code == 0
    assert "Of 10 classes 8 have no sample among the 2 attacked: " in call.words
    assert any(f"({name})" in call.words for name in ("ant", "bee", "cow"))


def test_all_classes_there_is_no_remark(evaluate: Evaluate) -> None:
    assert "no sample" not in evaluate("own_mean:zero", *save("x.npz", rows(6)), *WIDE).words


def test_a_report_of_a_budget_above_1(evaluate: Evaluate) -> None:
    """The page read ``linf:8`` as a budget within [0, 1], and failed."""
    pixels = save("x.npz", np.arange(8, dtype=np.uint8)[:, None, None] * np.full((8, 2, 2), 30, np.uint8))
    for report in ("--report", "--no-report"):
        call = evaluate("own_mean:zero", *pixels, "--bounds=0,255", "--threat", "linf:8", report, "--fresh")
        assert call.code == 0, call.err
        assert "under linf:8" in call.words


def test_a_report_of_inputs_that_are_no_images(evaluate: Evaluate) -> None:
    for shape in ((6,), (2, 5)):
        call = evaluate("own_mean:zero", *save("x.npz", rows(*shape)), *WIDE, "--report", "--out", "there")
        assert call.code == 0, call.err
        page = Path("there/report.html").read_text(encoding="utf-8")
        assert f"The inputs have shape {shape}: no images to show." in page
        assert run(["report", "there"]) == 0


def largest_change(document: Any) -> Any:
    """The largest change of each value over all samples."""
    folder = Path(document["run_dir"])
    (file,) = (folder / "rows").glob("*.npz")
    with np.load(file) as archive:
        return np.abs(archive["adversarials"].astype(float) - inputs_of(document)).max(0)


SQUARE = rows(1, 2, 2) / 2
UPPER = np.array([[1, 1], [0, 0]])


@pytest.mark.parametrize("form", ["npy", "npz", "png", "one input", "floats", "each sample"])
def test_a_mask(evaluate: Evaluate, form: str) -> None:
    np.save("mask.npy", {"one input": UPPER[None], "floats": 0.5 * UPPER}.get(form, UPPER))
    np.savez("mask.npz", mask=UPPER)
    Image.fromarray((255 * UPPER).astype(np.uint8)).save("mask.png")
    if form == "each sample":
        np.save("mask.npy", np.broadcast_to(UPPER, (8, 1, 2, 2)))
    name = f"mask.{form}" if form in ("npz", "png") else "mask.npy"
    document = evaluate("own_mean:Image", *save("x.npz", SQUARE), *WIDE, "--mask", name).document
    assert document["threat"] == "linf:0.5, within a mask"
    changed = largest_change(document).reshape(2, 2)
    assert changed[0].min() > 0.3
    assert changed[1].max() == 0


def test_the_rows_of_a_mask_stay_with_their_samples(evaluate: Evaluate) -> None:
    """Each sample may change where its own value says, whichever samples are drawn."""
    x = np.linspace(-0.1, 0.1, 8, dtype=np.float32)[:, None] * np.ones((8, 8), np.float32)
    np.save("mask.npy", np.eye(8))
    call = evaluate("own_mean:zero", *save("x.npz", x), *WIDE, "--mask", "mask.npy", "--limit", "3", "--seed", "1")
    inputs = inputs_of(call.document)
    (file,) = (Path(call.document["run_dir"]) / "rows").glob("*.npz")
    with np.load(file) as archive:
        changed = archive["adversarials"] != inputs
    own = [int(np.abs(x[:, 0] - value).argmin()) for value in inputs[:, 0]]
    assert own != [0, 1, 2]
    assert not changed[~np.eye(8, dtype=bool)[own]].any()
    assert changed.any()


def test_budgets_for_each_value(evaluate: Evaluate) -> None:
    budgets = np.array([0.1, 0.2, 0.0, 0.4])
    np.save("budgets.npy", budgets)
    arguments = ("--bounds=-1,1", "--threat", "linf:budgets.npy", "--json")
    document = evaluate("own_mean:zero", *save("x.npz", rows(4) / 2), *arguments).document
    assert document["threat"].startswith("linf:0.4")
    changed = largest_change(document)
    assert (changed <= budgets).all()
    assert changed[3] > changed[1] > changed[0] > changed[2] == 0


def test_the_rows_of_budgets_stay_with_their_samples(evaluate: Evaluate) -> None:
    """The first half of the samples may change by 0.6, the second by nothing."""
    np.save("budgets.npy", np.repeat([0.6, 0.0], 4)[:, None])
    arguments = ("--bounds=-1,1", "--threat", "linf:budgets.npy", "--json", "--limit", "4")
    x = np.linspace(-0.4, 0.3, 8, dtype=np.float32)[:, None] * np.ones(4, np.float32)
    document = evaluate("own_mean:zero", *save("x.npz", x), *arguments).document
    first = int((inputs_of(document)[:, 0] < -0.05).sum())
    assert 0 < first < 4
    assert document["rows"][0]["robust_accuracy"] == 1 - first / 4


def test_bounds_for_each_value(evaluate: Evaluate) -> None:
    upper = np.array([0.1, 0.2, 0.3, 1.0])
    np.savez("range.npz", lower=-upper, upper=upper)
    arguments = ("--bounds", "range.npz", "--threat", "linf:2", "--json")
    document = evaluate("own_mean:zero", *save("x.npz", rows(4) * upper.astype(np.float32)), *arguments).document
    (file,) = (Path(document["run_dir"]) / "rows").glob("*.npz")
    with np.load(file) as archive:
        reached = np.abs(archive["adversarials"]).max(0)
    assert reached.tolist() == pytest.approx(upper.tolist(), abs=1e-6)


@pytest.mark.parametrize("model", ["zero", "double"])
def test_the_extremes_of_the_data_may_be_the_bounds_in_every_dtype(evaluate: Evaluate, model: str) -> None:
    x = np.random.default_rng(0).random((8, 5)) - 0.5
    np.savez("range.npz", lower=x.min(0), upper=x.max(0))
    arguments = ("--bounds", "range.npz", "--threat", "linf:0.3", "--json")
    assert evaluate(f"own_mean:{model}", *save("x.npz", x), *arguments).document["clean_accuracy"] == 1


def test_a_configuration_file_names_them_too(evaluate: Evaluate) -> None:
    np.save("mask.npy", UPPER)
    np.savez("range.npz", lower=np.full((1, 2, 2), -1.0), upper=np.full((1, 2, 2), 1.0))
    Path("run.toml").write_text('bounds = "range.npz"\nmask = "mask.npy"\nthreat = "linf:0.5"\ndata = "x.npz"\n')
    save("x.npz", SQUARE)
    document = evaluate("own_mean:Image", "--config", "run.toml", "--json").document
    assert document["threat"] == "linf:0.5, a range for each value, within a mask"


FILES: dict[str, Any] = {
    "wide.npy": np.ones((1, 3, 3)),
    "seven.npy": np.ones((7, 1, 2, 2)),
    "zero.npy": np.zeros((2, 2)),
    "nan.npy": np.full((2, 2), np.nan),
    "text.npy": np.full((2, 2), "a"),
    "object.npy": np.full((2, 2), None),
    "negative.npy": -np.ones((2, 2)),
    "large.npy": np.full((2, 2), 3.0),
    "ok.npy": np.ones((2, 2)),
    "number.npy": np.float64(1),
}


@pytest.mark.parametrize(
    ("option", "value", "parts"),
    [
        ("--mask", "wide.npy", ("--mask wide.npy: it has shape (1, 3, 3), an input has (1, 2, 2)",)),
        ("--mask", "seven.npy", ("it has 7 rows, the data has 8 samples",)),
        ("--mask", "zero.npy", ("it is zero everywhere",)),
        ("--mask", "nan.npy", ("it holds NaN",)),
        ("--mask", "text.npy", ("it is of type <U1: give numbers",)),
        ("--mask", "object.npy", ("not an .npy file of a plain array",)),
        ("--mask", "number.npy", ("it has shape ()",)),
        ("--mask", "absent.npy", ("absent.npy",)),
        ("--mask", "absent.png", ("absent.png",)),
        ("--mask", "a.jpg", ("save the mask as .png",)),
        ("--mask", "x.npz", ("it has no array mask, but x, y",)),
        ("--mask", "mask.txt", ("give an .npy file",)),
        ("--threat", "linf:wide.npy", ("--threat linf:wide.npy: it has shape (1, 3, 3)",)),
        ("--threat", "l2:ok.npy", ("a budget for each value needs linf",)),
        ("--threat", "linf:negative.npy", ("finite numbers >= 0",)),
        ("--threat", "linf:large.npy", ("the budget 3 is wider than [-1, 1]",)),
        ("--threat", "linf:absent.npy", ("absent.npy",)),
        ("--bounds", "x.npz", ("give arrays lower and upper (it has x, y)",)),
        ("--bounds", "swapped.npz", ("swap them",)),
        ("--bounds", "shapes.npz", ("lower and upper have shapes (2, 2) and (2,)",)),
        ("--bounds", "other.npz", ("--bounds: the arrays have shape (3, 3), an input of x.npz has (1, 2, 2)",)),
        ("--bounds", "narrow.npz", ("x.npz: x[0, 0, 0, 0] is -0.5, outside its bounds [-0.1, 0.1]", "--bounds")),
        ("--bounds", "absent.npz", ("absent.npz",)),
        ("--bounds", "1", ("two numbers with a comma between, such as --bounds=-1,1",)),
    ],
)
def test_wrong_files_are_refused_in_one_line_before_any_attack(
    evaluate: Evaluate, option: str, value: str, parts: tuple[str, ...]
) -> None:
    for name, array in FILES.items():
        np.save(name, array)
    ones = np.ones((2, 2))
    np.savez("swapped.npz", lower=ones, upper=-ones)
    np.savez("shapes.npz", lower=-ones, upper=ones[0])
    np.savez("other.npz", lower=-np.ones((3, 3)), upper=np.ones((3, 3)))
    np.savez("narrow.npz", lower=-0.1 * ones, upper=0.1 * ones)
    usual = {"--bounds": "-1,1", "--threat": "linf:0.1", option: value}
    arguments = [f"{name}={text}" for name, text in usual.items()]
    evaluate("own_mean:Image", *save("x.npz", SQUARE), *arguments).refused(*parts)


def test_pixels_beside_bounds_for_each_value_must_not_need_rescaling(evaluate: Evaluate) -> None:
    x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    data = save("x.npz", np.broadcast_to(x, (2, 1, 2, 2)), np.array([0, 1]))
    np.savez("wide.npz", lower=-np.ones((2, 2)), upper=np.ones((2, 2)))
    evaluate("own_mean:half", *data, "--bounds", "wide.npz", "--threat", "linf:0.1").refused("pixels lie in [0, 1]")
    np.savez("unit.npz", lower=np.zeros((2, 2)), upper=np.ones((2, 2)))
    document = evaluate("own_mean:half", *data, "--bounds", "unit.npz", "--threat", "linf:0.1", "--json").document
    assert inputs_of(document).max() == 1


def test_attacks_of_other_libraries_are_refused_beside_a_mask_before_any_runs(evaluate: Evaluate) -> None:
    pytest.importorskip("advplug_attack_foolbox")
    np.save("mask.npy", UPPER)
    attacks = ("--attacks", "pgd,foolbox:LinfPGD")
    call = evaluate("own_mean:Image", *save("x.npz", SQUARE), *WIDE, "--mask", "mask.npy", *attacks)
    call.refused("foolbox:LinfPGD knows no mask")


def test_a_defense_is_attacked_within_a_mask_and_keeps_its_bounds(evaluate: Evaluate) -> None:
    pytest.importorskip("advplug_defense_kwta")
    np.save("mask.npy", np.arange(28 * 28).reshape(28, 28) < 14 * 28)
    document = evaluate("kwta", "--limit", "4", "--mask", "mask.npy", "--json").document
    assert document["threat"] == "linf:0.2, within a mask"
    changed = largest_change(document)[0]
    assert changed[:14].max() > 0.1
    assert changed[14:].max() == 0
    evaluate("kwta", "--limit", "4", "--bounds=-1,1").refused("the model takes inputs in (0.0, 1.0)")
    evaluate("kwta", "--limit", "4", "--output", "logits").refused("a defense plugin needs none")
