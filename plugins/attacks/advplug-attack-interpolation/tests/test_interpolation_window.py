"""A detector that lets only a narrow window between boundary and confidence pass, whose place is known."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_interpolation import Interpolation
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug import ThreatModel, run
from advplug.errors import InvalidInput
from advplug.model import Decision, DefendedModel


class Window(DefendedModel):
    """Class 1 where the mean value exceeds a half; rejects class 1 unless that mean lies in a window."""

    def __init__(self, low: float, high: float, *, noise: float = 0.0) -> None:
        super().__init__(2)
        self.low, self.high, self.noise = low, high, noise
        self.stochastic = noise > 0

    @property
    def thresholds(self) -> Tensor:
        return torch.tensor([-self.low, self.high])

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack((0.5 - mean, mean - 0.5), 1)

    def detector_scores(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1) + self.noise * torch.randn(len(x))
        inside = torch.full_like(mean, (self.low + self.high) / 2)
        mean = torch.where(x.flatten(1).mean(1) > 0.5, mean, inside)  # nothing is said of class 0
        return torch.stack((-mean, mean), 1)

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), (self.detector_scores(x) <= self.thresholds).all(1))


class Silent(Window):
    """The same, without scores to look at."""

    detector_scores = None  # type: ignore[assignment]

    def decide(self, x: Tensor) -> Decision:
        return Decision(self(x).argmax(1), (Window.detector_scores(self, x) <= self.thresholds).all(1))


@pytest.fixture
def inputs() -> Tensor:
    return 0.2 + 0.1 * torch.rand(16, 3, 4, generator=torch.Generator().manual_seed(0))


def _run(attack: PGD | Interpolation, model: Window, x: Tensor) -> float:
    result = run(attack, model, x, torch.zeros(len(x), dtype=torch.int64), ThreatModel("linf", 0.6))
    if bool(result.success.any()):
        means = result.adversarials[result.success].flatten(1).mean(1)
        slack = 3 * model.noise
        assert ((means >= model.low - slack) & (means <= model.high + slack)).all()
    return float(result.success.float().mean())


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.601), (0.7, 0.7002), (0.501, 0.502)])
def test_bisection_finds_a_window_that_pgd_steps_over(low: float, high: float, inputs: Tensor) -> None:
    model = Window(low, high)
    assert _run(PGD(judge="last"), model, inputs) == 0
    assert _run(Interpolation(near=(0,)), model, inputs) == 1


def test_it_must_know_which_test_objects_to_near_points(inputs: Tensor) -> None:
    """Without that every objection says too far, and the way ends at the boundary."""
    model = Window(0.6, 0.601)
    assert _run(Interpolation(), model, inputs) == 0
    with pytest.raises(InvalidInput, match="scores 0 to 1"):
        _run(Interpolation(near=(2,)), model, inputs)


def test_a_detector_that_shows_no_scores_objects_to_far_points(inputs: Tensor) -> None:
    assert _run(Interpolation(), Silent(0.0, 0.51), inputs) == 1
    assert _run(Interpolation(), Silent(0.6, 0.601), inputs) == 0


def test_a_random_detector_is_asked_several_times(inputs: Tensor) -> None:
    model = Window(0.6, 0.7, noise=0.02)
    shares = {votes: _run(Interpolation(near=(0,), votes=votes), model, inputs) for votes in (1, 8)}
    assert shares[8] == 1
    assert shares[8] >= shares[1]


def test_every_question_is_charged(inputs: Tensor) -> None:
    steps, bisections, votes = 10, 5, 3
    attack = Interpolation(attack=PGD(steps=steps, judge="last"), bisections=bisections, near=(0,), votes=votes)
    model = Window(0.6, 0.7, noise=0.01)
    result = run(attack, model, inputs, torch.zeros(16, dtype=torch.int64), ThreatModel("linf", 0.6))
    judged = 10  # decisions at the end, each behind a forward pass
    assert result.forwards.unique().tolist() == [steps + bisections * (1 + votes) + 2 * judged]
    assert result.backwards.unique().tolist() == [steps]


@pytest.mark.parametrize("options", [{"bisections": 0}, {"votes": 0}])
def test_bad_settings_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        Interpolation(**options)  # type: ignore[arg-type]
