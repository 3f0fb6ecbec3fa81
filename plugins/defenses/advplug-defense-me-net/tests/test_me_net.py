"""Matrix estimation, masks, and what the network sees."""

from __future__ import annotations

import json

import pytest
import torch
from advplug_defense_me_net import USVT, Bare, Masked, MENet, NuclearNorm, estimated
from torch import Tensor

from advplug.data import Images
from advplug.errors import MissingWeights

SHIPPING = [name for name, preset in MENet.presets.items() if preset.weights is not None]


def low_rank(count: int, rows: int, columns: int, rank: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(count, rows, rank, generator=generator),
        torch.randn(count, rank, columns, generator=generator),
    )
    return (left @ right).double()


@pytest.mark.parametrize(("rows", "columns"), [(8, 24), (24, 8), (9, 9)])
def test_usvt_keeps_the_largest_singular_values(rows: int, columns: int) -> None:
    matrix = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(0)).double()
    mask = (torch.rand(3, rows, columns, generator=torch.Generator().manual_seed(1)) < 0.5).double()
    left, values, right = torch.linalg.svd(matrix * mask, full_matrices=False)
    values[:, int(0.8 * min(rows, columns)) :] = 0
    expected = (left * values[:, None]) @ right / mask.mean((1, 2), keepdim=True)
    torch.testing.assert_close(USVT()(matrix, mask), expected)


def test_usvt_of_a_whole_matrix_of_low_rank_is_the_matrix() -> None:
    matrix = low_rank(2, 8, 24, 3)
    torch.testing.assert_close(USVT(0.5)(matrix, torch.ones_like(matrix)), matrix)
    assert not USVT()(matrix, torch.zeros_like(matrix)).any(), "nothing observed"


def test_the_nuclear_norm_lowers_singular_values_where_all_is_observed() -> None:
    matrix = low_rank(2, 6, 9, 2)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    expected = (left * (values - 0.5).clamp(min=0)[:, None]) @ right  # mu / 2
    torch.testing.assert_close(NuclearNorm(mu=1.0)(matrix, torch.ones_like(matrix)), expected)


def test_the_nuclear_norm_completes_a_matrix_of_low_rank() -> None:
    matrix = low_rank(2, 20, 20, 1)
    mask = (torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(1)) < 0.5).double()
    hidden = 1 - mask
    error = (hidden * (NuclearNorm(mu=0.1, steps=300)(matrix, mask) - matrix)).norm()
    assert error < 0.1 * (hidden * matrix).norm()


def test_the_nuclear_norm_makes_its_objective_small() -> None:
    matrix = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0)).double()
    mask = (torch.rand(1, 6, 8, generator=torch.Generator().manual_seed(1)) < 0.5).double()

    def objective(x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x).sum() + (mask * (x - matrix)).square().sum()

    found = NuclearNorm(steps=300)(matrix, mask)
    for seed in range(20):
        nearby = found + 0.05 * torch.randn(found.shape, generator=torch.Generator().manual_seed(seed)).double()
        assert objective(nearby) > objective(found)


def test_an_image_of_which_all_is_observed_keeps_its_colours_apart() -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(estimated(x, torch.ones(2), USVT(1.0)), x, atol=1e-5, rtol=1e-4)


def test_the_estimate_shows_the_mask() -> None:
    x = torch.full((1, 3, 32, 32), 0.9)
    values = estimated(x, torch.tensor([0.5]), USVT(), torch.Generator().manual_seed(0))
    grey = ((values - 0.5).abs() < 0.2).float().mean()
    assert 0.3 < grey < 0.6, "hidden values stay where zero is in [-1, 1]"


def test_the_backward_pass_is_that_of_the_network_at_the_estimate() -> None:
    model = Masked(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)), USVT(), num_classes=3)
    x = torch.rand(2, 1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    linear = model.base[1]  # type: ignore[index]
    torch.testing.assert_close(gradient, linear.weight[1].view(1, 1, 4, 4).expand(2, 1, 4, 4))


def test_every_pass_draws_a_mask_of_its_own() -> None:
    model = Masked(torch.nn.Flatten(), USVT(), num_classes=2)
    x = torch.rand(1, 1, 8, 8).expand(2, 1, 8, 8)
    first = model(x)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, model(x))
    draws = [model.sample(x, torch.Generator().manual_seed(0)) for _ in range(2)]
    assert torch.equal(*draws)


@pytest.mark.parametrize("preset", SHIPPING)
def test_shipped_weights(preset: str) -> None:
    path = MENet.presets[preset].weights
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "me-net"]
    assert (record["preset"], record["seed"]) == (preset.removesuffix("-base"), 0)


def test_the_control_is_the_network_under_the_masks() -> None:
    masked, bare = MENet().build("mnist"), MENet().build("mnist-base")
    assert isinstance(masked, Masked)
    assert isinstance(bare, Bare)
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(bare(x), masked.base(x))
    assert masked.stochastic
    assert not bare.stochastic


@pytest.mark.parametrize("preset", ["paper", "paper-nuclear"])
def test_the_authors_network_ships_no_weights(preset: str) -> None:
    model = MENet().network(preset)
    assert isinstance(model, Masked)
    assert isinstance(model.estimator, NuclearNorm) == (preset == "paper-nuclear")
    assert MENet.configurations[preset].training.epochs == 200
    with pytest.raises(MissingWeights, match="train"):
        MENet().build(preset)


def test_training_is_deterministic_and_sees_masks() -> None:
    inputs = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    data = Images(inputs, torch.arange(12) % 10, tuple("0123456789"), "noise")

    def train(seed: int) -> dict[str, Tensor]:
        model = MENet().train("mnist", data, seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["base.layers.0.weight"], other["base.layers.0.weight"])
