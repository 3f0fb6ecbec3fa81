"""Detectors that offer no score: their decision has a slope, which leads past them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug import Decision, DefendedModel, ThreatModel, load, run
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput
from advplug.losses import Joint, Margin
from advplug.spelling import read_gradient, read_loss
from advplug.tracing import Acceptance, Traced
from advplug.tracing.acceptance import softly_accepted

THREAT = ThreatModel("linf", 0.3)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4)).eval()


class Detector(DefendedModel):
    """Decides, and tells nothing more."""

    def __init__(self) -> None:
        super().__init__(4)
        self.net, self.other = network(0), network(0)
        with torch.no_grad():
            for weights in self.other.parameters():
                weights.add_(0.02 * torch.randn_like(weights))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def decide(self, x: Tensor) -> Decision:
        labels = self.net(x).argmax(1)
        return Decision(labels, self.accepts(x, labels))

    def accepts(self, x: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError


class Bright(Detector):
    """Rejects images whose mean, rounded, is above a threshold."""

    @torch.no_grad()
    def accepts(self, x: Tensor, labels: Tensor) -> Tensor:
        return x.mean((1, 2, 3)).round(decimals=3) <= 0.5


class Agreeing(Detector):
    """Rejects images on which another network answers otherwise, or which are too bright or too dark."""

    def accepts(self, x: Tensor, labels: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        return (self.other(x).argmax(1) == labels) & ~((mean > 0.6) | (mean < 0.3))


class Everywhere(Detector):
    """Rejects images with a pixel column that is too bright."""

    def accepts(self, x: Tensor, labels: Tensor) -> Tensor:
        return (x.mean((1, 2)) < 0.65).all(1)


@pytest.mark.parametrize("kind", [Bright, Agreeing, Everywhere])
def test_its_loss_falls_where_the_model_accepts(kind: type[Detector]) -> None:
    model = kind()
    x = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.98
    soft, accepted = softly_accepted(model, x.requires_grad_()), model.decide(x).accepted
    assert bool(((soft >= 0) & (soft <= 1)).all())
    assert soft[accepted].mean() > soft[~accepted].mean()
    (gradient,) = torch.autograd.grad(soft.sum(), x)
    assert bool((gradient != 0).flatten(1).any(1).all())


def test_an_attack_gets_past_a_detector_without_scores() -> None:
    model = Bright()
    x = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 0.96
    labels = model(x).argmax(1)
    left = {}
    for loss in (Margin(), Joint(((1.0, Margin()), (0.1, Acceptance(confidence=1.0))))):
        found = run(load("attack:pgd")(steps=30), model, x, labels, THREAT, loss=loss, gradient=Traced())
        left[type(loss).__name__] = found.robust_accuracy
        assert bool(model.decide(found.adversarials[found.success]).accepted.all())
    assert left["Joint"] <= left["Margin"]
    assert left["Joint"] < 0.1


def test_its_pass_is_counted() -> None:
    model, x = Bright(), torch.rand(4, 3, 8, 8) * 0.8
    labels, both = model(x).argmax(1), Joint(((1.0, Margin()), (0.0, Acceptance())))
    passes = []
    for loss in (Margin(), both):
        found = run(
            load("attack:pgd")(steps=4), model, x, labels, THREAT, loss=loss, gradient=Traced(), early_end=False
        )
        passes.append(found.forwards)
    assert bool((passes[1] == passes[0] + 4 + 1).all())  # in each step, and at the last point


def test_a_model_that_accepts_everything_is_refused() -> None:
    model = network(0)
    x = torch.rand(2, 3, 8, 8)
    with pytest.raises(InvalidInput, match="acceptance needs a model that rejects"):
        run(load("attack:pgd")(steps=2), model, x, model(x).argmax(1), THREAT, loss=Acceptance())


def test_it_is_a_word() -> None:
    assert read_loss("margin+3*acceptance") == Joint(((1.0, Margin()), (3.0, Acceptance())))
    assert read_gradient("selective(second=acceptance) of traced").losses == (Acceptance(),)


def test_the_search_takes_it_where_there_are_no_scores() -> None:
    pytest.importorskip("optuna")
    from advplug.composition.words import words_of
    from advplug.tracing.examine import Candidate, Examination

    model, x = Bright(), torch.rand(4, 3, 8, 8)
    problem = make_problem(model, x, model(x).argmax(1), THREAT)
    words = words_of(problem, Examination((), (Candidate("traced", Traced(), 1.0),)))
    assert "margin+3*acceptance" in words.losses
    assert any("acceptance" in text for text in words.gradients)
