"""The objective against closed forms on linear models, and its second-order gradients against differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_defense_margin_maximization import MarginMaximization, margin_sensitivity
from torch import Tensor, nn
from torch.func import functional_call

from advplug.errors import AdvplugError, InvalidInput
from advplug.testing.linear import linear_model
from advplug.training import Batch, TrainingConfig, fit

SHAPE = (2, 3, 4)
ORDERS: dict[Any, float] = {"l2-squared": 2, "l2": 2, "l1": 1}


def batch(count: int = 7, classes: int = 4, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return Batch(x, torch.arange(count) % classes, None, generator)


def network(activation: nn.Module, classes: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = (nn.Conv2d(2, 3, 2), activation, nn.Flatten(), nn.Linear(3 * 2 * 3, 5), activation)
        return nn.Sequential(*body, nn.Linear(5, classes)).double()


def penalty(model: nn.Module, given: Batch, norm: Any) -> Tensor:
    x = given.x.clone().requires_grad_()
    return margin_sensitivity(model(x), x, given.y, norm)


def weights_of(model: nn.Module) -> Tensor:
    layer = model[1]  # type: ignore[index]
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach()


@pytest.mark.parametrize("norm", ORDERS)
def test_of_a_linear_model_it_is_the_longest_difference_of_two_rows(norm: Any) -> None:
    model, given = linear_model(4, SHAPE), batch()
    w = weights_of(model)
    lengths = [max(float((w[y] - row).norm(p=ORDERS[norm])) for row in w) for y in given.y]
    power = 2 if norm == "l2-squared" else 1
    expected = torch.tensor(lengths, dtype=torch.float64) ** power
    torch.testing.assert_close(penalty(model, given, norm).detach(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("norm", ORDERS)
def test_of_two_classes_it_trains_the_weights_as_its_closed_form_does(norm: Any) -> None:
    model, given = linear_model(2, SHAPE), batch(classes=2)
    layer = model[1]  # type: ignore[index]
    (found,) = torch.autograd.grad(penalty(model, given, norm).sum(), layer.weight)
    w = weights_of(model)
    difference = w[0] - w[1]
    direction = {"l2-squared": 2 * difference, "l2": difference / difference.norm(), "l1": difference.sign()}[norm]
    torch.testing.assert_close(found, len(given.y) * torch.stack([direction, -direction]))


@pytest.mark.parametrize("norm", ORDERS)
def test_gradients_of_the_weights_agree_with_differences(norm: Any) -> None:
    model, given = network(nn.Tanh()), batch(3, classes=3)
    names, values = zip(*model.named_parameters(), strict=True)

    def total(*parameters: Tensor) -> Tensor:
        x = given.x.clone().requires_grad_()
        logits = functional_call(model, dict(zip(names, parameters, strict=True)), (x,))
        return margin_sensitivity(logits, x, given.y, norm)

    assert torch.autograd.gradcheck(total, tuple(value.detach().requires_grad_() for value in values))


def test_gradients_through_relu_and_pooling_agree_with_differences() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)).double()
    given, objective = batch(4, classes=3), MarginMaximization(0.3)
    objective(model, given)[0].backward()
    step = 1e-6
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        for place in range(0, len(flat), 5):
            ends = []
            for shift in (step, -step):
                flat[place] += shift
                ends.append(objective(model, given)[0].item())
                flat[place] -= shift
            found = 0.0 if parameter.grad is None else float(parameter.grad.view(-1)[place])
            assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7)


def test_hinge_and_penalty_add_up() -> None:
    model, given = network(nn.ReLU()), batch(6, classes=3)
    z, y = model(given.x).tolist(), given.y.tolist()
    others = [max(value for j, value in enumerate(row) if j != own) for row, own in zip(z, y, strict=True)]
    hinges = [max(0, 1 + other - row[own]) for other, row, own in zip(others, z, y, strict=True)]
    sensitivity = penalty(model, given, "l1").mean().item()
    for weight in (0.0, 0.5):
        loss, logits = MarginMaximization(weight, norm="l1")(model, given)
        assert loss.item() == pytest.approx(sum(hinges) / len(hinges) + weight * sensitivity, rel=1e-9)
        assert logits.tolist() == z


def test_cross_entropy_takes_the_place_of_the_hinge() -> None:
    model, given = network(nn.ReLU()), batch(6, classes=3)
    loss, logits = MarginMaximization(0.5, norm="l2", loss="cross-entropy")(model, given)
    expected = nn.functional.cross_entropy(logits, given.y) + 0.5 * penalty(model, given, "l2").mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(("norm", "dual"), [("l2", 2.0), ("l1", torch.inf)])
def test_it_bounds_the_hinge_of_every_perturbation_of_the_dual_norm(norm: Any, dual: float) -> None:
    """Theorem 3.4.2; for linear models of two classes the bound is attained wherever the hinge is active."""
    model, given, size = linear_model(2, SHAPE), batch(20, classes=2), 0.1
    w = weights_of(model)
    away = torch.where(given.y.bool()[:, None], w[0] - w[1], w[1] - w[0])
    shift = size * (away / away.norm(dim=1, keepdim=True) if dual == 2 else away.sign())
    assert torch.linalg.vector_norm(shift, dual, dim=1).allclose(torch.tensor(size, dtype=torch.float64))
    worst = Batch(given.x + shift.view_as(given.x), given.y, None, given.generator)
    active = model(given.x).diff(dim=1).squeeze(1).abs() < 1  # with a hinge inside the margin
    assert active.any()
    for sample in range(len(given.y)):
        one = Batch(given.x[sample : sample + 1], given.y[sample : sample + 1], None, given.generator)
        attacked = Batch(worst.x[sample : sample + 1], one.y, None, given.generator)
        bound = MarginMaximization(size, norm=norm)(model, one)[0].item()
        hinge = MarginMaximization(0)(model, attacked)[0].item()
        assert hinge <= bound * (1 + 1e-12)
        if active[sample]:
            assert hinge == pytest.approx(bound, rel=1e-9)


def test_no_sample_depends_on_another() -> None:
    model, given = network(nn.ReLU()), batch(5, classes=3)
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = Batch(given.x[order], given.y[order], None, given.generator)
    torch.testing.assert_close(penalty(model, shuffled, "l2"), penalty(model, given, "l2")[order])


@pytest.mark.parametrize("norm", ORDERS)
def test_a_constant_model_has_a_finite_gradient(norm: Any) -> None:
    model = linear_model(3, SHAPE)
    model[1].weight.data.zero_()  # type: ignore[index]
    loss, _ = MarginMaximization(1.0, norm=norm)(model, batch(classes=3))
    loss.backward()
    assert loss.item() == 1
    assert model[1].weight.grad.isfinite().all()  # type: ignore[index]


def test_it_looks_at_adversarial_images_where_there_are_any() -> None:
    model, given = network(nn.ReLU()), batch(4, classes=3)
    attacked = Batch(given.x, given.y, 1 - given.x, given.generator)
    moved = Batch(1 - given.x, given.y, None, given.generator)
    torch.testing.assert_close(MarginMaximization(0.1)(model, attacked)[0], MarginMaximization(0.1)(model, moved)[0])


@pytest.mark.parametrize("norm", ORDERS)
def test_any_network_trains_with_it_to_lower_sensitivity(norm: Any) -> None:
    x = batch(60).x.float()
    given = Batch(x, x.mean((1, 3)).argmax(1), None, torch.Generator())  # the brightest of three rows

    def sensitivity(weight: float) -> float:
        model = linear_model(3, SHAPE, dtype=torch.float32)
        objective = MarginMaximization(weight, norm=norm)
        fit(model, (given.x, given.y), TrainingConfig(epochs=10, learning_rate=0.05, batch_size=10, loss=objective))
        return penalty(model, given, norm).mean().item()

    assert sensitivity(0.5) < 0.8 * sensitivity(0)


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"weight": 1, "norm": "linf"}, {"weight": 1, "loss": "logit"}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AdvplugError):
        MarginMaximization(**settings)


def test_unknown_norms_are_refused() -> None:
    with pytest.raises(InvalidInput, match="l2-squared"):
        penalty(linear_model(3, SHAPE), batch(classes=3), "linf")
