"""ALMA on linear models, where the least distance is known, and beside Foolbox on trained networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_minimum_norm._alma import ALMA, MarginRatio, State, slope
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.attack import Task, as_defended
from advplug.errors import InvalidInput
from advplug.losses import Loss, Margin, View
from advplug.numerics import raw, wrap
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model
from advplug.threat import Norm

STEPS = 126


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize(("classes", "targeted"), [(5, False), (2, True)])
def test_the_least_distance(norm: Norm, bounds: tuple[float, float], classes: int, targeted: bool) -> None:
    case: dict[str, Any] = {"bounds": bounds, "classes": classes, "targeted": targeted}
    assert distance_over_optimum(ALMA(steps=300), norm, **case).mean() <= 1.04
    smaller_steps = ALMA(steps=300, final_rate=1e-3)  # some of these samples are very near to the boundary
    assert distance_over_optimum(smaller_steps, norm, **case).max() <= 1.05


@pytest.mark.parametrize(
    ("norm", "peer", "settings"),
    [
        ("l2", "L2FMNAttack", {"steps": STEPS}),
        ("l1", "EADAttack", {"binary_search_steps": 9, "steps": STEPS // 9, "decision_rule": "L1"}),
    ],
)
def test_closer_than_foolbox_on_robust_digits(norm: Norm, peer: str, settings: dict[str, Any]) -> None:
    foolbox = pytest.importorskip("foolbox")
    if not hasattr(foolbox.attacks, peer):
        pytest.skip(f"this Foolbox has no {peer}")
    net, x, y = shipped_digits("mnist-at")
    points, _, _ = getattr(foolbox.attacks, peer)(**settings)(foolbox.PyTorchModel(net, (0, 1)), x, y, epsilons=None)
    theirs = (points - x).flatten(1).norm(p=2 if norm == "l2" else 1, dim=1)
    ours = run(ALMA(steps=STEPS), net, x, y, ThreatModel(norm))
    assert ours.success.all()
    assert ours.distance.mean() <= theirs.mean()


def test_the_slope_is_the_derivative_of_the_penalty() -> None:
    y = torch.tensor([-3.0, -0.5, 0.0, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    rho, mu = torch.full_like(y, 1.7).detach(), torch.full_like(y, 0.6).detach()
    unmet, met = mu * y + mu * rho * y**2 + rho**2 * y**3 / 6, mu * y / (1 - rho * y.clamp(max=0))
    (wanted,) = torch.autograd.grad(torch.where(y >= 0, unmet, met).sum(), y)
    torch.testing.assert_close(raw(slope(*map(wrap, (y.detach(), rho, mu)))), wanted)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
def test_the_first_step_has_the_first_length(norm: Norm, bounds: tuple[float, float]) -> None:
    """Also where half of the values are at the edge of the bounds."""
    points = []

    class Watched(ALMA):
        def step(self, task: Task, state: State) -> State:
            points.append(raw(state.x))
            return super().step(task, state)

    model = linear_model(2, (64,))
    x = torch.where(torch.arange(64) % 2 == 0, bounds[0], sum(bounds) / 2).double()[None]
    run(Watched(steps=2, first_length=0.3), model, x, model(x).argmax(1), ThreatModel(norm, bounds=bounds))
    first = (points[1] - x).flatten().norm(p=2 if norm == "l2" else 1).item()
    assert first == pytest.approx(0.3 * (bounds[1] - bounds[0]), rel=1e-6)


def test_other_bounds_give_the_same_attack_in_other_units() -> None:
    net, x, y = shipped_digits("mnist-relu", 12)

    class Rescaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net((x + 1) / 2)  # type: ignore[no-any-return]

    plain = run(ALMA(steps=STEPS), net, x, y, ThreatModel("l2"))
    wide = run(ALMA(steps=STEPS), Rescaled(), 2 * x - 1, y, ThreatModel("l2", bounds=(-1.0, 1.0)))
    assert wide.distance.mean().item() == pytest.approx(2 * plain.distance.mean().item(), rel=0.01)


@pytest.mark.parametrize("loss", [MarginRatio(), Margin()], ids=repr)
def test_the_scale_of_the_logits_does_not_matter(loss: Loss) -> None:
    net, x, y = shipped_digits("mnist-relu", 12)

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1e-3 * net(x)  # type: ignore[no-any-return]

    plain, scaled = (run(ALMA(steps=STEPS), model, x, y, ThreatModel("l2"), loss=loss) for model in (net, Scaled()))
    assert scaled.distance.mean().item() == pytest.approx(plain.distance.mean().item(), rel=0.02)


def test_the_ratio_of_logits() -> None:
    """Positive where the sample is right, with targets, too, and with two classes."""
    z = torch.tensor([[5.0, 4.0, 1.0, 0.0], [2.0, 6.0, 3.0, 1.0]])
    y, t = torch.tensor([0, 0]), torch.tensor([1, 3])

    def ratio(z: Tensor, targets: Tensor | None) -> list[float]:
        model = as_defended(nn.Identity(), z, (0.0, 1.0))
        view = View(
            model,
            *(wrap(v) for v in (z, z, y)),
            None if targets is None else wrap(targets),
            wrap(y),
            {},
        )
        return raw(MarginRatio()(view)).tolist()

    assert ratio(z, None) == pytest.approx([1 / 4, -4 / 4])
    assert ratio(z, t) == pytest.approx([1 / 4.5, 5 / 4.5])
    assert ratio(z[:, :2], None) == pytest.approx([1.0, -4.0])


class Flat(nn.Module):
    """Class 1 beyond distance 1 of the grey image, class 0 within: right almost everywhere, gradient nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        far = ((x - 0.5).flatten(1).norm(dim=1) > 1).to(x)
        return torch.stack((1 - far, far), 1) + 0 * x.sum()


def test_a_zero_gradient_is_answered_by_a_random_direction() -> None:
    x, y = torch.full((4, 1, 6, 6), 0.5), torch.zeros(4, dtype=torch.int64)
    result = run(ALMA(steps=3, first_length=1.2), Flat(), x, y, ThreatModel("l2"))
    assert result.success.all()
    assert len(result.adversarials.unique(dim=0)) == 4, "each sample has its own direction"


@pytest.mark.parametrize(
    "settings",
    [{"steps": 0}, {"alpha": 1.0}, {"first_length": 0.0}, {"final_rate": 0.0}, {"gamma": 0.5}, {"check_every": 0}],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        ALMA(**settings)
