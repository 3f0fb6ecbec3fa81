"""What an evaluation leaves in the event files, read back record by record."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("tensorboardX")

from advplug_tracker_tensorboard import TensorBoardTracker

from advplug import Images, evaluate, load
from advplug.errors import InvalidInput
from advplug.testing.models import linear_case


def events(folder: Path) -> Iterator[Any]:
    """Every event of every file: a length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.glob("events.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_steps_are_curves_and_results_stand_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("advplug_attack_pgd")
    case = linear_case(8)
    images = Images(case.inputs, case.labels)
    attack = load("attack:pgd")(steps=4)
    quiet = evaluate(case.model, images, "linf:0.05", attack, progress=False)
    found = evaluate(
        case.model, images, "linf:0.05", attack, tracker=f"tensorboard:{tmp_path / 'runs'}", progress=False
    )
    assert found.rows[0].robust_accuracy == quiet.rows[0].robust_accuracy
    assert torch.equal(*(torch.as_tensor(one.adversarials) for one in (found, quiet)))
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    histograms = set()
    for event in events(tmp_path / "runs"):
        for value in event.summary.value:
            if value.HasField("histo"):
                histograms.add(value.tag)
            else:
                curves[value.tag].append((event.step, value.simple_value))
    assert [step for step, _ in curves["pgd/loss"]] == list(range(5))
    assert curves["pgd/loss"][-1][1] < curves["pgd/loss"][0][1]
    assert all(math.isclose(size, 0.05, rel_tol=1e-4) for _, size in curves["pgd/distance"][1:])
    assert len(curves["pgd/gradient_norm"]) == 4  # the last point is judged without a gradient
    assert curves["robust_accuracy/pgd"] == [(0, pytest.approx(found.rows[0].robust_accuracy))]
    assert histograms == {"pgd/margin_of_each", "pgd/distance_of_each"}


def test_a_folder_that_cannot_be_made_is_refused_before_the_attack(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        TensorBoardTracker(str(tmp_path / "taken" / "runs")).open()
