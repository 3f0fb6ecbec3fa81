"""The passive observer on loops written here: what it counts, whose input is whose, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import advplug
from advplug import ThreatModel
from advplug.errors import InvalidInput
from advplug.model import Decision, PlainModel
from advplug.observer import Observation
from advplug.tracking import Recorder

THREAT = ThreatModel("linf", 0.2)
INPUTS = torch.tensor([[0.1, 0.0], [0.3, 0.0], [0.45, 0.0], [0.9, 0.0]])
LABELS = torch.tensor([0, 0, 0, 1])


class Light(nn.Module):
    """Class 1 where the first value is above 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        light = 10 * (x[:, 0] - 0.5)
        return torch.stack((-light, light), 1)


def shifted(by: float) -> Tensor:
    return INPUTS + torch.tensor([by, 0.0])


def test_a_success_on_the_way_is_seen_and_what_is_returned_is_judged() -> None:
    model = Light()
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        for by in (0.0, 0.1, 0.2, 0.15):
            model(shifted(by))
    assert seen.correct.tolist() == [True] * 4
    assert seen.success.tolist() == [False, False, True, False]  # 0.3 + 0.2 is a tie with class 0
    assert seen.distance[2] == pytest.approx(0.1)
    assert torch.equal(seen.adversarials[2], shifted(0.1)[2])
    assert torch.equal(seen.adversarials[:2], INPUTS[:2])
    assert seen.queries.tolist() == [4] * 4
    assert seen.robust_accuracy == 0.75
    assert seen.silent(INPUTS).tolist() == [False, False, True, False]
    assert not seen.silent(shifted(0.1)).any()
    assert "1 successes lost" in seen.summary(INPUTS)
    assert seen.matched == {"order": 4, "nearest": 0, "given": 0}


def test_inputs_over_the_budget_out_of_bounds_or_without_scores_do_not_count() -> None:
    class Silent(Light):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x[:, 1:] > 0.15, torch.nan, super().forward(x))

    model = Silent()
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        model(shifted(0.3))
        model(shifted(-0.15))
        model(shifted(0.1) + torch.tensor([0.0, 0.2]))
    assert seen.over_budget.tolist() == [1, 1, 1, 1]
    assert seen.out_of_bounds.tolist() == [1, 0, 0, 1]
    assert seen.not_finite.tolist() == [1] * 4
    assert not seen.success.any()
    assert {"4 inputs over the budget", "2 inputs out of bounds"} <= set(seen.summary().splitlines())


def test_without_a_budget_the_nearest_adversarial_is_kept() -> None:
    model = Light()
    with advplug.observe(model, INPUTS, LABELS, "l2:min") as seen:
        for by in (0.5, 0.3, 0.45):
            model(shifted(by).clamp(max=1))
    assert seen.success.tolist() == [True, True, True, False]
    assert seen.distance[:3].tolist() == pytest.approx([0.45, 0.3, 0.3])


def test_parts_of_the_data_are_matched_to_the_nearest_sample_or_as_told() -> None:
    model = Light()
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        model(shifted(0.05)[[2, 3]])
        with seen.rows([1, 2]):
            model(shifted(0.06)[[1, 2]])
    assert seen.queries.tolist() == [0, 1, 2, 1]
    assert seen.matched == {"order": 0, "nearest": 1, "given": 1}
    assert seen.success.tolist() == [False, False, True, False]


def test_copies_of_a_sample_in_one_batch_count_each_and_the_nearest_is_kept() -> None:
    model = Light()
    batch = torch.stack([INPUTS[2] + torch.tensor([by, 0.0]) for by in (0.15, 0.06, 0.1)])
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen, seen.rows([2, 2, 2]):
        model(batch)
    assert seen.queries.tolist() == [0, 0, 3, 0]
    assert torch.equal(seen.adversarials[2], batch[1])


def test_a_tracker_hears_of_loss_margin_and_gradient() -> None:
    model, heard = Light(), Recorder()
    with advplug.observe(model, INPUTS, LABELS, THREAT, tracker=heard) as seen:
        for step in range(3):
            x = shifted(0.01 * step).requires_grad_()
            (gradient,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
        model(INPUTS)
    assert len(heard.steps) == 4
    assert seen.gradients.tolist() == [3] * 4
    first, last = heard.steps[0], heard.steps[-1]
    assert first.gradient_norm is not None
    assert torch.allclose(first.gradient_norm, gradient.norm(dim=1))
    assert last.gradient_norm is None
    expected = torch.nn.functional.cross_entropy(model(INPUTS), LABELS, reduction="none")
    assert torch.allclose(first.loss, -expected)
    assert torch.allclose(first.margin, torch.tensor([8.0, 4.0, 1.0, 8.0]))
    assert [step.number for step in heard.steps] == [0, 1, 2, 3]


def test_one_leaf_that_is_changed_in_place_gives_each_step_its_own_gradient() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    x = INPUTS.clone().requires_grad_()
    wanted = []
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        for _ in range(3):
            model(x)  # asked in passing, without a gradient
            (gradient,) = torch.autograd.grad(model(x).sum(), x)
            wanted.append(gradient.norm(dim=1))
            x.data += 0.05
    sizes = [step.gradient_norm for step in seen.steps]
    assert [size is None for size in sizes] == [True, False] * 3
    found = [size for size in sizes if size is not None]
    assert all(torch.equal(size, right) for size, right in zip(found, wanted, strict=True))


def loop(model: nn.Module) -> Tensor:
    """A loop that draws random numbers, changes its leaf in place and leaves gradients in the parameters."""
    torch.manual_seed(3)
    x = (INPUTS + 0.01 * torch.randn_like(INPUTS)).requires_grad_()
    for _ in range(5):
        x.grad = None
        nn.functional.cross_entropy(model(x), LABELS).backward()
        assert x.grad is not None
        x.data = x.data + 0.02 * x.grad.sign() + 0.001 * torch.randn_like(x)
    slopes = [one.grad.flatten() for one in model.parameters() if one.grad is not None]
    return torch.cat((x.detach().flatten(), *slopes))


@pytest.mark.parametrize("layers", [lambda: (nn.Linear(2, 2),), lambda: (nn.Linear(2, 2), nn.Dropout(), nn.ReLU())])
def test_the_attack_gets_the_same_bits(layers: Callable[[], tuple[nn.Module, ...]]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*layers())
    alone = loop(model)
    model.zero_grad()
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        watched = loop(model)
    assert torch.equal(alone, watched)
    assert seen.calls == 5
    assert seen.in_training_mode == 5
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_a_detector_rejects_is_no_success() -> None:
    class Wary(PlainModel):
        def decide(self, x: Tensor) -> Decision:
            return Decision(self(x).argmax(1), x[:, 0] < 0.58)

    model = Wary(Light(), 2).eval()
    with advplug.observe(model, INPUTS[:3], LABELS[:3], ThreatModel("linf", 0.3)) as seen:
        model(shifted(0.29)[:3])
    assert seen.lost.tolist() == [False, True, True]
    with advplug.observe(model, INPUTS[:3], LABELS[:3], ThreatModel("linf", 0.3)) as seen:
        model(shifted(0.1)[:3])
    assert seen.success.tolist() == [False, False, True]


def test_calls_that_cannot_be_read_are_counted() -> None:
    class Both(Light):
        def forward(self, x: Tensor, pair: bool = False) -> Tensor:
            scores = super().forward(x)
            return (scores, x) if pair else scores  # type: ignore[return-value]

    model = Both()
    with advplug.observe(model, INPUTS, LABELS, THREAT) as seen:
        model(INPUTS, pair=True)
        model(torch.zeros(2, 7))
    assert (seen.calls, seen.unread) == (2, 2)
    assert "2 calls could not be read" in seen.summary()


def test_an_attack_that_raises_leaves_no_hook_behind() -> None:
    model = Light()

    def attack() -> Observation:
        with advplug.observe(model, INPUTS, LABELS, THREAT):
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        attack()
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_targets_say_what_counts() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    targets = torch.tensor([1, 2, 1, 2])
    with torch.no_grad():
        labels = model(INPUTS).argmax(1)
        wanted = torch.where(targets == labels, (labels + 1) % 3, targets)
    threat = ThreatModel("linf", 1.0, targeted=True)
    with advplug.observe(model, INPUTS, labels, threat, targets=wanted) as seen, torch.no_grad():
        reached = model(INPUTS.flip(1)).argmax(1) == wanted
    assert torch.equal(seen.success, reached)


def test_bad_input_is_refused_before_the_attack() -> None:
    with pytest.raises(InvalidInput, match=r"pass the torch\.nn\.Module inside"):
        advplug.observe(lambda x: x, INPUTS, LABELS, THREAT)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="outside the bounds"):
        advplug.observe(Light(), INPUTS + 1, LABELS, THREAT)
    with advplug.observe(Light(), INPUTS, LABELS, THREAT) as seen:
        pass
    with pytest.raises(InvalidInput, match="give one for each sample"):
        seen.silent(INPUTS[:2])
