"""The passive observer around attacks of Foolbox, ART and torchattacks: it changes no bit, and sees lost successes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import advplug
from advplug import ThreatModel
from advplug.model import DefendedModel

THREAT = ThreatModel("linf", 0.1)
Digits = tuple[DefendedModel, Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> Digits:
    pytest.importorskip("advplug_defense_adversarial_training")
    model = advplug.load("defense:adversarial-training")().build("mnist").eval()
    images = advplug.load("data:mnist")().load("shipped", 24)
    return model, images.inputs, images.labels


def twice(attack: Callable[[], Tensor], watch: Callable[[], Any]) -> tuple[Tensor, Any]:
    """What ``attack`` returns, the same bits with and without an observer, and what that saw."""
    alone = attack()
    with watch() as seen:
        watched = attack()
    assert torch.equal(alone, watched)
    return watched, seen


def test_foolbox_pgd(digits: Digits) -> None:
    foolbox = pytest.importorskip("foolbox")
    model, x, y = digits

    def attack() -> Tensor:
        torch.manual_seed(0)
        fmodel = foolbox.PyTorchModel(model, bounds=(0, 1))
        clipped: Tensor = foolbox.attacks.LinfPGD(steps=10)(fmodel, x, y, epsilons=THREAT.epsilon)[1]
        return clipped

    returned, seen = twice(attack, lambda: advplug.observe(model, x, y, THREAT))
    assert seen.gradients.tolist() == [10] * 24
    assert seen.queries.tolist() == [11] * 24  # Foolbox asks about the points that it returns
    assert seen.matched == {"order": 11, "nearest": 0, "given": 0}
    with torch.no_grad():
        broken = model(returned).argmax(1) != y
    assert 0 < broken.sum() < 24
    assert torch.equal(seen.judged(returned), broken)
    assert bool((seen.success | ~broken).all())
    assert not seen.over_budget.any()
    losses = [float(step.loss.mean()) for step in seen.steps]
    assert losses[9] < losses[0]


def test_a_foolbox_attack_that_returns_another_iterate_than_its_success_is_caught(digits: Digits) -> None:
    foolbox = pytest.importorskip("foolbox")
    model, x, y = digits

    class Careless(foolbox.attacks.LinfPGD):  # type: ignore[misc, name-defined]
        """Goes half of the way back after its last step."""

        def run(self, fmodel: Any, inputs: Any, criterion: Any, **options: Any) -> Any:
            found = super().run(fmodel, inputs, criterion, **options)
            fmodel(found)
            return inputs + 0.5 * (found - inputs)

    torch.manual_seed(0)
    fmodel = foolbox.PyTorchModel(model, bounds=(0, 1))
    with advplug.observe(model, x, y, THREAT) as seen:
        _, returned, success = Careless(steps=10)(fmodel, x, y, epsilons=THREAT.epsilon)
    silent = seen.silent(returned)
    assert silent.any()
    assert torch.equal(silent, seen.success & ~success)
    with torch.no_grad():
        assert bool((model(seen.adversarials[silent]).argmax(1) != y[silent]).all())
        assert bool((model(returned[silent]).argmax(1) == y[silent]).all())
    distance = (seen.adversarials - x).flatten(1).abs().amax(1)
    assert float(distance.max()) <= 0.1 * (1 + 1e-6)
    assert f"{int(silent.sum())} successes lost" in seen.summary(returned)


@pytest.mark.parametrize("sequential", [False, True], ids=["module", "sequential"])
def test_art_pgd(digits: Digits, sequential: bool) -> None:
    """ART attacks in batches of its own, and calls the layers of a Sequential one by one."""
    pytest.importorskip("art")
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    model, x, y = digits
    torch.manual_seed(0)
    net: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval() if sequential else model
    if sequential:
        with torch.no_grad():
            y = net(x).argmax(1)
    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0))

    def attack() -> Tensor:
        np.random.seed(0)
        torch.manual_seed(0)
        pgd = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.02, max_iter=5, batch_size=7, verbose=False)
        return torch.from_numpy(pgd.generate(x.numpy(), y.numpy()))

    returned, seen = twice(attack, lambda: advplug.observe(net, x, y, THREAT))
    assert seen.unread == 0
    assert seen.matched["order"] == 0
    assert bool((seen.gradients == 5).all())
    judged = seen.judged(returned)
    assert judged.any()
    assert bool((seen.success | ~judged).all())


def test_torchattacks(digits: Digits) -> None:
    """One attack on what the one before left, so that inputs are matched to the nearest digit."""
    torchattacks = pytest.importorskip("torchattacks")
    model, x, y = digits

    def attack() -> Tensor:
        torch.manual_seed(0)
        first, then = torchattacks.FGSM(model, eps=0.1), torchattacks.PGD(model, eps=0.1, alpha=0.02, steps=10)
        found: Tensor = torchattacks.MultiAttack([first, then])(x, y)
        return found

    returned, seen = twice(attack, lambda: advplug.observe(model, x, y, THREAT))
    assert seen.matched["nearest"] > 0
    judged = seen.judged(returned)
    assert 0 < judged.sum() < 24
    assert bool((seen.success | ~judged).all())
    assert seen.queries[judged].float().mean() < seen.queries[~judged].float().mean()
