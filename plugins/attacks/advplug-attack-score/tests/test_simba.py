"""SimBA: its directions, its queries, and its strength beside ART's and on linear models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_score import SimBA
from advplug_attack_score._bases import Basis, Cosines, Pixels
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.numerics import norms
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import largest_change, linear_model
from advplug.testing.models import Watched


class Stubborn(nn.Module):
    """Always right and always the same scores: no step is kept."""

    def forward(self, x: Tensor) -> Tensor:
        still = 0 * x.flatten(1).sum(1)
        return torch.stack((still + 1, still), 1)


@pytest.mark.parametrize(
    "basis",
    [
        Pixels(torch.Size((2, 3, 4))),
        Cosines(torch.Size((2, 3, 4)), 1.0),
        Cosines(torch.Size((3, 8, 8)), 0.25),
        Cosines(torch.Size((5, 6)), 1.0),
        Cosines(torch.Size((7,)), 1.0),
    ],
    ids=str,
)
def test_a_basis_is_orthonormal(basis: Basis) -> None:
    shape: torch.Size = basis.shape  # type: ignore[attr-defined]
    like = torch.zeros(basis.count, *shape, dtype=torch.float64)
    vectors = basis.vectors(torch.arange(basis.count), like).flatten(1)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(basis.count, dtype=torch.float64))


def test_low_frequencies_change_slowly() -> None:
    basis = Cosines(torch.Size((1, 16, 16)), 0.125)
    assert basis.count == 4
    vectors = basis.vectors(torch.arange(4), torch.zeros(4, 1, 16, 16))
    assert (vectors.diff(dim=3).abs().amax((1, 2, 3)) < 0.03).all()


@pytest.mark.parametrize("basis", ["pixel", "dct"])
def test_every_direction_is_tried_both_ways_before_one_returns(basis: Any) -> None:
    x, y = torch.full((3, 1, 4, 4), 0.5, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    watched = Watched(SimBA(queries=33, basis=basis, frequencies=1.0, step_size=0.1))
    result = run(watched, Stubborn(), x, y, ThreatModel("l2", 1.0))
    steps = torch.stack([point for point, _, _ in watched.points])[1:] - x
    assert result.forwards.tolist() == [33] * 3
    assert not result.backwards.any()
    assert torch.allclose(steps.flatten(2).norm(dim=2), torch.tensor(0.1, dtype=torch.float64))
    forth, back = steps[::2].flatten(2).transpose(0, 1), steps[1::2].flatten(2).transpose(0, 1)
    torch.testing.assert_close(forth, -back)
    torch.testing.assert_close(forth @ forth.mT, 0.01 * torch.eye(16, dtype=torch.float64).expand(3, -1, -1))
    assert not torch.equal(forth[0], forth[1]), "each sample has an order of its own"


@pytest.mark.parametrize("basis", ["pixel", "dct"])
def test_reaches_the_optimum_of_a_linear_model_under_linf(basis: Any) -> None:
    """With small steps and enough of them, each value goes to its end of the budget."""
    model = linear_model(2, (1, 4, 4), seed=3)
    x = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    weight = model[1].weight.detach()  # type: ignore[index]
    towards = weight[y] - weight[1 - y]
    gap = (towards * x.flatten(1)).sum(1)
    reach = largest_change(towards, x.flatten(1), "linf", 0.15, (0.0, 1.0))
    attack = SimBA(queries=1500, step_size=0.05, basis=basis, frequencies=1.0)
    found = run(attack, model, x, y, ThreatModel("linf", 0.15)).success
    clear = (reach - gap).abs() > (0.02 if basis == "pixel" else 0.3) * gap
    assert torch.equal(found[clear], (reach > gap)[clear])
    assert 0 < int(found.sum()) < 24


def test_half_of_the_frequencies_break_more_digits_than_pixels() -> None:
    net, x, y = shipped_digits("mnist", 12, defense="adversarial-training")
    threat = ThreatModel("l2", 2.0)
    pixels = run(SimBA(queries=500), net, x, y, threat).robust_accuracy
    cosines = run(SimBA(queries=500, basis="dct", frequencies=0.5), net, x, y, threat).robust_accuracy
    assert cosines < pixels


@pytest.mark.filterwarnings("ignore")
def test_breaks_as_many_digits_as_art_within_its_distances() -> None:
    """ART's has no budget: each digit gets the distance at which ART broke it, and ten per cent more."""
    evasion = pytest.importorskip("art.attacks.evasion")
    estimators = pytest.importorskip("art.estimators.classification")
    net, x, y = shipped_digits("mnist", 6, defense="adversarial-training")
    classifier = estimators.PyTorchClassifier(
        nn.Sequential(net, nn.Softmax(1)), nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    attack = evasion.SimBA(classifier, attack="px", max_iter=500, epsilon=0.2, verbose=False)
    torch.manual_seed(0)
    theirs = torch.cat([torch.from_numpy(attack.generate(one[None].numpy())) for one in x])
    broken = net(theirs).argmax(1) != y
    assert broken.any()
    budget = 1.1 * norms(theirs - x, "l2").clamp(min=0.1)
    ours = run(SimBA(queries=1000), net, x, y, ThreatModel("l2", float(budget.max())), epsilon=budget)
    assert ours.success[broken].float().mean() >= 0.75


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"queries": 0}, "at least 1"), ({"step_size": 0.0}, "positive"), ({"basis": "fourier"}, "pixel, dct")],
)
def test_bad_hyper_parameters_are_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        SimBA(**options)
