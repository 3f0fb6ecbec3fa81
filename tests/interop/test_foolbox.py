"""Foolbox in both directions, and its faults when its attacks run through ours."""

from __future__ import annotations

from dataclasses import replace

import eagerpy as ep
import foolbox
import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug.api import run as attack
from advplug.errors import AdvplugError, InvalidInput, NonFiniteLogits
from advplug.gradients import EOT
from advplug.interop.external import ExternalError
from advplug.interop.foolbox import FoolboxAttack, as_foolbox_model, call_as_foolbox, from_foolbox_model
from advplug.model import Decision, DefendedModel, PlainModel
from advplug.threat import ThreatModel

Blobs = tuple[Tensor, Tensor]
STEPS = 20
HOP_SKIP_JUMP = "HopSkipJumpAttack" if hasattr(foolbox.attacks, "HopSkipJumpAttack") else "HopSkipJump"  # from 3.3.3 on
CASES = {"linf": (0.1, 0.01, foolbox.attacks.LinfPGD), "l2": (0.3, 0.03, foolbox.attacks.L2PGD)}


def since_3_3_3(part: str, name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not hasattr(getattr(foolbox, part), name), reason=f"Foolbox has {name} from 3.3.3 on")


class Masked(DefendedModel):
    """No gradient anywhere: answers 0 unless the image is dark."""

    def __init__(self, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(2, bounds)

    def forward(self, x: Tensor) -> Tensor:
        dark = (x.flatten(1).mean(1) < self.bounds[0] + 0.2 * (self.bounds[1] - self.bounds[0])).to(x)
        return torch.stack((1 - dark, dark), 1) + 0 * x.flatten(1).sum(1, keepdim=True)


class NaNOutside(DefendedModel):
    """Right on the clean inputs, NaN elsewhere."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__(2)
        self.clean = clean

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.stack((x.flatten(1).sum(1) * 0, x.flatten(1).sum(1) * 0 + 1), 1)
        near = (x[:, None] == self.clean[None]).flatten(2).all(2).any(1)
        return torch.where(near[:, None], logits, torch.nan)


class Rejecting(PlainModel):
    def decide(self, x: Tensor) -> Decision:
        labels = self(x).argmax(1)
        return Decision(labels, x.flatten(1).mean(1) < 0.5)


@pytest.mark.parametrize("norm", CASES)
def test_pgd_is_as_strong_as_foolbox(norm: str, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    epsilon, step, peer = CASES[norm]
    fmodel = as_foolbox_model(model)
    *_, theirs = peer(abs_stepsize=step, steps=STEPS, random_start=False)(fmodel, inputs, labels, epsilons=epsilon)
    ours = PGD(steps=STEPS, step_size=step, random_start=False)
    _, clipped, success = ours(fmodel, inputs, labels, epsilons=epsilon, norm=norm)
    assert 0.1 < theirs.float().mean() < 0.9
    assert bool((success >= theirs).all())
    assert float((success.float() - theirs.float()).mean()) <= 0.01
    assert torch.equal(success, model(clipped).argmax(1) != labels)


@pytest.mark.parametrize("norm", CASES)
def test_foolbox_attack_gives_what_foolbox_gives(norm: str, model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    epsilon, step, peer = CASES[norm]
    pgd = peer(abs_stepsize=step, steps=STEPS, random_start=False)
    *_, theirs = pgd(as_foolbox_model(model), inputs, labels, epsilons=epsilon)
    result = attack(FoolboxAttack(pgd), model, inputs, labels, ThreatModel(norm, epsilon))
    assert torch.equal(result.success, theirs & result.correct)
    assert torch.equal(model(result.adversarials).argmax(1) != labels, theirs)
    standing = result.correct
    assert torch.equal(result.forwards[standing], torch.full_like(result.forwards[standing], STEPS + 1))
    assert torch.equal(result.backwards[standing], torch.full_like(result.backwards[standing], STEPS))


def test_shapes_and_types_of_every_overload(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs[0][:10], blobs[1][:10]
    fmodel, pgd = as_foolbox_model(model), PGD(steps=3)
    peer = foolbox.attacks.LinfPGD(steps=3)
    for x in (inputs, ep.astensor(inputs)):
        for epsilons in (0.1, [0.1], [0.2, 0.05, 0.2], (0.1, 0.2), torch.tensor([0.1, 0.2])):
            theirs = peer(fmodel, x, labels, epsilons=epsilons)
            ours = pgd(fmodel, x, labels, epsilons=epsilons)
            for their, our in zip(theirs, ours, strict=True):
                assert type(their) is type(our)
                if isinstance(their, list):
                    assert [t.shape for t in their] == [o.shape for o in our]
                    assert [type(t) for t in their] == [type(o) for o in our]
                else:
                    assert their.shape == our.shape
                    assert their.dtype == our.dtype


def test_budgets_come_back_in_the_order_given(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    _, clipped, success = PGD(steps=5)(as_foolbox_model(model), inputs, labels, epsilons=[0.2, 0.05, 0.1])
    rates = success.float().mean(1)
    assert rates[1] < rates[2] < rates[0]
    assert (clipped[1] - inputs).abs().max() <= 0.05 * (1 + 1e-6)


class ToOrigin(FoolboxAttack):
    """A minimum-norm attack of ours, for want of one in the core."""

    def __init__(self) -> None:
        super().__init__("L2DeepFoolAttack")


def test_minimum_norm_answers_all_budgets(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    raws, clipped, success = ToOrigin()(as_foolbox_model(model), inputs, labels, epsilons=[None, 0.2, 0.4])
    assert success.shape == (3, len(inputs))
    assert torch.equal(raws[0], clipped[0])
    for points, flags, budget in zip(clipped, success, (9.0, 0.2, 0.4), strict=True):
        assert torch.equal(flags, model(points).argmax(1) != labels)
        assert (points - inputs).norm(dim=1).max() <= budget * (1 + 1e-6)
    assert success[1].sum() < success[2].sum() < success[0].sum()


def test_criteria(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    fmodel, pgd = as_foolbox_model(model), PGD(steps=10)
    plain = pgd(fmodel, inputs, labels, epsilons=0.2)[2]
    assert torch.equal(plain, pgd(fmodel, inputs, foolbox.Misclassification(labels), epsilons=0.2)[2])
    targets = (labels + 1) % 4
    _, points, success = pgd(fmodel, inputs, foolbox.TargetedMisclassification(targets), epsilons=0.2)
    assert 0 < success.sum() < len(inputs)
    assert torch.equal(success, model(points).argmax(1) == targets)
    _, points, success = pgd(fmodel, inputs, foolbox.TargetedMisclassification(model(inputs).argmax(1)), epsilons=0.2)
    assert bool(success.all())
    assert torch.equal(points, inputs)


def test_bad_combinations_are_refused(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    fmodel, pgd = as_foolbox_model(model), PGD(steps=1)
    both = foolbox.Misclassification(labels) & foolbox.TargetedMisclassification(labels)
    for call in (
        lambda: pgd(fmodel, inputs, labels, epsilons=None),
        lambda: pgd(fmodel, inputs, labels, epsilons=[0.1, None]),
        lambda: pgd(fmodel, inputs, labels, epsilons=[]),
        lambda: pgd(fmodel, inputs, labels, epsilons=-1.0),
        lambda: pgd(fmodel, inputs + 1, labels, epsilons=0.1),
        lambda: pgd(fmodel, inputs.numpy(), labels, epsilons=0.1),
        lambda: pgd(fmodel, inputs, labels[:3], epsilons=0.1),
        lambda: pgd(fmodel, inputs, labels + 4, epsilons=0.1),
        lambda: pgd(fmodel, inputs, foolbox.TargetedMisclassification(labels[:3]), epsilons=0.1),
        lambda: pgd(fmodel, inputs, both, epsilons=0.1),
        lambda: pgd(fmodel, inputs, labels, epsilons=0.1, norm="l7"),
        lambda: pgd(fmodel, inputs, labels, epsilons=0.1, norm="l2", distance=foolbox.distances.linf),
        lambda: pgd(model, inputs, labels, epsilons=0.1),
        lambda: from_foolbox_model(model),
        lambda: from_foolbox_model(foolbox.PyTorchModel(model.module, (0, 1))),
        lambda: FoolboxAttack("NoSuchAttack"),
        lambda: FoolboxAttack("LinfPGD", {"stride": 3}),
        lambda: FoolboxAttack(foolbox.attacks.LinfPGD().repeat(3)),
        lambda: FoolboxAttack("SpatialAttack"),
    ):
        with pytest.raises(InvalidInput):
            call()
    with pytest.raises(TypeError, match="unknown options"):
        pgd(fmodel, inputs, labels, epsilons=0.1, stride=3)


def test_attacks_are_foolbox_attacks() -> None:
    assert isinstance(PGD(), foolbox.attacks.base.Attack)


def test_distance_and_norm_say_the_same(model: PlainModel, blobs: Blobs) -> None:
    fmodel = as_foolbox_model(model)
    by_norm = call_as_foolbox(PGD(steps=5), fmodel, *blobs, epsilons=0.3, norm="l2")
    by_distance = call_as_foolbox(PGD(steps=5), fmodel, *blobs, epsilons=0.3, distance=foolbox.distances.l2)
    assert torch.equal(by_norm[0], by_distance[0])


def test_model_round_trip(model: PlainModel, network: nn.Sequential, blobs: Blobs) -> None:
    fmodel = as_foolbox_model(model)
    assert from_foolbox_model(fmodel) is model
    scaled = fmodel.transform_bounds((-1, 1))
    ours = from_foolbox_model(scaled, num_classes=4)
    assert ours.bounds == (-1, 1)
    assert torch.allclose(ours(2 * blobs[0] - 1), model(blobs[0]), atol=1e-5)
    normalised = foolbox.PyTorchModel(network, (0, 1), preprocessing={"mean": [0.5], "std": [0.25], "axis": -1})
    ours = from_foolbox_model(normalised, num_classes=4)
    assert torch.allclose(ours(blobs[0]), network((blobs[0] - 0.5) / 0.25))
    assert {id(p) for p in ours.parameters()} == {id(p) for p in network.parameters()}
    assert not ours.stochastic


@since_3_3_3("models", "ExpectationOverTransformationWrapper")
def test_a_model_that_averages_draws_is_stochastic(network: nn.Sequential) -> None:
    averaging = foolbox.models.ExpectationOverTransformationWrapper(foolbox.PyTorchModel(network, (0, 1)), 2)
    assert from_foolbox_model(averaging, num_classes=4).stochastic


def test_other_bounds_give_the_same_attack(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    pgd = PGD(steps=10, random_start=False)
    _, _, unit = pgd(as_foolbox_model(model), inputs, labels, epsilons=0.1)
    wide = as_foolbox_model(model).transform_bounds((-1, 1))
    _, points, success = pgd(wide, 2 * inputs - 1, labels, epsilons=0.2)
    assert (success == unit).float().mean() > 0.99
    assert points.min() >= -1


def test_rejections_are_respected_by_ours_alone(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs
    model = Rejecting(network, 4).eval()
    fmodel = as_foolbox_model(model)
    _, points, success = PGD(steps=10)(fmodel, inputs, labels, epsilons=0.15)
    kept = model.decide(inputs)
    right = kept.accepted & (kept.labels == labels)
    after = model.decide(points)
    assert torch.equal(success & right, right & after.accepted & (after.labels != labels))
    result = attack(FoolboxAttack("LinfPGD", {"steps": 10}), model, inputs, labels, ThreatModel("linf", 0.15))
    found = result.adversarials[result.success]
    assert len(found)
    assert bool(model.decide(found).accepted.all())


# --- Foolbox's faults ---


@pytest.mark.parametrize("name", ["L2CarliniWagnerAttack", "EADAttack"])
def test_black_images_of_unbroken_samples_are_no_success(name: str) -> None:
    inputs, labels = torch.full((4, 1, 4, 4), 0.7), torch.zeros(4, dtype=torch.int64)
    parameters = {"steps": 5, "binary_search_steps": 2}
    peer = getattr(foolbox.attacks, name)(**parameters)
    _, points, theirs = peer(as_foolbox_model(Masked().eval()), inputs, labels, epsilons=None)
    assert bool(theirs.all())  # the fault
    assert not bool(points.any())
    norm = "l2" if name.startswith("L2") else "l1"
    result = attack(FoolboxAttack(name, parameters), Masked(), inputs, labels, ThreatModel(norm))
    assert not bool(result.success.any())
    assert torch.equal(result.adversarials, inputs)


def test_nan_logits_are_no_success() -> None:
    inputs, labels = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, dtype=torch.int64)
    model = NaNOutside(inputs).eval()
    peer = foolbox.attacks.LinfPGD(steps=2)
    assert bool(peer(as_foolbox_model(model), inputs, labels, epsilons=0.1)[2].all())  # the fault
    with pytest.raises(NonFiniteLogits):
        attack(FoolboxAttack(peer), model, inputs, labels, ThreatModel("linf", 0.1))


def test_hop_skip_jump_keeps_to_the_bounds(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs[0][:6], blobs[1][:6]
    peer = getattr(foolbox.attacks, HOP_SKIP_JUMP)(steps=3)
    unit = PlainModel(network, 4).eval()
    wide = PlainModel(lambda x: network(x / 255), 4, (0.0, 255.0)).eval()
    at_unit = attack(FoolboxAttack(peer), unit, inputs, labels, ThreatModel("l2"))
    at_wide = attack(FoolboxAttack(peer), wide, 255 * inputs, labels, ThreatModel("l2", None, (0.0, 255.0)))
    assert bool((at_unit.success == at_unit.correct).all())
    assert torch.equal(at_wide.success, at_unit.success)
    ratio = at_wide.distance[at_wide.success].mean() / (255 * at_unit.distance[at_unit.success].mean())
    assert 0.5 < ratio < 2  # Foolbox alone clips to [0, 1] and never returns


@pytest.mark.parametrize("name", [HOP_SKIP_JUMP, "BoundaryAttack"])
def test_a_sample_without_a_starting_point_is_a_named_error(name: str) -> None:
    class Constant(Masked):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).repeat(len(x), 1)

    inputs, labels = torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ExternalError, match=name) as caught:
        attack(FoolboxAttack(name, {"steps": 2}), Constant(), inputs, labels, ThreatModel("l2"))
    assert isinstance(caught.value, AdvplugError)
    assert isinstance(caught.value.__cause__, ValueError | AssertionError)


# --- FoolboxAttack and the engine ---


def test_targeted(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    targets = (labels + 1) % 4
    threat = ThreatModel("linf", 0.2, targeted=True)
    result = attack(FoolboxAttack("LinfPGD", {"steps": 10}), model, inputs, labels, threat, targets=targets)
    assert 0 < result.success.sum() < len(inputs)
    assert torch.equal(model(result.adversarials[result.success]).argmax(1), targets[result.success])
    with pytest.raises(ExternalError, match="unsupported criterion"):
        attack(
            FoolboxAttack("NewtonFoolAttack"), model, inputs, labels, ThreatModel("l2", targeted=True), targets=targets
        )


def test_a_budget_for_each_sample(model: PlainModel, blobs: Blobs) -> None:
    inputs, labels = blobs
    epsilon = torch.where(torch.arange(len(inputs)) % 2 == 0, 0.05, 0.15).double()
    pgd = FoolboxAttack("LinfPGD", {"steps": 10, "random_start": False})
    mixed = attack(pgd, model, inputs, labels, ThreatModel("linf", 0.15), epsilon=epsilon)
    for parity, budget in ((0, 0.05), (1, 0.15)):
        alone = attack(pgd, model, inputs, labels, ThreatModel("linf", budget))
        assert torch.equal(mixed.success[parity::2], alone.success[parity::2])
    assert mixed.forwards.max() == 11


def test_the_caller_finds_everything_as_it_was(network: nn.Sequential, blobs: Blobs) -> None:
    model = PlainModel(network, 4).eval()
    network.zero_grad()
    before = torch.get_rng_state()
    attack(FoolboxAttack("LinfPGD", {"steps": 3}), model, *blobs, ThreatModel("linf", 0.1), batch_size=64)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_other_words_are_refused(model: PlainModel, blobs: Blobs) -> None:
    with pytest.raises(InvalidInput, match="its own loss and gradient"):
        attack(FoolboxAttack("LinfPGD"), model, *blobs, ThreatModel("linf", 0.1), gradient=EOT(2))


def test_the_norm_is_that_of_the_attack(model: PlainModel, blobs: Blobs) -> None:
    with pytest.raises(InvalidInput, match="does not work under l2"):
        attack(FoolboxAttack("LinfPGD"), model, *blobs, replace(ThreatModel("l2"), epsilon=0.1))
    assert FoolboxAttack("L2DeepFoolAttack").minimum_norm
    assert repr(FoolboxAttack("LinfPGD", {"steps": 3})) == "FoolboxAttack(attack='LinfPGD', parameters={'steps': 3})"


class Noisy(PlainModel):
    """Draws fresh noise at every pass."""

    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.05 * torch.randn_like(x))


def test_stochastic_models_are_judged_over_draws(network: nn.Sequential, blobs: Blobs) -> None:
    inputs, labels = blobs
    model = Noisy(network, 4).eval()
    result = attack(FoolboxAttack("LinfPGD", {"steps": 10}), model, inputs, labels, ThreatModel("linf", 0.15))
    assert 0.2 < result.success.float().mean() < 1
    assert set((10 * result.success_rate).round().tolist()) - {0, 10}  # some points fool a part of the draws
    *_, success = PGD(steps=10)(as_foolbox_model(model), inputs, labels, epsilons=0.15, gradient=EOT(4))
    assert success.sum() >= (result.success | ~result.correct).sum() - 5


@since_3_3_3("attacks", "PointwiseAttack")
def test_an_attack_without_a_distance_takes_any_norm(model: PlainModel, blobs: Blobs) -> None:
    pointwise = FoolboxAttack("PointwiseAttack")
    assert pointwise.norms == ("linf", "l2", "l1", "l0")
    result = attack(pointwise, model, blobs[0][:4], blobs[1][:4], ThreatModel("l0"))
    assert torch.equal(result.success, result.correct)
