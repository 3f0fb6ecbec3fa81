"""Gradients through a gradient network, on models that hide theirs; and the examination that finds which to take."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug import Decision, DefendedModel, Images, ThreatModel, load, run
from advplug.cli import run as command
from advplug.engine.problem import make_problem
from advplug.errors import InvalidInput, NoGradient
from advplug.gradients import EOT, Exact, GradientEstimator
from advplug.losses import DetectorScore, Joint, Margin
from advplug.tracing import Traced
from advplug.tracing.examine import Examination, examine

THREAT = ThreatModel("linf", 0.3)


def network() -> nn.Sequential:
    """An untrained network of images (3, 8, 8), whose own answers are the labels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4)).eval()


class Around(nn.Module):
    """``after(net(before(x)))``, the functions between modules."""

    def __init__(self, before: Callable[[Tensor], Tensor] | None, after: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.net, self.before, self.after = network(), before, after

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x if self.before is None else self.before(x))
        return scores if self.after is None else self.after(scores)


def through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(np.round(x.detach().numpy() * 15) / 15)


def upside_down(x: Tensor) -> Tensor:
    """Through NumPy and to another size."""
    return F.interpolate(torch.from_numpy(x.detach().numpy().copy()), scale_factor=2)[..., ::2, ::2].round(decimals=1)


def votes(x: Tensor) -> Tensor:
    return F.one_hot(x.argmax(1), 4).float()


class Votes(nn.Module):
    """Nine copies of each input in one batch, and how often each class wins; through NumPy."""

    def __init__(self, neighbours: bool) -> None:
        super().__init__()
        self.net, self.neighbours = network(), neighbours

    def forward(self, x: Tensor) -> Tensor:
        copies = x.repeat_interleave(9, 0) if self.neighbours else x.repeat(9, 1, 1, 1)
        answers = self.net(copies + 0.01 * torch.randn_like(copies)).detach().numpy().argmax(1)
        shape = (len(x), 9) if self.neighbours else (9, len(x))
        counted = F.one_hot(torch.from_numpy(answers), 4).reshape(*shape, 4).sum(1 if self.neighbours else 0)
        return counted.float()


class Opaque(torch.autograd.Function):
    """The identity with a backward pass that gives nothing."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


class Step(nn.Module):
    """A function as a module; custom functions are bound where no class is asked for them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Channels(nn.Module):
    """A thermometer code of real extra channels, through NumPy."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(30, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.detach().numpy()
        code = np.concatenate([pixels > (level + 0.5) / 10 for level in range(10)], 1)
        return self.net(torch.from_numpy(code.astype(np.float32)))


class DenseInNumPy(nn.Module):
    """A dense layer whose inputs and outputs differ in size, in NumPy; its weights are rounded to a few levels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.weight = (torch.randn(24, 512) * 4).round().numpy() / 64

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy() @ self.weight.T)


def with_a_dense_layer_in_numpy() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), DenseInNumPy(), nn.ReLU(), nn.Linear(24, 4)]
    return nn.Sequential(*layers)


HIDDEN: dict[str, Callable[[], nn.Module]] = {
    "rounded scores": lambda: Around(None, lambda z: z.round(decimals=1)),
    "one-hot": lambda: Around(None, votes),
    "saturated and rounded": lambda: Around(None, lambda z: (100 * z).softmax(1).round(decimals=2)),
    "detached": lambda: Around(None, torch.Tensor.detach),
    "rounded inputs": lambda: Around(lambda x: (x * 15).round() / 15, None),
    "NumPy": lambda: Around(through_numpy, None),
    "scores through NumPy": lambda: Around(None, through_numpy),
    "another size": lambda: Around(upside_down, None),
    "votes": lambda: Votes(neighbours=False),
    "votes of neighbours": lambda: Votes(neighbours=True),
    "opaque function": lambda: nn.Sequential(Step(Opaque.apply), network()),
    "zero gradient": lambda: Around(lambda x: 1 * Opaque.apply(x), None),
    "extra channels": Channels,
    "dense layer in NumPy": with_a_dense_layer_in_numpy,
}


def attacked(model: nn.Module, gradient: GradientEstimator) -> float:
    """Robust accuracy under a few steps of PGD, on inputs that the model is right about."""
    torch.manual_seed(1)
    x = torch.rand(24, 3, 8, 8)
    with torch.no_grad():
        labels = model(x).argmax(1)
    return run(load("attack:pgd")(steps=10), model, x, labels, THREAT, loss=Margin(), gradient=gradient).robust_accuracy


def with_its_own(model: nn.Module, gradient: GradientEstimator) -> float:
    """The same with a gradient that the model may not have at all, which leaves everything."""
    try:
        return attacked(model, gradient)
    except NoGradient:
        return 1.0


def examined(model: nn.Module) -> Examination:
    torch.manual_seed(1)
    x = torch.rand(24, 3, 8, 8)
    with torch.no_grad():
        labels = model(x).argmax(1)
    return examine(make_problem(model, x, labels, THREAT))


@pytest.mark.filterwarnings("ignore::advplug.errors.RobustnessWarning")
@pytest.mark.parametrize("name", HIDDEN)
def test_the_best_gradient_breaks_what_hides_its_own(name: str) -> None:
    model = HIDDEN[name]().eval()
    best = examined(model).gradients[0]
    assert best.lowers > 0.9
    assert attacked(model, best.estimator) <= 0.1
    assert with_its_own(model, EOT(8) if name.startswith("votes") else Exact()) >= 0.6


def test_a_plain_network_has_the_same_gradient() -> None:
    model = network()
    assert attacked(model, Traced()) == attacked(model, Exact())
    found = examined(model)
    assert found.gradients[0].text == "exact"
    assert "traced" not in [one.text for one in found.gradients]  # the same gradient, tried once


def test_places_name_what_was_found() -> None:
    found = examined(nn.Sequential(Step(lambda x: (x * 15).round() / 15), network(), Step(votes)))
    kinds = {(place.kind, place.module) for place in found.places}
    assert {("scores", "1"), ("disconnected", "2"), ("vote", "")} <= kinds
    by_module = {place.module: place.note for place in found.places}
    assert "leaving the graph" in by_module["2"]


def test_a_module_that_draws_is_found() -> None:
    found = examined(nn.Sequential(Step(lambda x: x + 0.1 * torch.randn_like(x)), network()))
    assert ("random", "0") in {(place.kind, place.module) for place in found.places}
    assert found.gradients[0].text.startswith("eot")


class Detected(DefendedModel):
    """A detector whose scores are computed without a gradient."""

    def __init__(self) -> None:
        super().__init__(4)
        self.net, self.thresholds = network(), torch.tensor([0.5])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    @torch.no_grad()
    def detector_scores(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3)).round(decimals=3)

    def decide(self, x: Tensor) -> Decision:
        return Decision(self.net(x).argmax(1), self.detector_scores(x) <= self.thresholds[0])


def test_a_detector_gets_a_gradient_as_well() -> None:
    model = Detected()
    x = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 0.9
    labels = model(x).argmax(1)
    both = Joint(((1.0, Margin()), (10.0, DetectorScore(confidence=0.01))))
    found = run(load("attack:pgd")(steps=20), model, x, labels, THREAT, loss=both, gradient=Traced())
    assert found.robust_accuracy < 0.2
    with pytest.raises(NoGradient, match="give no gradient"):
        run(load("attack:pgd")(steps=20), model, x, labels, THREAT, loss=both)


def test_a_network_in_integers_has_a_gradient() -> None:
    model = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert with_its_own(quantised, Exact()) == 1.0
    assert attacked(quantised, Traced()) <= attacked(model, Exact()) + 0.1


def test_a_fit_follows_weights_that_change() -> None:
    """Trained further, a module is fitted again: an old stand-in would lead anywhere."""
    model = with_a_dense_layer_in_numpy()
    before = attacked(model, Traced())
    model[3].weight = -model[3].weight[::-1].copy()
    assert before <= 0.1
    assert attacked(model, Traced()) <= 0.1


def test_unknown_modules_are_refused_before_any_pass() -> None:
    with pytest.raises(InvalidInput, match=r"no module 'nett' \(did you mean net\?\): choose among net"):
        attacked(Around(None, None), Traced(exit="nett"))


def test_on_the_command_line(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--gradients traced`` breaks a model of the user's own that rounds its scores."""
    (tmp_path / "rounding.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef model():\n    torch.manual_seed(0)\n"
        "    return Rounded()\n\n\nclass Rounded(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))\n\n"
        "    def forward(self, x):\n        return self.net(x).round()\n"
    )
    monkeypatch.chdir(tmp_path)
    x = torch.rand(8, 3, 8, 8)
    torch.manual_seed(0)
    labels = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))(x).round().argmax(1)
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=labels.numpy())
    asked = ["evaluate", "rounding:model", "--data", "data.npz", "--threat", "linf:0.3", "--attacks", "pgd"]
    assert command([*asked, "--gradients", "traced,traced(exit=net)", "--no-report"]) == 0
    assert "traced" in capsys.readouterr().out


def test_images_of_one_class_are_enough() -> None:
    images = Images(torch.rand(1, 3, 8, 8), torch.tensor([0]))
    model = Around(None, votes)
    assert examine(make_problem(model, images.inputs, model(images.inputs).argmax(1), THREAT)).gradients
