"""PGD against that of Foolbox and ART: the same steps, step size and start, on every shipped model of real digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_pgd import PGD

from advplug import ThreatModel, load, run
from advplug.data import Images
from advplug.engine.result import AttackResult
from advplug.engine.task import Task
from advplug.model import DefendedModel
from advplug.numerics.tensors import raw

STEPS, EPSILON, DIGITS = 40, 0.1, 200
STEP = EPSILON / 10


class Remembering(PGD):
    """Keeps the last iterate, which is all that Foolbox and ART look at."""

    def step(self, task: Task, state: Any) -> Any:
        state = super().step(task, state)
        self.last = raw(state.x)
        return state


@pytest.fixture(scope="module", params=["mnist", "mnist-relu", "mnist-at"])
def model(request: pytest.FixtureRequest) -> DefendedModel:
    defended: DefendedModel = load("defense:kwta")().build(request.param)
    return defended


@pytest.fixture(scope="module")
def digits() -> Images:
    images: Images = load("data:mnist")().load("shipped", DIGITS)
    return images


@pytest.fixture(scope="module")
def ours(model: DefendedModel, digits: Images) -> tuple[AttackResult, float]:
    """The result, and the accuracy at the last iterate."""
    attack = Remembering(steps=STEPS, step_size=STEP, random_start=False)
    result = run(attack, model, digits.inputs, digits.labels, ThreatModel("linf", EPSILON), early_end=False)
    standing = digits.inputs.clone()
    standing[result.correct] = attack.last  # the others are wrong before the attack, which leaves them out
    return result, _accuracy(model, standing, digits)


def _accuracy(model: DefendedModel, inputs: torch.Tensor, digits: Images) -> float:
    with torch.no_grad():
        return (model(inputs).argmax(1) == digits.labels).double().mean().item()


def _foolbox(model: DefendedModel, digits: Images) -> torch.Tensor:
    import foolbox

    attack = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=STEP, random_start=False)
    fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    clipped: torch.Tensor = attack(fmodel, digits.inputs, digits.labels, epsilons=EPSILON)[1]
    return clipped


def _art(model: DefendedModel, digits: Images) -> torch.Tensor:
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    attack = ProjectedGradientDescent(
        classifier, eps=EPSILON, eps_step=STEP, max_iter=STEPS, num_random_init=0, batch_size=DIGITS, verbose=False
    )
    return torch.from_numpy(attack.generate(digits.inputs.numpy(), digits.labels.numpy()))


@pytest.mark.parametrize("peer", [_foolbox, _art])
def test_robust_accuracy_is_within_a_point_and_never_more(
    peer: Any, model: DefendedModel, digits: Images, ours: tuple[AttackResult, float]
) -> None:
    theirs = _accuracy(model, peer(model, digits), digits)
    result, last = ours
    assert 0.02 < theirs < 0.98  # a budget that tells attacks apart
    assert abs(last - theirs) <= 0.01
    assert result.robust_accuracy <= theirs
