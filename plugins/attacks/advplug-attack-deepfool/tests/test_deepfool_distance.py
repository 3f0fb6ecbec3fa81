"""DeepFool on linear models, where the least distance is known, and on digits beside Foolbox's and ART's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_deepfool._deepfool import DeepFool
from torch import Tensor, nn

from advplug import ThreatModel, run
from advplug.losses import ClassGaps, Margin
from advplug.numerics import norms
from advplug.testing.digits import shipped_digits
from advplug.testing.linear import distance_over_optimum
from advplug.threat import Norm


@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize(
    ("bounds", "batch", "classes", "targeted"),
    [
        ((0.0, 1.0), 8, 2, False),
        ((-1.0, 3.0), 1, 2, True),
        ((0.0, 1.0), 1, 2, True),
        ((-1.0, 3.0), 8, 5, False),
    ],
)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_reaches_the_nearest_class_of_a_linear_model(
    norm: Norm, *, bounds: tuple[float, float], batch: int, classes: int, targeted: bool, box: bool
) -> None:
    attack = DeepFool(box=box)
    ratio = distance_over_optimum(attack, norm, bounds=bounds, batch=batch, classes=classes, targeted=targeted)
    assert ratio.max() <= 1.05, ratio


@pytest.mark.parametrize("preset", ["mnist-relu", "mnist-at"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_is_as_near_as_foolbox_on_digits(norm: Norm, preset: str) -> None:
    net, x, y = shipped_digits(preset)
    name = {"l2": "L2DeepFoolAttack", "linf": "LinfDeepFoolAttack"}[norm]
    foolbox = pytest.importorskip("foolbox")
    theirs, _, _ = getattr(foolbox.attacks, name)()(
        foolbox.PyTorchModel(net, (0, 1), device="cpu"), x, y, epsilons=None
    )
    ours = run(DeepFool(), net, x, y, ThreatModel(norm))
    assert ours.success.all()
    assert (net(theirs).argmax(1) != y).all()
    assert ours.distance.mean() <= 1.02 * norms(theirs - x, norm).mean()


def art(net: nn.Module, x: Tensor, y: Tensor, **options: Any) -> Tensor:
    shape = tuple(x.shape[1:])
    evasion = pytest.importorskip("art.attacks.evasion")
    estimators = pytest.importorskip("art.estimators.classification")
    classifier = estimators.PyTorchClassifier(
        net, nn.CrossEntropyLoss(), shape, net(x[:1]).shape[1], clip_values=(0, 1), device_type="cpu"
    )
    attack = evasion.DeepFool(classifier, max_iter=50, epsilon=0.02, batch_size=len(x), verbose=False, **options)
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@pytest.mark.parametrize("preset", ["mnist-relu", "mnist-at"])
def test_is_as_near_as_art_on_digits(preset: str) -> None:
    net, x, y = shipped_digits(preset)
    theirs = art(net, x, y)
    found = net(theirs).argmax(1) != y
    ours = run(DeepFool(), net, x, y, ThreatModel("l2"))
    assert ours.success.all()
    assert ours.distance[found].mean() <= 1.02 * norms(theirs - x, "l2")[found].mean()


@pytest.mark.parametrize(("norm", "longest"), [("l2", 0.5), ("linf", 0.05)])
def test_short_steps_are_nearer_on_a_robust_model(norm: Norm, longest: float) -> None:
    net, x, y = shipped_digits("mnist-at")
    free = run(DeepFool(), net, x, y, ThreatModel(norm))
    short = run(DeepFool(longest_step=longest), net, x, y, ThreatModel(norm))
    assert short.success.all()
    assert short.distance.mean() < 0.6 * free.distance.mean()


@pytest.mark.parametrize("loss", [Margin(), ClassGaps(2)])
def test_works_with_other_losses(loss: Any) -> None:
    """One boundary, and two of the nine."""
    net, x, y = shipped_digits("mnist-relu")
    result = run(DeepFool(longest_step=0.5), net, x, y, ThreatModel("l2"), loss=loss)
    usual = run(DeepFool(longest_step=0.5), net, x, y, ThreatModel("l2"))
    assert result.success.all()
    assert result.distance.mean() < 1.3 * usual.distance.mean()
