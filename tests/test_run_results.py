"""What ``advplug.run`` takes, and what its result shows of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from advplug import Images, ThreatModel, load, run
from advplug.api import AttackResult
from advplug.cli._progress import watching_one
from advplug.errors import InvalidInput

matplotlib.use("Agg")

THREAT = ThreatModel("linf", 0.1)


@pytest.fixture(scope="module")
def digits() -> Images:
    found: Images = load("data:mnist")().load("shipped", limit=40)
    return found


@pytest.fixture(scope="module")
def network() -> nn.Module:
    made: nn.Module = load("defense:adversarial-training")().build("mnist").eval()
    return made


@pytest.fixture(scope="module")
def result(network: nn.Module, digits: Images) -> AttackResult:
    return run(PGD(steps=10), network, digits.inputs, digits.labels, THREAT)


@pytest.mark.parametrize(
    "given",
    [
        lambda x, y: (x.numpy(), y.numpy()),
        lambda x, y: (x.double().numpy(), y.tolist()),
        lambda x, y: (DataLoader(TensorDataset(x, y), batch_size=16), None),
        lambda x, y: (TensorDataset(x, y), None),
        lambda x, y: (Images(x, y), None),
        lambda x, y: ((x, y), None),
    ],
    ids=["arrays", "float64 and a list", "loader", "dataset", "images", "pair"],
)
def test_data_of_every_form_gives_the_bits_of_tensors(
    given: Any, network: nn.Module, digits: Images, result: AttackResult
) -> None:
    inputs, labels = given(digits.inputs, digits.labels)
    found = run(PGD(steps=10), network, inputs, labels, threat=THREAT)
    assert torch.equal(found.adversarials, result.adversarials)
    assert torch.equal(found.success, result.success)


def test_targets_budgets_and_starts_may_be_arrays(network: nn.Module, digits: Images) -> None:
    x, y = digits.inputs, digits.labels
    parts: dict[str, Any] = {
        "targets": (y + 1) % 10,
        "epsilon": torch.linspace(0.05, 0.1, len(y)).double(),
        "starting_points": x,
    }
    tensors = run(PGD(steps=5), network, x, y, THREAT, **parts)
    arrays: dict[str, Any] = {name: part.numpy() for name, part in parts.items()}
    assert torch.equal(tensors.adversarials, run(PGD(steps=5), network, x, y, THREAT, **arrays).adversarials)


def test_a_threat_that_is_missing_or_in_the_place_of_labels_is_named(network: nn.Module, digits: Images) -> None:
    with pytest.raises(InvalidInput, match="threat is missing: give norm and budget, such as"):
        run(PGD(), network, digits.inputs, digits.labels)
    with pytest.raises(InvalidInput, match="by name"):
        run(PGD(), network, digits, THREAT)


def test_it_says_in_three_lines_what_it_found(result: AttackResult) -> None:
    lines = repr(result).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 100 for line in lines)
    broken = int(result.success.sum())
    assert 0 < broken < 40
    assert f"{broken} of {int(result.correct.sum())} broken" in lines[0]
    assert f"{100 * result.robust_accuracy:.1f} %" in lines[0]
    assert f"{float(result.distance[result.success].median()):.4g}" in lines[1]
    assert f"{float(result.forwards.sum()) / int(result.correct.sum()):.1f} forward" in lines[2]
    assert result._repr_html_().count("<tr>") == 4


def test_without_a_success_it_says_so(network: nn.Module, digits: Images) -> None:
    nothing = run(PGD(steps=1), network, digits.inputs, digits.labels, ThreatModel("linf", 1e-6))
    assert "distance: no success" in repr(nothing)
    assert nothing.plot() is not None


def test_each_sample_is_a_row(result: AttackResult, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda data, columns=None: seen.update(data)))
    result.to_pandas()
    assert list(seen) == list(result.per_sample())
    assert len({len(column) for column in seen.values()}) == 1
    np.testing.assert_array_equal(seen["success"], result.success.numpy())
    np.testing.assert_array_equal(seen["distance"], result.distance.numpy())


def test_of_several_stages_the_table_has_the_names() -> None:
    result = AttackResult.empty(torch.zeros(2, 3), torch.ones(2, dtype=torch.bool), torch.zeros(2))
    object.__setattr__(result, "stages", ("apgd", "square"))
    object.__setattr__(result, "stage", torch.tensor([1, -1]))
    assert result.per_sample()["stage"].tolist() == ["square", ""]


def test_the_curve_ends_at_what_is_left(result: AttackResult) -> None:
    line = result.plot().get_lines()[0]
    assert line.get_ydata()[0] == pytest.approx(100 * result.clean_accuracy)
    assert line.get_ydata()[-1] == pytest.approx(100 * result.robust_accuracy)
    assert line.get_xdata()[-1] == pytest.approx(float(result.distance[result.success].max()))


def test_what_is_saved_is_loaded_bit_by_bit(result: AttackResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "pgd.safetensors")
    again = AttackResult.load(path)
    for name, value in vars(result).items():
        other = getattr(again, name)
        if isinstance(value, Tensor):
            torch.testing.assert_close(other, value, rtol=0, atol=0, equal_nan=True)
        else:
            assert other == value


def test_a_file_that_is_there_missing_or_damaged_is_named(result: AttackResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "pgd.safetensors")
    with pytest.raises(InvalidInput, match=r"pgd\.safetensors is there already"):
        result.save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="is damaged"):
        AttackResult.load(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        AttackResult.load(tmp_path / "none")
    with pytest.raises(InvalidInput, match="cannot be written"):
        result.save(tmp_path / "no folder" / "pgd.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["pgd.safetensors"]


def test_progress_is_shown_where_it_is_asked_for(
    network: nn.Module, digits: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    def attacked(**options: Any) -> str:
        run(PGD(steps=3), network, digits.inputs, digits.labels, THREAT, **options)
        return capsys.readouterr().err

    assert attacked() == attacked(progress=False) == ""  # nobody looks: stderr is no terminal
    assert attacked(progress=True).startswith("PGD: ")
    heard: list[tuple[int, int, int]] = []
    assert attacked(progress=lambda *step: heard.append(step)) == ""
    assert heard


def test_short_attacks_print_nothing_and_long_ones_from_two_seconds_on(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with watching_one("PGD", clock=lambda: now[0]) as show:
        show(1, 4, 10)
        assert capsys.readouterr().err == ""
        now[0] = 2.0
        show(2, 4, 9)
        assert capsys.readouterr().err == "PGD: 9 samples ..."
    assert capsys.readouterr().err == " done, 0.0 s\n"
