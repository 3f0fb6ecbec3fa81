"""The adversaries of training: closed forms on linear models, and what each leaves alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.threat import ThreatModel
from advplug.training import Adversary, AnyOf, AttackAdversary, FromModels, InnerAdversary, attacked_images, seeded

EPSILON = 0.1


def linear(seed: int = 0) -> nn.Module:
    return seeded(seed, lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))


def batch() -> tuple[Tensor, Tensor]:
    x = 0.2 + 0.6 * torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x, linear()(x).argmax(1)


def worst(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y), x)
    return (x + EPSILON * gradient.sign()).detach()


FGSM = Adversary(epsilon=EPSILON, step_size=EPSILON, steps=1, start="input")


def test_one_whole_step_from_the_input_is_fgsm() -> None:
    x, y = batch()
    torch.testing.assert_close(FGSM(linear(), x, y), worst(linear(), x, y))


def test_a_model_may_give_several_answers_to_an_image() -> None:
    x, y = batch()

    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack((linear()(x), linear()(x)), 2)

    torch.testing.assert_close(FGSM(Twice(), x, torch.stack((y, y), 1)), worst(linear(), x, y))


def test_a_step_against_the_answers_does_not_tell_the_label() -> None:
    x, y = batch()
    blind = dataclasses.replace(FGSM, against="answers")
    assert torch.equal(blind(linear(), x, y), blind(linear(), x, (y + 1) % 3))
    assert not torch.equal(FGSM(linear(), x, y), FGSM(linear(), x, (y + 1) % 3))


def test_the_divergence_from_clean_answers_grows_with_the_steps() -> None:
    x, y = batch()
    clean = linear()(x).log_softmax(1).detach()
    found = []
    for steps in (0, 1, 5):
        adversary = Adversary(epsilon=EPSILON, step_size=0.05, steps=steps, start="near", against="probabilities")
        attacked = adversary(linear(), x, y, torch.Generator().manual_seed(0))
        assert (attacked - x).abs().max() <= EPSILON + 1e-6
        found.append(
            float(F.kl_div(linear()(attacked).detach().log_softmax(1), clean, reduction="sum", log_target=True))
        )
    assert found[0] < 1e-3 < found[1] < found[2]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"against": "probabilities", "start": "input"}, "start='near'"),
        ({"start": "far"}, "uniform, input, near"),
        ({"against": "everyone"}, "labels, answers, probabilities"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        dataclasses.replace(FGSM, **settings)


def test_the_source_of_a_batch_is_drawn_among_all_models() -> None:
    x, y = batch()
    models = [linear(1), linear(2)]
    adversary = FromModels(FGSM, models)
    expected = [worst(model, x, y) for model in (*models, linear())]
    generator = torch.Generator().manual_seed(0)
    seen = [0, 0, 0]
    for _ in range(60):
        attacked = adversary(linear(), x, y, generator)
        (source,) = [number for number, one in enumerate(expected) if torch.allclose(attacked, one)]
        seen[source] += 1
    assert min(seen) >= 8  # 20 expected; fewer in one of 3,000 runs
    assert adversary.scaled(0.5).of == FGSM.scaled(0.5)
    with pytest.raises(InvalidInput, match="at least one trained model"):
        FromModels(FGSM, [])


def test_one_of_several_adversaries_is_drawn() -> None:
    x, y = batch()
    both = AnyOf([FGSM, FGSM.scaled(0.5)])
    generator = torch.Generator().manual_seed(0)
    sizes = {round(float((both(linear(), x, y, generator) - x).abs().max()), 4) for _ in range(20)}
    assert sizes == {0.1, 0.05}
    with pytest.raises(InvalidInput, match="at least one"):
        AnyOf([])


def pgd(**settings: Any) -> Any:
    return pytest.importorskip("advplug_attack_pgd").PGD(**settings)


def test_an_attack_plugin_finds_the_worst_point_whether_it_is_misclassified_or_not() -> None:
    x, y = batch()
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))  # two classes: the worst point is a corner
    y = model(x).argmax(1)
    y[0] = 1 - y[0]
    state = torch.get_rng_state()
    model.train()
    found = AttackAdversary(attack=pgd(steps=10), threat=f"linf:{EPSILON}")(model, x, y, torch.Generator())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(found[1:], worst(model, x, y)[1:])
    assert torch.equal(found[0], x[0])  # wrong already
    assert (model(found[1:]).argmax(1) == y[1:]).all()  # none is misclassified, and each is the worst there is


def test_an_attack_without_a_budget_or_norm_is_refused() -> None:
    with pytest.raises(InvalidInput, match="linf:min has no budget"):
        AttackAdversary(attack=pgd(), threat="linf:min")
    square = pytest.importorskip("advplug_attack_square").Square()
    with pytest.raises(InvalidInput, match="Square does not work under l0"):
        AttackAdversary(attack=square, threat="l0:3")
    half = AttackAdversary(attack=pgd(), threat="linf:0.1").scaled(0.5)
    assert half.threat == ThreatModel("linf", 0.05)


def test_the_generator_fixes_what_an_attack_draws() -> None:
    x, y = batch()
    adversary: InnerAdversary = AttackAdversary(attack=pgd(steps=1, step_size=0.01), threat="linf:0.1")
    one, again, other = (adversary(linear(), x, y, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_attacked_images_join_the_set_with_their_true_labels() -> None:
    x, y = batch()
    images = Images(x, y, ("a", "b", "c"), "some")
    deepfool = pytest.importorskip("advplug_attack_deepfool").DeepFool()
    joined = attacked_images(linear(), images, [deepfool, pgd()], "l2:3.0")
    assert torch.equal(joined.inputs[:12], x)
    added = Images(joined.inputs[12:], joined.labels[12:])
    assert len(added) == 24  # both break each image at this budget
    assert torch.equal(added.labels, torch.cat((y, y)))
    assert (linear()(added.inputs).argmax(1) != added.labels).all()
    towards = attacked_images(linear(), images, [pgd()], "l2:3.0", every_target=True)
    assert len(towards) > 24  # two wrong classes for each
