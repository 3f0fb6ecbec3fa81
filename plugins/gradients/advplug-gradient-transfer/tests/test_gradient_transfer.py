"""Gradients for transfer: their contracts, what they are on a linear model, and that more adversarials transfer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_gradient_transfer import DiverseInputs, ScaleInvariant, TranslationInvariant
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.errors import InvalidInput
from advplug.gradients import EOT, GradientEstimator
from advplug.losses import Margin
from advplug.testing import conformance
from advplug.testing.components import ask, problem_for

test_diverse_inputs = conformance("gradient:diverse-inputs")
test_translation_invariant = conformance("gradient:translation-invariant")
test_scale_invariant = conformance("gradient:scale-invariant")


def gradient_of(estimator: GradientEstimator, **options: Any) -> Tensor:
    """What it gives for the margin of a linear model at eight images (8, 3, 4, 4)."""
    return ask(Margin(), estimator, **options).estimate.gradient


def test_a_linear_model_has_one_gradient_at_all_scales() -> None:
    """The mean of ``2^-i g`` over five copies."""
    share = sum(2.0**-i for i in range(5)) / 5
    torch.testing.assert_close(gradient_of(ScaleInvariant()), share * ask(Margin()).estimate.gradient)


def test_the_blur_is_the_weighted_mean_of_the_shifted_gradients() -> None:
    exact = ask(Margin()).estimate.gradient
    offsets = torch.arange(-1, 2)
    weights = (-0.5 * offsets.float().square()).exp()
    weights = weights / weights.sum()
    padded = nn.functional.pad(exact, (1, 1, 1, 1))
    rows, columns = exact.shape[2:]
    wanted = sum(
        weights[i] * weights[j] * padded[:, :, i : i + rows, j : j + columns] for i in range(3) for j in range(3)
    )
    torch.testing.assert_close(gradient_of(TranslationInvariant(reach=1, sigma=1.0)), wanted)


def test_a_copy_of_full_size_is_the_image_itself() -> None:
    same = DiverseInputs(probability=1.0, smallest=1.0)
    torch.testing.assert_close(gradient_of(same), ask(Margin()).estimate.gradient, rtol=1e-4, atol=1e-5)


def test_a_smaller_copy_loses_no_part_of_the_image() -> None:
    """The sum of all values of the copy is that of the image times its area, wherever it lies."""
    x = problem_for(Margin()).inputs.repeat_interleave(8, 2).repeat_interleave(8, 3)
    draws = torch.rand(len(x), 4, generator=torch.Generator().manual_seed(0))
    diverse = DiverseInputs(smallest=0.5)
    copy = diverse._shrunk(x, draws, empty=0.0)
    area = (0.5 + 0.5 * draws[:, 1]).square()
    torch.testing.assert_close(copy.sum((1, 2, 3)), area * x.sum((1, 2, 3)), rtol=0.05, atol=0.0)
    empty = diverse._shrunk(torch.full_like(x, -1.0), draws, empty=-1.0)
    torch.testing.assert_close(empty, torch.full_like(x, -1.0))


def test_they_combine_with_others() -> None:
    both = TranslationInvariant(of=DiverseInputs(of=EOT(2)))
    assert gradient_of(both).shape == problem_for(Margin()).inputs.shape


@pytest.mark.parametrize("estimator", [DiverseInputs(), TranslationInvariant()], ids=lambda one: type(one).__name__)
def test_what_is_no_image_is_refused(estimator: GradientEstimator) -> None:
    pytest.importorskip("advplug_attack_pgd")
    x, model = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)), nn.Linear(6, 3)
    labels = model(x).argmax(1)
    with pytest.raises(InvalidInput, match=r"needs images \(n, C, H, W\), the inputs have shape \(4, 6\)"):
        run(load("attack:pgd")(), model, x, labels, "linf:0.1", gradient=estimator)


def test_more_adversarials_transfer() -> None:
    """From a plain network to one trained under l2, on real digits, and with momentum as the papers have it."""
    pytest.importorskip("advplug_defense_adversarial_training")
    pytest.importorskip("advplug_data_mnist")
    pytest.importorskip("advplug_attack_transfer")
    target = load("defense:adversarial-training")().build("mnist-l2")
    digits = load("data:mnist")().load("shipped", limit=100)
    pgd, transfer = load("attack:pgd"), load("attack:transfer")

    def broken(gradient: GradientEstimator | None, **settings: Any) -> int:
        attack = transfer(attack=pgd(steps=20, random_start=False, **settings), models="adversarial-training:mnist")
        found = run(attack, target, digits.inputs, digits.labels, ThreatModel("linf", 0.25), gradient=gradient)
        return int(found.success.sum())

    plain, momentum = broken(None), broken(None, momentum=1.0)
    assert plain + 3 <= momentum
    assert broken(DiverseInputs(probability=1.0, smallest=0.7), momentum=1.0) >= momentum
    assert broken(TranslationInvariant(), momentum=1.0) >= momentum + 3
