"""The door to the model: copies, dtypes, modes of the caller, and what a plain module declares."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import PlainModel, ThreatModel, load, run
from advplug.data import Images
from advplug.engine.gateway import Gateway, ask, rows_within, searchable
from advplug.engine.problem import make_problem
from advplug.evaluation import evaluate, model_job
from advplug.gradients import BPDA, EOT, FiniteDifference, GradientEstimator
from advplug.losses import ActivationLoss

LINF = ThreatModel("linf", 8 / 255)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10)).eval()


def images(count: int = 40) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255


class Face(nn.Module):
    """The function of ``net``, float32 in and out, which hides its dtype."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.call, self.dtype = (net,), dtype  # a tuple, so that its parameters are not found

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.call[0](x.to(self.dtype))
        return scores.float()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "threat"),
    [
        ("pgd", LINF), ("pgd", ThreatModel("l2", 0.5)), ("pgd", ThreatModel("l1", 5)), ("pgd", ThreatModel("l0", 5)),
        ("fgm", LINF), ("apgd", LINF), ("square", LINF), ("fmn", LINF), ("ddn", ThreatModel("l2", 0.5)),
    ],
    ids=str,
)  # fmt: skip
def test_a_model_of_another_dtype_is_as_robust_as_its_function(name: str, threat: ThreatModel, dtype: Any) -> None:
    net, x = network().to(dtype), images()
    face = Face(net, dtype)
    labels = face(x).argmax(1)
    short = {"square": {"queries": 300}, "fmn": {"steps": 60}, "ddn": {"steps": 60}}.get(name, {})
    attack = load(f"attack:{name}")(**short)
    told, true = (run(attack, model, x, labels, threat) for model in (net, face))
    assert true.robust_accuracy < 1
    assert abs(told.robust_accuracy - true.robust_accuracy) <= 1 / len(x)
    assert told.adversarials.dtype == torch.float32


def test_searches_compute_in_float32_or_float64() -> None:
    single, double = torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.float64)
    for parameters, given, computed in (
        (torch.float16, single, torch.float32),
        (torch.bfloat16, double, torch.float64),
        (torch.float32, double, torch.float32),
        (torch.float64, single, torch.float32),
        (torch.float64, double, torch.float64),
    ):
        assert searchable(nn.Linear(2, 2, dtype=parameters), given).dtype == computed
    assert searchable(nn.ReLU(), double).dtype == torch.float64


class InPlace(nn.Module):
    """Normalises its argument in place, in front of ``net``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(x.sub_(0.5))
        return scores


class Cloning(InPlace):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clone())


@pytest.mark.parametrize("name", ["pgd", "square", "fmn", "foolbox:LinfPGD", "art:FastGradientMethod"])
def test_a_model_that_changes_its_argument_changes_a_copy(name: str) -> None:
    x, truth = images(), Cloning().eval()
    kept, labels = x.clone(), truth(x).argmax(1)
    attack = load(f"attack:{name}")(**({"queries": 300} if name == "square" else {}))
    told, true = (run(attack, model, x, labels, LINF) for model in (InPlace().eval(), truth))
    assert torch.equal(x, kept)
    assert torch.equal(told.correct, true.correct)
    assert told.robust_accuracy == pytest.approx(true.robust_accuracy, abs=1 / len(x))


def test_an_evaluation_leaves_its_images_as_they_were() -> None:
    data = Images(images(8), torch.zeros(8).long())
    kept = data.inputs.clone()
    job = model_job("in place", InPlace().eval(), data, LINF, [_recipe()])
    evaluate(job)
    assert torch.equal(data.inputs, kept)


def _recipe() -> Any:
    from advplug import Recipe

    return Recipe(name="pgd", attack=load("attack:pgd")(steps=2), role="baseline")


@contextmanager
def default_dtype() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": default_dtype,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gradient", [None, FiniteDifference(0.05, 20)], ids=["exact", "finite differences"])
def test_the_callers_mode_changes_nothing(mode: str, gradient: GradientEstimator | None) -> None:
    net, x = network(), images(10)
    labels = net(x).argmax(1)
    attack = load("attack:pgd")(steps=5)
    expected = run(attack, net, x, labels, LINF, gradient=gradient)
    with MODES[mode]():
        found = run(attack, net, x.clone(), labels.clone(), LINF, gradient=gradient)
        assert torch.is_grad_enabled() == (mode not in ("no_grad", "inference_mode"))
    assert torch.equal(found.adversarials, expected.adversarials)
    assert found.robust_accuracy == expected.robust_accuracy


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_foolbox_and_art_callers_without_gradients(mode: str) -> None:
    import foolbox
    from art.estimators.classification import PyTorchClassifier

    from advplug.interop.art import as_art_attack

    net, x = network(), images(10)
    labels, pgd = net(x).argmax(1), load("attack:pgd")(steps=5)
    with MODES[mode]():
        success = pgd(foolbox.PyTorchModel(net, bounds=(0, 1)), x.clone(), labels, epsilons=8 / 255)[2]
        classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 8, 8), 10, clip_values=(0, 1))
        found = as_art_attack(pgd, classifier, threat=LINF).generate(x.numpy(), labels.numpy())
    assert success.any()
    assert (found != x.numpy()).any()


class Declaring(nn.Module):
    """A plain module with what a defense offers: it is random, and rounds in front of its network."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__()
        self.features = network()  # a submodule of that name is no capability

    def forward(self, x: Tensor) -> Tensor:
        return self.surrogate(x.mul(4).round().div(4) + 0.01 * torch.randn_like(x))

    def surrogate(self, x: Tensor) -> Tensor:
        scores: Tensor = self.features(x)
        return scores


def test_what_a_plain_module_declares_is_honoured() -> None:
    module, x = Declaring().eval(), images(20)
    labels = module.surrogate(x).argmax(1)
    model = make_problem(module, x, labels, LINF).model
    assert isinstance(model, PlainModel)
    assert model.stochastic
    assert model.capabilities.surrogate is not None
    assert model.capabilities.features is None
    wide = ThreatModel("linf", 0.3)
    assert run(load("attack:pgd")(), module, x, labels, wide, gradient=EOT(4, of=BPDA())).robust_accuracy < 0.2


def test_layers_come_in_the_dtype_of_the_search() -> None:
    seen = []

    def mean(activation: Any, view: Any) -> Any:
        seen.append(activation.dtype)
        return activation.flatten(1).sum(1)

    x = images(4)
    run(load("attack:pgd")(steps=1), network().half(), x, torch.zeros(4).long(), LINF,
        loss=ActivationLoss("module.0", mean), early_end=False)  # fmt: skip
    assert set(seen) <= {torch.float32}


def test_passes_that_run_out_of_memory_are_halved() -> None:
    class Small(nn.Module):
        largest = 8

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > self.largest:
                raise torch.cuda.OutOfMemoryError("too many")
            return x.flatten(1)[:, :3]

    model, x = PlainModel(Small(), 3), images(30)
    gateway = Gateway(model, x[:1], max_rows=30)
    assert torch.equal(gateway.scores(x), x.flatten(1)[:, :3])
    assert torch.equal(gateway.decide(x).labels, x.flatten(1)[:, :3].argmax(1))
    assert gateway.max_rows <= 8
    Small.largest = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        gateway.scores(x)


def test_memory_is_measured_on_a_copy_too() -> None:
    example = images(1)
    kept = example.clone()
    model = PlainModel(InPlace().eval(), 10)
    assert rows_within(2**20, model, example) > 1
    assert torch.equal(example, kept)
    assert torch.equal(ask(model, model, example), Cloning().eval()(kept))
    assert torch.equal(example, kept)
