"""What ZOO finds from scores alone, how near to the least distance, and at how many queries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_zoo._zoo import ZOO
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, run
from advplug.engine.problem import make_problem
from advplug.errors import AdvplugError, InvalidInput
from advplug.losses import LogMargin, Margin
from advplug.numerics import raw
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum, linear_model

L2 = ThreatModel("l2")
FEW: dict[str, Any] = {"search_steps": 2, "steps": 40, "initial_c": 1.0, "step_size": 0.05}


class ScoresOnly(PlainModel):
    """Probabilities of ``net``, with no gradient to them; ``asked`` counts the inputs that it saw."""

    outputs = "probabilities"

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__(self._ask, classes)
        self._net = [net]  # in a list: its parameters are none of the model's
        self.asked = 0

    @torch.no_grad()
    def _ask(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self._net[0](x).double().softmax(1)


def case(classes: int = 4, shape: tuple[int, ...] = (12,), count: int = 5) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear model, inputs and the labels it gives them."""
    net = linear_model(classes, shape)
    x = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return net, x, net(x).argmax(1)


FALLING: dict[str, dict[str, Any]] = {
    "adam": {"step_size": 0.06, "final_step_size": 0.001},
    "newton": {"solver": "newton", "step_size": 1.0, "final_step_size": 0.05},
    "adam-newton": {"solver": "adam-newton", "step_size": 1.0, "final_step_size": 0.05},
}


@pytest.mark.parametrize(
    ("solver", "bounds", "classes", "targeted", "batch", "steps"),
    [
        ("adam", (0.0, 1.0), 2, False, 8, 60),
        ("adam", (-1.0, 3.0), 2, True, 8, 60),
        ("adam", (-1.0, 3.0), 5, False, 8, 150),
        ("adam", (-1.0, 3.0), 2, False, 1, 60),
        ("newton", (0.0, 1.0), 2, True, 8, 60),
        ("newton", (-1.0, 3.0), 5, False, 8, 150),
        ("adam-newton", (-1.0, 3.0), 2, False, 8, 60),
    ],
)
def test_the_least_distance(  # noqa: PLR0917
    solver: str, bounds: tuple[float, float], classes: int, targeted: bool, batch: int, steps: int
) -> None:
    attack = ZOO(search_steps=8, steps=steps, initial_c=1.0, h=1e-3, patience=None, **FALLING[solver])
    ratio = distance_over_optimum(attack, "l2", bounds=bounds, batch=batch, classes=classes, targeted=targeted)
    assert (ratio <= 1.05).all(), ratio


def test_the_least_distance_through_tanh() -> None:
    attack = ZOO(search_steps=8, steps=60, initial_c=1.0, h=1e-3, patience=None, tanh=True, **FALLING["adam"])
    ratio = distance_over_optimum(attack, "l2", shape=(12,))
    assert (ratio <= 1.05).all(), ratio


def test_near_the_white_box_on_digits() -> None:
    """Scores alone, at a fraction of the steps of the paper."""
    cw = pytest.importorskip("advplug_attack_cw")
    net, x, y = shipped_digits("mnist", 2, "adversarial-training")
    white = run(cw.CarliniWagnerL2(search_steps=4, steps=200, initial_c=1.0), net, x, y, L2)
    attack = ZOO(search_steps=2, steps=200, coordinates=64, initial_c=1.0, step_size=0.06, final_step_size=0.003)
    black = run(attack, ScoresOnly(net, 10), x, y, L2)
    assert black.success.all()
    assert not black.backwards.any()
    assert (black.distance <= 1.2 * white.distance).all(), black.distance / white.distance


def test_no_gradient_is_asked_for() -> None:
    net, x, y = case()
    model = ScoresOnly(net, 4)
    assert not model(x.requires_grad_()).requires_grad
    result = run(ZOO(**FEW), model, x.detach(), y, L2)
    assert result.success.all()
    assert not result.backwards.any()
    assert not result.unusable_gradients.any()


def test_the_loss_of_probabilities_is_that_of_the_logits() -> None:
    net, x, y = case()
    logits = run(ZOO(**FEW), net, x, y, L2)
    probabilities = run(ZOO(**FEW), ScoresOnly(net, 4), x, y, L2)
    margin = run(ZOO(**FEW), net, x, y, L2, loss=Margin(0.0))
    torch.testing.assert_close(probabilities.distance, logits.distance, rtol=1e-3, atol=0)
    torch.testing.assert_close(margin.distance, logits.distance, rtol=0, atol=0)


def test_every_query_is_counted() -> None:
    net, x, y = case(count=1)
    model = ScoresOnly(net, 4)
    attack = ZOO(search_steps=2, steps=7, coordinates=5, patience=None)
    before = run(attack, model, x, y, L2).forwards
    assert before.tolist() == [2 * 7 * (2 * 5 + 1) + 1], "each step, and the last point"
    asked, model.asked = model.asked, 0
    make_problem(model, x, y, L2)  # what the model is
    clean_and_check = asked - int(before) - model.asked
    assert 0 < clean_and_check < 10


def test_more_coordinates_than_there_are_means_all() -> None:
    net, x, y = case(count=1)
    result = run(ZOO(search_steps=1, steps=3, coordinates=128, patience=None), net, x, y, L2)
    assert result.forwards.tolist() == [3 * (2 * 12 + 1) + 1]


def test_a_budget_ends_each_sample_at_its_first_success() -> None:
    net, x, y = case()
    least = run(ZOO(**FEW), net, x, y, L2).distance
    epsilon = least * torch.tensor([1.5, 1.5, 1.5, 0.5, 0.5])
    result = run(ZOO(**FEW), net, x, y, ThreatModel("l2", 1.0), epsilon=epsilon)
    assert result.success.tolist() == [True, True, True, False, False]
    assert (result.distance[:3] <= epsilon[:3]).all()
    assert (result.forwards[:3] < result.forwards[3:].min()).all()


def test_targets_of_each_sample() -> None:
    net, x, y = case()
    targets = (y + torch.tensor([1, 2, 3, 1, 2])) % 4
    settings = {**FEW, "initial_c": 10.0}
    result = run(ZOO(**settings), ScoresOnly(net, 4), x, y, ThreatModel("l2", targeted=True), targets=targets)
    assert result.success.all()
    assert torch.equal(net(result.adversarials).argmax(1), targets)


def test_a_sample_is_attacked_alike_in_any_company() -> None:
    net, x, y = case()
    together = run(ZOO(**FEW, patience=20), net, x, y, L2)
    for i in (0, 3):
        alone = run(ZOO(**FEW, patience=20), net, x[i : i + 1], y[i : i + 1], L2)
        assert alone.forwards[0] == together.forwards[i]
        torch.testing.assert_close(alone.adversarials[0], together.adversarials[i])


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("tanh", [False, True])
def test_values_at_the_bounds_move_and_queries_stay_inside(bounds: tuple[float, float], tanh: bool) -> None:
    net = linear_model(2, (16,))
    seen = []

    def ask(x: Tensor) -> Tensor:
        seen.append((float(x.min()), float(x.max())))
        return net(x)  # type: ignore[no-any-return]

    x = torch.where(torch.arange(64).view(4, 16) % 3 == 0, *bounds).double()
    y = net(x).argmax(1)
    attack = ZOO(**FEW, tanh=tanh)
    found = run(attack, PlainModel(ask, 2, bounds), x, y, ThreatModel("l2", bounds=bounds))
    assert found.success.all()
    assert min(low for low, _ in seen) >= bounds[0]
    assert max(high for _, high in seen) <= bounds[1]


def test_adam_begins_anew_at_the_first_success() -> None:
    """As the paper says, that changes what comes after the first success, and not when it comes."""
    net, x, y = case(shape=(3, 4, 4))
    settings = {**FEW, "search_steps": 1, "initial_c": 20.0, "patience": None, "coordinates": 8}
    plain, anew = (run(ZOO(**settings, adam_reset=on), net, x, y, L2) for on in (False, True))
    assert plain.success.all()
    assert not torch.equal(plain.adversarials, anew.adversarials)
    wide = ThreatModel("l2", 100.0)
    first, first_anew = (run(ZOO(**settings, adam_reset=on), net, x, y, wide).forwards for on in (False, True))
    assert torch.equal(first, first_anew)


def test_patience_saves_queries() -> None:
    net, x, y = case()
    settings = {**FEW, "steps": 150}
    long = run(ZOO(**settings, patience=None), net, x, y, L2)
    short = run(ZOO(**settings, patience=20), net, x, y, L2)
    assert short.success.all()
    assert short.forwards.sum() < 0.9 * long.forwards.sum()


@pytest.mark.parametrize(("steps", "patience"), [(30, 7), (7, 100), (11, 5)])
def test_every_constant_gets_its_steps(steps: int, patience: int) -> None:
    """And none more, whatever the patience: nothing succeeds, so c is ten times as large in each descent."""
    net, x, y = case(count=1)
    constants = []

    class Noted(ZOO):
        def descend(self, task: Any, inner: Any, c: Any, step: Any) -> Any:
            constants.append((raw(c).item(), raw(step).item()))
            return super().descend(task, inner, c, step)

    attack = Noted(search_steps=3, steps=steps, patience=patience, initial_c=1e-6, step_size=1e-6)
    run(attack, net, x, y, ThreatModel("l2"), loss=Margin())
    assert all(step < steps for _, step in constants)
    assert [c for c, step in constants if step == 0] == pytest.approx([1e-6, 1e-5, 1e-4])


def test_a_boundary_crossed_by_the_first_steps_says_nothing_of_the_constant() -> None:
    """Adam's first steps have the same length at any constant, and cross the boundary here at one far too small."""
    net, x, y = case(2)
    constants = []

    class Noted(ZOO):
        def descend(self, task: Any, inner: Any, c: Any, step: Any) -> Any:
            constants.append(raw(c).amin().item())
            return super().descend(task, inner, c, step)

    result = run(Noted(search_steps=3, steps=40, initial_c=1e-4, step_size=0.1, patience=None), net, x, y, L2)
    assert result.success.any(), "they count as points that were found"
    assert min(constants) == pytest.approx(1e-4), "but no constant is made smaller for them"


def test_a_model_that_is_sure_of_itself_still_shows_its_margin() -> None:
    """Probabilities of 1 and 1e-29: their difference is flat, that of their logarithms is not."""
    net, x, y = case(2)
    net[1].weight.data *= 20  # type: ignore[index, operator, union-attr]
    model = ScoresOnly(net, 2)
    settings = {**FEW, "search_steps": 1}
    assert run(ZOO(**settings), model, x, y, L2).success.all()
    assert not run(ZOO(**settings), model, x, y, L2, loss=Margin(0.0)).success.all()
    assert ZOO().default_loss == LogMargin(0.0)


def test_art_works_on_one_sample_at_a_time() -> None:
    """Its queries for two samples come one sample after the other; ours share forward passes."""
    zoo = pytest.importorskip("art.attacks.evasion").ZooAttack
    estimator = pytest.importorskip("art.estimators.classification").PyTorchClassifier
    net, x, y = case(shape=(1, 4, 4), count=2)
    batches: list[Tensor] = []
    net.register_forward_pre_hook(lambda _, args: batches.append(args[0].detach()))
    peer = estimator(net.float(), nn.CrossEntropyLoss(), (1, 4, 4), 4, clip_values=(0, 1), device_type="cpu")
    zoo(peer, max_iter=2, nb_parallel=4, use_resize=False, use_importance=False, verbose=False).generate(
        x.float().numpy(), y.numpy()
    )
    assert all(len(batch) == 1 for batch in batches[1:])
    batches.clear()
    run(ZOO(steps=2, search_steps=1, coordinates=4), net, x.float(), y, L2)
    assert max(len(batch) for batch in batches) == 2 * 4 * 2, "two queries for each of four coordinates, both samples"


BAD: list[dict[str, Any]] = [
    {"search_steps": 0}, {"steps": 0}, {"coordinates": 0}, {"step_size": 0.0}, {"final_step_size": 0.0}, {"h": 0.0},
    {"h": 0.5}, {"initial_c": 0.0}, {"solver": "sgd"}, {"beta1": 1.0}, {"beta2": -0.1}, {"patience": 0}, {"space": 0},
    {"schedule": ((10, 16),)}, {"space": 8, "schedule": ((0, 16),)}, {"space": 8, "schedule": ((5, 4),)},
]  # fmt: skip


@pytest.mark.parametrize("settings", BAD, ids=str)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        ZOO(**settings)


@pytest.mark.parametrize(("shape", "words"), [((12,), "images"), ((1, 6, 6), "exceeds")])
def test_a_space_needs_images_of_its_size(shape: tuple[int, ...], words: str) -> None:
    net, x, y = case(shape=shape)
    with pytest.raises(AdvplugError, match=words):
        run(ZOO(space=8), net, x, y, L2)
