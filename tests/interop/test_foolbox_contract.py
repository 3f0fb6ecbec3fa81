"""What a Foolbox user's code does with an attack, done with every installed attack of advplug's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import eagerpy as ep
import foolbox
import numpy as np
import pytest
import torch
from advplug_attack_ddn import DDN
from advplug_attack_pgd import PGD
from foolbox.attacks.base import AttackWithDistance, FixedEpsilonAttack, MinimizationAttack
from foolbox.criteria import Criterion, Misclassification, TargetedMisclassification
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.interop.foolbox import as_foolbox_model
from advplug.model import PlainModel
from advplug.numerics.tensors import norms
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
HOP_SKIP_JUMP = "HopSkipJumpAttack" if hasattr(foolbox.attacks, "HopSkipJumpAttack") else "HopSkipJump"  # from 3.3.3 on
BUDGETS = {"linf": 0.2, "l2": 0.5, "l1": 2.0, "l0": 4.0}
NAMES = {0: "l0", 1: "l1", 2: "l2", ep.inf: "linf"}


def norm_of(attack: Attack) -> str:
    return NAMES[attack.distance.p]


def budget_of(attack: Attack) -> float:
    return BUDGETS[norm_of(attack)]


def epsilon_of(attack: Attack) -> float | None:
    return None if attack.minimum_norm else budget_of(attack)


@pytest.fixture
def fmodel(model: PlainModel) -> Any:
    return as_foolbox_model(model)


@pytest.fixture
def call(attack: Attack, fmodel: Any, own: Images) -> Callable[..., Any]:
    """The attack on the model in Foolbox's form."""
    return partial(attack, fmodel, auxiliary=own)


@pytest.fixture
def run(attack: Attack, fmodel: Any, own: Images) -> Callable[..., Any]:
    """Its method ``run``, with a budget if it needs one."""
    options = {} if attack.minimum_norm else {"epsilon": budget_of(attack)}
    return partial(attack.run, fmodel, auxiliary=own, **options)


def test_it_is_an_attack_of_foolbox_with_a_distance(attack: Attack) -> None:
    assert isinstance(attack, AttackWithDistance)
    assert norm_of(attack) in attack.norms
    kinds = isinstance(attack, MinimizationAttack), isinstance(attack, FixedEpsilonAttack)
    assert kinds in ((attack.minimum_norm, not attack.minimum_norm), (False, False))
    assert any(kinds) == (not isinstance(type(attack).minimum_norm, property) or kinds[1])


def test_labels_in_every_form_give_one_result(attack: Attack, call: Callable[..., Any], few: Blobs) -> None:
    inputs, labels = few
    points, clipped, success = call(inputs, labels, epsilons=epsilon_of(attack))
    assert bool(success.any())
    for criterion in (labels.numpy().astype(np.int32), ep.astensor(labels), Misclassification(labels.numpy())):
        again = call(inputs, criterion, epsilons=epsilon_of(attack))
        assert all(torch.equal(one, other) for one, other in zip(again, (points, clipped, success), strict=True))
    wrapped = call(ep.astensor(inputs), labels, epsilons=epsilon_of(attack))
    assert all(isinstance(one, ep.PyTorchTensor) for one in wrapped)
    assert torch.equal(wrapped[0].raw, points)


def test_budgets_in_every_form(attack: Attack, call: Callable[..., Any], few: Blobs, model: PlainModel) -> None:
    inputs, labels = few
    budget = budget_of(attack)
    many = [budget / 2, budget]
    _, clipped, success = call(inputs, labels, epsilons=many)
    assert success.shape == (2, 12)
    for epsilons in (
        tuple(many),
        np.array(many),
        torch.tensor(many, dtype=torch.float64),
        ep.astensor(torch.tensor(many)),
    ):
        again = call(inputs, labels, epsilons=epsilons)
        assert type(again[0]) is type(again[1]) is list
        assert torch.equal(again[2], success)
    alone = call(inputs, labels, epsilons=budget)
    assert alone[2].shape == (12,)
    assert torch.equal(call(inputs, labels, epsilons=torch.tensor(budget, dtype=torch.float64))[0], alone[0])
    for part, flags, epsilon in zip(clipped, success, many, strict=True):
        assert torch.equal(model(part).argmax(1) != labels, flags)
        assert bool((norms(part - inputs, norm_of(attack)) <= epsilon * (1 + 1e-5)).all())
    if attack.minimum_norm:
        assert call(inputs, labels, epsilons=[None, budget])[2].shape == (2, 12)
    else:
        with pytest.raises(InvalidInput, match="needs a budget"):
            call(inputs, labels, epsilons=[budget, None])


def test_run_returns_the_points_alone(
    attack: Attack, call: Callable[..., Any], run: Callable[..., Any], few: Blobs
) -> None:
    inputs, labels = few
    points = call(inputs, labels, epsilons=epsilon_of(attack))[0]
    assert torch.equal(run(inputs, labels), points)
    wrapped = run(ep.astensor(inputs), Misclassification(labels), starting_points=None)
    assert isinstance(wrapped, ep.PyTorchTensor)
    assert torch.equal(wrapped.raw, points)
    if attack.minimum_norm:
        assert torch.equal(run(inputs, labels, early_stop=0.01), points)


def test_the_other_budget_is_refused(attack: Attack, fmodel: Any, few: Blobs) -> None:
    wrong = {"epsilon": 0.1} if attack.minimum_norm else {"early_stop": 0.1}
    with pytest.raises(InvalidInput, match=r"call run with"):
        attack.run(fmodel, *few, **wrong)  # type: ignore[call-arg,arg-type]


def test_repeats_find_at_least_as_much(
    attack: Attack, call: Callable[..., Any], fmodel: Any, own: Images, few: Blobs
) -> None:
    inputs, labels = few
    repeated = attack.repeat(2)
    assert repr(repeated) == f"Repeated(attack={attack!r}, times=2)"
    assert "times=6" in repr(repeated.repeat(3))
    assert repeated.distance is attack.distance
    epsilon = epsilon_of(attack)
    points, _, success = call(inputs, labels, epsilons=epsilon)
    again, _, more = repeated(fmodel, inputs, labels, epsilons=epsilon, auxiliary=own)
    assert bool((more >= success).all())
    if attack.minimum_norm:
        both = success & more
        assert bool((attack.distance(inputs, again) <= attack.distance(inputs, points) + 1e-6)[both].all())
    else:
        assert torch.equal(repeated.run(fmodel, inputs, labels, epsilon=epsilon, auxiliary=own), again)  # type: ignore[call-arg,arg-type]


@pytest.mark.parametrize("bounds", [(0.0, 255.0), (-1.0, 1.0)])
def test_other_bounds(attack: Attack, bounds: tuple[float, float], network: nn.Module, own: Images, few: Blobs) -> None:
    inputs, labels = few
    low, width = bounds[0], bounds[1] - bounds[0]
    fmodel = foolbox.PyTorchModel(
        nn.Sequential(Scaled(1 / width, -low / width), network).eval(), bounds=bounds, device="cpu"
    )
    wide, theirs = low + width * inputs, Images(low + width * own.inputs, own.labels)
    scale = 1 if norm_of(attack) == "l0" else width
    epsilon = None if attack.minimum_norm else scale * budget_of(attack)
    points, _, success = attack(fmodel, wide, labels, epsilons=epsilon, auxiliary=theirs)
    assert low <= points.min() <= points.max() <= bounds[1]
    assert torch.equal(fmodel(points).argmax(1) != labels, success)
    if epsilon is not None:
        assert bool((norms(points - wide, norm_of(attack)) <= epsilon * (1 + 1e-5)).all())


def test_a_mask_holds(attack: Attack, call: Callable[..., Any], few: Blobs) -> None:
    inputs, labels = few
    mask = torch.arange(12) < 8
    for given in (mask.numpy(), ep.astensor(mask.float().expand(12, 12))):
        points, clipped, _ = call(inputs, labels, epsilons=epsilon_of(attack), mask=given)
        for found in (points, clipped):
            assert torch.equal(found[:, ~mask], inputs[:, ~mask])
    with pytest.raises(InvalidInput, match="mask"):
        call(inputs, labels, epsilons=epsilon_of(attack), mask=np.full(12, 0.5))


def test_starting_points(attack: Attack, call: Callable[..., Any], few: Blobs) -> None:
    inputs, labels = few
    starts = inputs.roll(1, 0)  # of another class
    first = call(inputs, labels, epsilons=epsilon_of(attack), starting_points=starts)
    given = starts.double().numpy()
    assert torch.equal(call(inputs, labels, epsilons=epsilon_of(attack), starting_points=given)[0], first[0])
    for wrong in (starts[:3], starts * torch.nan, "near"):
        with pytest.raises(InvalidInput, match=r"starting.points"):
            call(inputs, labels, epsilons=epsilon_of(attack), starting_points=wrong)


def test_attacks_of_foolbox_start_from_it(
    attack: Attack, run: Callable[..., Any], fmodel: Any, model: PlainModel, few: Blobs
) -> None:
    inputs, labels = few
    if attack.needs_auxiliary or not isinstance(attack, MinimizationAttack):
        if attack.minimum_norm is False:
            with pytest.raises(NotImplementedError):  # as for Foolbox's own attacks that need a budget
                foolbox.attacks.BoundaryAttack(init_attack=attack)
        return
    broken = model(run(inputs, labels)).argmax(1) != labels  # Foolbox gives up if one sample has no start
    assert bool(broken.any())
    inputs, labels = inputs[broken], labels[broken]
    names = {"BoundaryAttack", HOP_SKIP_JUMP, "L2FMNAttack"} & set(dir(foolbox.attacks))  # 3.3.0 has no FMN
    for name in sorted(names):
        peer = getattr(foolbox.attacks, name)(init_attack=attack, steps=2)
        points, _, success = peer(fmodel, inputs, labels, epsilons=None)
        assert bool(success.all()), name
        assert torch.equal(model(points).argmax(1) != labels, success)


# --- what is the same for all ---


class Scaled(nn.Module):
    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.shift


class Confident(Criterion):
    def __repr__(self) -> str:
        return "Confident()"

    def __call__(self, perturbed: Any, outputs: Any) -> Any:
        return ep.astensor(outputs).softmax(-1).max(-1) > 0.9


class Strict(Misclassification):
    def __call__(self, perturbed: Any, outputs: Any) -> Any:
        return super().__call__(perturbed, outputs).logical_not()


def test_criteria_of_foolbox(fmodel: Any, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    targets, pgd = (labels + 1) % 4, PGD(steps=10)
    _, points, success = pgd(fmodel, inputs, TargetedMisclassification(targets.numpy()), epsilons=0.2)
    assert 0 < success.sum() < len(inputs)
    assert torch.equal(success, model(points).argmax(1) == targets)
    both = Misclassification(labels) & TargetedMisclassification(targets)
    assert torch.equal(pgd(fmodel, inputs, both, epsilons=0.2)[2], success)
    for wrong in (
        both & both,
        Misclassification(labels) & TargetedMisclassification(labels),
        Misclassification(labels) & Misclassification(targets),
        Misclassification(labels) & Confident(),
        Confident(),
        Strict(labels),
        labels.tolist(),
        "labels",
    ):
        with pytest.raises(InvalidInput, match="criterion"):
            pgd(fmodel, inputs, wrong, epsilons=0.1)


@pytest.mark.parametrize(
    "epsilons", ["0.3", True, [0.1, "0.2"], float("nan"), [0.1, -0.1], float("inf"), np.ones((2, 2)), []]
)
@pytest.mark.parametrize("attack", [PGD(steps=2), DDN(steps=2)], ids=["PGD", "DDN"])
def test_what_is_no_budget_is_refused(attack: Attack, epsilons: Any, fmodel: Any, few: Blobs) -> None:
    with pytest.raises(InvalidInput, match="epsilons"):
        attack(fmodel, *few, epsilons=epsilons)


def test_repeating_takes_a_count() -> None:
    for times in (0, -1, 1.5, "2"):
        with pytest.raises(InvalidInput, match="times"):
            PGD().repeat(times)  # type: ignore[arg-type]


def test_repeats_draw_new_starts(fmodel: Any, blobs: Blobs) -> None:
    pgd = PGD(steps=2)
    once, more = (each(fmodel, *blobs, epsilons=0.1)[2] for each in (pgd, pgd.repeat(5)))
    assert more.sum() > once.sum()
    assert torch.equal(more, pgd(fmodel, *blobs, epsilons=0.1, restarts=5)[2])


def test_a_repeated_attack_runs_elsewhere_too(model: PlainModel, blobs: Blobs) -> None:
    from advplug.api import run

    threat = ThreatModel("linf", 0.1)
    repeated = run(PGD(steps=2).repeat(3), model, *blobs, threat)
    assert torch.equal(repeated.success, run(PGD(steps=2), model, *blobs, threat, restarts=3).success)
    assert repeated.restart.max() > 0


def test_a_failed_init_attack_is_named_by_foolbox(fmodel: Any, few: Blobs) -> None:
    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x[:, :2] + torch.tensor([1.0, 0.0])

    blind = foolbox.PyTorchModel(Blind().eval(), bounds=(0, 1), device="cpu")
    boundary = foolbox.attacks.BoundaryAttack(init_attack=DDN(steps=2), steps=2)
    with pytest.raises(ValueError, match="init_attack failed for 12"):
        boundary(blind, few[0], torch.zeros(12, dtype=torch.int64), epsilons=None)


FRESH = """
import foolbox
from advplug import load
attack = load("attack:ddn")(steps=2)
assert isinstance(attack, foolbox.attacks.base.MinimizationAttack)
foolbox.attacks.BoundaryAttack(init_attack=attack)
"""


def test_foolbox_knows_an_attack_of_which_nothing_else_was_imported() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
