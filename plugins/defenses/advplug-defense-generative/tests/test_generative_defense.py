"""The bound, the scores, the detector, the training and the presets of the generative classifier."""

from __future__ import annotations

import json
import math

import pytest
import torch
from advplug_defense_generative import GBZ, FixedNoise, Generative, KLDetector
from advplug_defense_generative._model import lower_bound
from torch import Tensor
from torch.distributions import Normal

from advplug import load
from advplug.data import Images
from advplug.errors import MissingWeights
from advplug.training import Batch


def built() -> GBZ:
    model = Generative().build("mnist")
    assert isinstance(model, GBZ)
    return model


def noise(count: int) -> Images:
    inputs = torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return Images(inputs, torch.arange(count) % 10, tuple("0123456789"), "noise")


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@torch.no_grad()
def test_the_terms_are_log_densities() -> None:
    model, x = built(), noise(3).inputs
    joint, label = model.joint, 4
    bound = model.bound(x, seeded())
    one_hot = torch.eye(10)[label].expand(3, 1, 10)
    q = joint.posterior(model.features(x), one_hot)
    drawn = torch.randn(model.draws, 3, 10, joint.latent, generator=seeded())[:, :, label]
    mean, scale = q.mean[:, 0], q.log_scale[:, 0].exp()
    z = mean + scale * drawn
    expected = (
        -(x.flatten(1) - joint.decoder(z)).square().sum(2),
        joint.label(z).log_softmax(2)[:, :, label],
        Normal(0.0, 1.0).log_prob(z).sum(2),
        Normal(mean, scale).log_prob(z).sum(2),
    )
    for found, by_hand in zip(bound, expected, strict=True):
        torch.testing.assert_close(found[:, :, label], by_hand, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_scores_estimate_the_joint_density() -> None:
    model, x = built(), noise(3).inputs
    reconstruction, label, prior, posterior = model.bound(x, seeded())
    ratio = (reconstruction + label + prior - posterior).double()
    expected = (ratio.exp().mean(0)).log()
    torch.testing.assert_close(model.sample(x, seeded()).double(), expected, rtol=1e-4, atol=1e-3)
    assert not torch.equal(model.sample(x, seeded()), model.sample(x, seeded(1)))


def test_the_label_term_separates_classes_and_the_others_hardly_do() -> None:
    digits = load("data:mnist")().load("shipped", 100)
    with torch.no_grad():
        bound = built().bound(digits.inputs, seeded())
    own = torch.nn.functional.one_hot(digits.labels, 10).bool()
    gap = {name: float(term.mean(0)[own].mean() - term.mean(0)[~own].mean()) for name, term in bound._asdict().items()}
    assert gap["label"] > 5
    assert all(abs(value) < gap["label"] / 2 for name, value in gap.items() if name != "label")


def test_the_representation_is_not_random_and_the_label_terms_have_a_gradient() -> None:
    model, x = built(), noise(2).inputs.requires_grad_()
    assert torch.equal(model.features(x), model.features(x))
    terms = model.surrogate(x)
    assert terms.shape == (2, 10)
    assert (terms <= 0).all()
    (gradient,) = torch.autograd.grad(terms.sum(), x)
    assert gradient.flatten(1).any(1).all()


def test_answers_change_from_draw_to_draw() -> None:
    digits, model = load("data:mnist")().load("shipped", 200), built()
    with torch.no_grad():
        first, second = (model.sample(digits.inputs, seeded(number)).argmax(1) for number in (0, 1))
    right = (first == digits.labels).float().mean()
    assert right > 0.8
    assert 0.02 < (first != second).float().mean() < 0.25


@torch.no_grad()
def test_fixed_noise_is_that_of_no_image_and_no_call() -> None:
    model, x = built(), noise(4).inputs
    fixed = FixedNoise(model).eval()
    assert torch.equal(fixed(x), fixed(x))
    torch.testing.assert_close(fixed(x)[2:], fixed(x[2:]))
    assert not torch.equal(fixed(x), FixedNoise(model, seed=1).eval()(x))
    one = model.bound(x[:1], seeded())  # the first noise of seed 0 is what fixed noise is made of
    for found, expected in zip(fixed.bound(x[:1]), one, strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.equal(fixed.decide(x).labels, fixed(x).argmax(1))


@torch.no_grad()
def test_decoded_logits_are_means_over_the_draws() -> None:
    model, x = built(), noise(2).inputs
    seen: list[Tensor] = []
    hook = model.joint.decoded.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model.sample(x, seeded())
    hook.remove()
    q = model.joint.posterior(model.features(x), model.joint.every_class(model.features(x)))
    drawn = torch.randn(model.draws, 2, 10, model.joint.latent, generator=seeded())
    (found,) = seen
    torch.testing.assert_close(found, model.joint.label(q.draw(drawn)).mean(0))


def _likely(count: int) -> Tensor:
    """Logits (count, 4) of class 2, more or less sure."""
    return torch.tensor([0.0, 0.5, 3.0, -1.0]) + torch.randn(count, 4, generator=seeded())


def test_the_divergence_is_that_of_torch() -> None:
    detector, logits = KLDetector(4), _likely(50)
    labels = torch.full((50,), 2)
    detector.calibrate(logits, labels, 0.05)
    usual = logits.softmax(1).mean(0)
    torch.testing.assert_close(detector.usual[2], usual)
    expected = torch.nn.functional.kl_div(logits.log_softmax(1), usual.expand(50, -1), reduction="none").sum(1)
    torch.testing.assert_close(detector.divergence(logits, labels), expected)


def test_the_threshold_rejects_its_share_of_the_class() -> None:
    detector, logits = KLDetector(4), _likely(2000)
    labels = torch.full((2000,), 2)
    assert (detector.excess(logits, labels) < 0).all()  # without statistics nothing is rejected
    detector.calibrate(logits, labels, 0.1)
    assert float((detector.excess(logits, labels) > 0).float().mean()) == pytest.approx(0.1, abs=0.002)
    assert detector.limit[[0, 1, 3]].isinf().all()


def test_no_threshold_is_further_from_the_mean_than_three_deviations() -> None:
    detector, logits = KLDetector(4), _likely(1000)
    logits[:20] = torch.tensor([40.0, 0.0, 0.0, 0.0])  # more than the share to be rejected is far away
    labels = torch.full((1000,), 2)
    detector.calibrate(logits, labels, 0.01)
    divergence = detector.divergence(logits, labels)
    torch.testing.assert_close(detector.limit[2], divergence.mean() + 3 * divergence.std(correction=0))


def test_decisions_take_scores_and_divergence_of_one_draw() -> None:
    digits, model = load("data:mnist")().load("shipped", 100), built()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        decision = model.decide(digits.inputs)
        torch.manual_seed(0)
        logits = model(digits.inputs)
        torch.manual_seed(0)
        scores = model.detector_scores(digits.inputs)
    assert torch.equal(decision.labels, logits.argmax(1))
    assert torch.equal(decision.accepted, scores <= model.thresholds)
    assert decision.accepted.float().mean() > 0.9


def test_the_training_loss_is_the_bound_of_the_true_class() -> None:
    model, data = built(), noise(6)
    one_hot = torch.nn.functional.one_hot(data.labels, 10).float()[:, None]
    loss, logits = lower_bound(model, Batch(data.inputs, data.labels, None, seeded()))
    phi = model.joint.observe(data.inputs)
    q = model.joint.posterior(model.features(data.inputs), one_hot)
    drawn = torch.randn(1, 6, 1, model.joint.latent, generator=seeded())
    terms = model.joint.bound(phi, q, one_hot, drawn)
    torch.testing.assert_close(loss, -terms.total.mean())
    torch.testing.assert_close(-torch.nn.functional.cross_entropy(logits, data.labels), terms.label.mean())


def test_training_is_deterministic_and_calibrates_the_detector() -> None:
    def train(seed: int) -> dict[str, Tensor]:
        model = Generative().train("mnist", noise(20), seed=seed, device="cpu", on_epoch=lambda *_: None)
        return dict(model.state_dict())

    first, again, other = train(3), train(3), train(4)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert first["detector.limit"].isfinite().all()
    assert not torch.equal(first["joint.encoder.0.weight"], other["joint.encoder.0.weight"])


def test_shipped_weights() -> None:
    path = Generative.presets["mnist"].weights
    assert path is not None
    record = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    assert record["command"][:3] == ["advplug", "train", "generative"]
    assert (record["preset"], record["seed"]) == ("mnist", 0)


def test_the_authors_networks_run_and_ship_no_weights() -> None:
    model, training = Generative().network("paper"), Generative.configurations["paper"].training
    assert isinstance(model, GBZ)
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_078_783
    assert model(noise(2).inputs).shape == (2, 10)
    assert (training.epochs, training.batch_size, training.learning_rate) == (100, 50, 1e-4)
    assert math.isclose(training.learning_rate_at(99, 1), 1e-4)
    with pytest.raises(MissingWeights, match="train"):
        Generative().build("paper")
