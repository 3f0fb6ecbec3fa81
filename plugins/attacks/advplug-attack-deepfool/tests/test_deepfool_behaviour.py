"""What DeepFool does step by step: its end, its budget, its errors, and where peers fall short."""

from __future__ import annotations

import eagerpy as ep
import pytest
import torch
from advplug_attack_deepfool._deepfool import DeepFool, unbounded_step
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.numerics import Boundary, norms
from advplug.testing.linear import linear_model


def linear_case(count: int = 8, classes: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    model = linear_model(classes, (1, 3, 4))
    x = torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return model, x, model(x).argmax(1)


@pytest.mark.parametrize(("norm", "order", "dual"), [("l2", 2, 2), ("linf", torch.inf, 1)])
def test_the_unbounded_step_is_the_shortest_to_the_hyperplane(norm: str, order: float, dual: float) -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(6, 2, 5, generator=generator, dtype=torch.float64)
    gap = torch.rand(6, generator=generator, dtype=torch.float64)
    step = unbounded_step(Boundary(ep.astensor(w * 0), ep.astensor(gap), ep.astensor(w)), norm).raw
    torch.testing.assert_close((w * step).flatten(1).sum(1), -gap)
    length = torch.linalg.vector_norm(step.flatten(1), order, dim=1)
    torch.testing.assert_close(length, gap / torch.linalg.vector_norm(w.flatten(1), dual, dim=1))


def test_a_sample_ends_at_its_first_success() -> None:
    """One forward pass before the step and one after it, and a backward pass for each other class."""
    model, x, y = linear_case()
    result = run(DeepFool(box=True), model, x, y, ThreatModel("l2"))
    assert result.success.all()
    assert (result.forwards == 2).all()
    assert (result.backwards == 6).all()


def test_a_budget_is_kept() -> None:
    model, x, y = linear_case(32)
    free = run(DeepFool(), model, x, y, ThreatModel("l2"))
    budget = float(free.distance.median())
    result = run(DeepFool(), model, x, y, ThreatModel("l2", budget))
    assert torch.equal(result.success, free.distance <= budget)


def test_no_step_is_longer_than_asked() -> None:
    model, x, y = linear_case()
    for norm in ("l2", "linf"):
        single = run(DeepFool(steps=1, overshoot=0.0, longest_step=0.01), model, x, y, ThreatModel(norm))  # type: ignore[arg-type]
        assert (single.distance[single.success] <= 0.0101).all()
        assert not single.success.all()
        many = run(DeepFool(steps=500, longest_step=0.01), model, x, y, ThreatModel(norm))  # type: ignore[arg-type]
        assert many.success.all()
        assert (many.forwards > many.distance / 0.0103).all()


def test_gives_back_the_input_where_nothing_helps() -> None:
    """A model of one answer, where Foolbox calls the clipped walk an attempt and ours calls it a failure."""

    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack((5 + 0 * x.flatten(1).sum(1), x.flatten(1).mean(1)), 1)

    x, y = torch.rand(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    foolbox = pytest.importorskip("foolbox")
    theirs, _, _ = foolbox.attacks.L2DeepFoolAttack()(foolbox.PyTorchModel(Stubborn(), (0, 1)), x, y, epsilons=None)
    assert (norms(theirs - x, "l2") > 0.1).all()
    result = run(DeepFool(), Stubborn(), x, y, ThreatModel("l2"))
    assert not result.success.any()
    assert torch.equal(result.adversarials, x)


def test_what_is_missing_from_the_batch_changes_nothing_for_the_others() -> None:
    model, x, y = linear_case(8)
    together = run(DeepFool(), model, x, y, ThreatModel("linf")).distance
    alone = [run(DeepFool(), model, x[i : i + 1], y[i : i + 1], ThreatModel("linf")).distance for i in range(8)]
    torch.testing.assert_close(torch.cat(alone), together)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "at least 1"),
        ({"overshoot": -0.1}, "at least 0"),
        ({"overshoot": float("nan")}, "at least 0"),
        ({"longest_step": 0.0}, "positive"),
    ],
)
def test_bad_options_say_what_to_change(options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        DeepFool(**options)  # type: ignore[arg-type]


def test_refuses_other_norms() -> None:
    model, x, y = linear_case()
    with pytest.raises(InvalidInput, match="l2, linf"):
        run(DeepFool(), model, x, y, ThreatModel("l1"))
