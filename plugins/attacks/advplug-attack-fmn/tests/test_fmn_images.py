"""On trained networks: beside Foolbox at the same number of gradients, in every norm."""

from __future__ import annotations

import pytest
import torch
from advplug_attack_fmn import FMN
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.numerics import norms
from advplug.testing.digits import shipped_digits
from advplug.threat import Norm

STEPS = 60
LONG = {"l1": 200}  # for two searches
PEERS = {"linf": "LInfFMNAttack", "l2": "L2FMNAttack", "l1": "L1FMNAttack", "l0": "L0FMNAttack"}


def foolbox_distance(norm: Norm, net: nn.Module, x: Tensor, y: Tensor, steps: int = STEPS) -> Tensor:
    """Distances of Foolbox's attack of the same name, infinite where it fails."""
    foolbox = pytest.importorskip("foolbox")
    if not hasattr(foolbox.attacks, PEERS[norm]):
        pytest.skip("this Foolbox has no FMN: it came with 3.3.2")
    peer = getattr(foolbox.attacks, PEERS[norm])(steps=steps)
    points, _, found = peer(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
    return torch.where(found, norms(points - x, norm), torch.inf)


@pytest.mark.parametrize("preset", ["mnist-relu", "mnist-at"])
@pytest.mark.parametrize("norm", PEERS)
def test_no_farther_than_foolbox(norm: Norm, preset: str) -> None:
    net, x, y = shipped_digits(preset)
    steps = LONG.get(norm, STEPS)
    theirs = foolbox_distance(norm, net, x, y, steps)
    ours = run(FMN(steps=steps), net, x, y, ThreatModel(norm))
    assert ours.success.all()
    both = theirs.isfinite()
    assert both.any()
    assert ours.distance[both].mean() <= 1.02 * theirs[both].mean()


def test_under_l1_the_nearer_of_a_search_with_long_steps_and_one_with_short_steps_counts() -> None:
    net, x, y = shipped_digits("mnist-relu")
    threat = ThreatModel("l1")
    both = run(FMN(steps=2 * STEPS), net, x, y, threat).distance
    long, short = (run(FMN(steps=STEPS, step_size=size), net, x, y, threat).distance for size in (10.0, 1.0))
    assert (long < 0.99 * short).any()
    assert (short < 0.99 * long).any()
    torch.testing.assert_close(both, torch.minimum(long, short), rtol=0.01, atol=0)


def test_foolbox_never_projects_under_l2_and_we_do() -> None:
    """Its factor is ``norms / norms``, so that its radius has no effect; it ends half as far again as need be."""
    net, x, y = shipped_digits("mnist-relu")
    ours = run(FMN(steps=STEPS), net, x, y, ThreatModel("l2"))
    assert foolbox_distance("l2", net, x, y).mean() > 1.3 * ours.distance.mean()


def test_clipping_after_the_projection_fails_and_ours_does_not() -> None:
    """Under l1 Foolbox breaks only some samples of the plain network; ours breaks all."""
    net, x, y = shipped_digits("mnist-relu")
    assert foolbox_distance("l1", net, x, y).isinf().any()
    assert run(FMN(steps=STEPS), net, x, y, ThreatModel("l1")).success.all()


@pytest.mark.parametrize("norm", PEERS)
def test_starting_points_are_walked_back_to_the_boundary(norm: Norm) -> None:
    """From another digit; a start that is not adversarial does no harm to the others, nor to its own sample."""
    net, x, y = shipped_digits("mnist-relu")
    starts = torch.stack([x[y != label][0] for label in y])
    starts[0] = x[0]
    threat = ThreatModel(norm)
    far = norms(starts - x, norm)
    walked = run(FMN(steps=1), net, x, y, threat, starting_points=starts)
    assert walked.success[1:].all()
    assert (walked.distance < far)[1:].all()
    whole = run(FMN(steps=STEPS), net, x, y, threat, starting_points=starts)
    assert whole.success.all()
    assert whole.distance.mean() < 0.8 * walked.distance[1:].mean()


def test_other_bounds_give_the_same_attack_in_other_units() -> None:
    """The same network behind a change of units, (-1, 1) for (0, 1): every distance is twice as long."""
    net, x, y = shipped_digits("mnist-relu")

    class Rescaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net((x + 1) / 2)  # type: ignore[no-any-return]

    plain = run(FMN(steps=STEPS), net, x, y, ThreatModel("linf"))
    wide = run(FMN(steps=STEPS), Rescaled(), 2 * x - 1, y, ThreatModel("linf", bounds=(-1.0, 1.0)))
    assert wide.success.all()
    assert wide.distance.mean().item() == pytest.approx(2 * plain.distance.mean().item(), rel=0.02)
