"""What training makes small: formulas on linear models, the best epoch, patience, reduced precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.training import (
    TRADES,
    VAT,
    Adversary,
    AttackAdversary,
    Batch,
    LearnedLoss,
    LossNetwork,
    Mixed,
    Tempered,
    TrainingConfig,
    checkpoints,
    fit,
    fitting,
    seeded,
)
from advplug.training.config import Optimiser

FAST = Adversary(epsilon=0.1, step_size=0.12, steps=1)


def linear(classes: int = 3) -> nn.Module:
    return seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, classes)))


def halves(count: int) -> Images:
    """Noise whose left (label 0) or right half (label 1) is brighter."""
    inputs = 0.5 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 2
    inputs[labels == 0, :, :, :4] += 0.4
    inputs[labels == 1, :, :, 4:] += 0.4
    return Images(inputs, labels, ("left", "right"), "halves")


def batch(adversarial: bool = True) -> Batch:
    data = halves(16)
    shifted = (data.inputs + 0.05).clamp(0, 1) if adversarial else None
    return Batch(data.inputs, data.labels, shifted, torch.Generator().manual_seed(0))


def test_mixed_weighs_clean_and_adversarial_images() -> None:
    one, net = batch(), linear()
    assert one.adversarial is not None
    loss, logits = Mixed(0.5)(net, one)
    expected = F.cross_entropy(net(one.x), one.y) + 0.5 * F.cross_entropy(net(one.adversarial), one.y)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(logits, net(one.x))


def test_trades_pays_for_answers_that_differ() -> None:
    one, net = batch(), linear()
    assert one.adversarial is not None
    clean, attacked = net(one.x).softmax(1), net(one.adversarial).softmax(1)
    divergence = (clean * (clean / attacked).log()).sum(1).mean()
    torch.testing.assert_close(TRADES(6.0)(net, one)[0], F.cross_entropy(net(one.x), one.y) + 6 * divergence)


@pytest.mark.parametrize("loss", [Mixed(), TRADES()])
def test_without_an_adversary_they_say_what_is_missing(loss: Any) -> None:
    with pytest.raises(InvalidInput, match="give the TrainingConfig an adversary"):
        loss(linear(), batch(adversarial=False))


def test_vat_finds_the_direction_in_which_the_answer_changes_fastest() -> None:
    one, net = batch(adversarial=False), linear(2)
    weight = net[1].weight  # type: ignore[index]
    expected = F.normalize((weight[0] - weight[1]).detach(), dim=0)  # the only one in which two classes move
    found = VAT(2.0).direction(net, one.x, net(one.x).log_softmax(1).detach(), one.generator).flatten(1)
    torch.testing.assert_close((found @ expected).abs(), torch.ones(16), atol=1e-3, rtol=0)
    loss, _ = VAT(2.0)(net, one)
    assert loss > F.cross_entropy(net(one.x), one.y)


def test_the_xi_of_the_authors_is_rounding_in_float32() -> None:
    one, net = batch(adversarial=False), linear(2)
    weight = net[1].weight  # type: ignore[index]
    expected = F.normalize((weight[0] - weight[1]).detach(), dim=0)
    found = VAT(2.0, xi=1e-6).direction(net, one.x, net(one.x).log_softmax(1).detach(), one.generator).flatten(1)
    assert (found @ expected).abs().min() < 0.99


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(epochs=3, learning_rate=0.1, batch_size=16, adversary=FAST, loss=Mixed()),
        TrainingConfig(
            epochs=3,
            learning_rate=0.1,
            batch_size=16,
            adversary=Adversary(epsilon=0.1, step_size=0.05, steps=2, start="near", against="probabilities"),
            loss=TRADES(),
        ),
        TrainingConfig(epochs=3, learning_rate=0.1, batch_size=16, loss=VAT(0.5)),
        TrainingConfig(epochs=3, learning_rate=0.1, batch_size=16, adversary=FAST, precision="bfloat16"),
    ],
)
def test_every_way_to_train_learns(config: TrainingConfig) -> None:
    net, data, seen = linear(2), halves(640), []
    fit(net, data, config, on_epoch=lambda _, __, values: seen.append(dict(values)))
    assert seen[-1]["accuracy"] > 0.95
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    if config.adversary is not None:
        assert seen[-1]["pgd"] > 0.9


def test_training_against_an_attack_plugin_learns_and_reports_its_accuracy() -> None:
    pgd = pytest.importorskip("advplug_attack_pgd").PGD(steps=2)
    config = TrainingConfig(
        epochs=2, learning_rate=0.1, batch_size=64, adversary=AttackAdversary(attack=pgd, threat="linf:0.1")
    )
    seen: list[dict[str, float]] = []
    data = halves(576)
    fit(linear(2), (data.inputs.numpy(), data.labels.numpy()), config, on_epoch=lambda *a: seen.append(dict(a[2])))
    assert seen[-1]["pgd"] > 0.9


def robust(*values: float) -> Any:
    """Stands in for the measurement after each epoch."""
    left = list(values)
    return lambda *_: left.pop(0)


def trained(
    monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...], **settings: Any
) -> tuple[nn.Module, list[Tensor]]:
    """A network, and its weights after each epoch whose robust accuracies are ``values``."""
    monkeypatch.setattr(fitting._Fit, "_robust_accuracy", robust(*values))
    net, weights = linear(2), []
    config = TrainingConfig(epochs=len(values), learning_rate=0.1, adversary=FAST, **settings)
    fit(net, halves(640), config, on_epoch=lambda *_: weights.append(net[1].weight.detach().clone()))  # type: ignore[index]
    return net, weights


def test_the_best_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    net, weights = trained(monkeypatch, (0.1, 0.5, 0.5, 0.2), keep="best")
    assert torch.equal(net[1].weight, weights[1])  # type: ignore[index]
    assert not net.training
    net, weights = trained(monkeypatch, (0.1, 0.5, 0.5, 0.2))
    assert torch.equal(net[1].weight, weights[3])  # type: ignore[index]


def test_patience_ends_a_training_that_gets_no_better(monkeypatch: pytest.MonkeyPatch) -> None:
    _, weights = trained(monkeypatch, (0.1, 0.5, 0.5, 0.4, 0.9), patience=2)
    assert len(weights) == 4


def test_what_compares_robust_accuracies_needs_an_adversary_and_images() -> None:
    with pytest.raises(InvalidInput, match="give an adversary"):
        TrainingConfig(epochs=1, learning_rate=0.1, keep="best")
    with pytest.raises(InvalidInput, match="patience is 0"):
        TrainingConfig(epochs=1, learning_rate=0.1, patience=0, adversary=FAST)
    with pytest.raises(InvalidInput, match="too few to hold out 256"):
        fit(linear(2), halves(64), TrainingConfig(epochs=1, learning_rate=0.1, keep="best", adversary=FAST))


@pytest.mark.parametrize("optimiser", get_args(Optimiser))
def test_a_checkpoint_holds_all_that_training_goes_on_with(optimiser: Any, tmp_path: Path) -> None:
    """Buffers without a dimension, moments of the optimiser, and the best weights come back."""

    def net() -> nn.Module:
        return seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)))

    config = TrainingConfig(epochs=4, learning_rate=0.01, optimiser=optimiser, adversary=FAST, keep="best")
    whole, parted, again, folder = net(), net(), net(), tmp_path / "kept"
    fit(whole, halves(640), config)
    with pytest.raises(KeyboardInterrupt), checkpoints(folder):
        fit(parted, halves(640), config, on_epoch=lambda epoch, *_: interrupt_after(2, epoch))
    assert [path.name for path in folder.iterdir()] == ["0.safetensors"]
    epochs: list[int] = []
    with checkpoints(folder):
        fit(again, halves(640), config, on_epoch=lambda epoch, *_: epochs.append(epoch))
    assert epochs == [3, 4]
    assert not folder.exists()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("temperature", [1.0, 7.0])
def test_tempered_divides_logits_and_prefers_soft_labels(temperature: float) -> None:
    one, net = batch(adversarial=False), linear(2)
    softened = (net(one.x) / temperature).log_softmax(1)
    loss, logits = Tempered(temperature)(net, one)
    torch.testing.assert_close(loss, -softened.gather(1, one.y[:, None]).mean())
    torch.testing.assert_close(logits, net(one.x))
    soft = torch.rand(16, 2, generator=torch.Generator().manual_seed(1)).softmax(1)
    loss, _ = Tempered(temperature)(net, replace(one, soft=soft))
    torch.testing.assert_close(loss, -(soft * softened).sum(1).mean())
    gradient = torch.autograd.grad(loss, net[1].bias)[0]  # type: ignore[index]
    torch.testing.assert_close(gradient, (softened.exp() - soft).mean(0) / temperature)


def test_answers_are_those_of_the_model_at_the_temperature() -> None:
    data, net = halves(30), linear(2)
    found = Tempered(5.0).answers(net, data, size=7)
    torch.testing.assert_close(found, (net(data.inputs) / 5).softmax(1).detach())
    assert not found.requires_grad


def test_soft_labels_go_with_their_images() -> None:
    data, seen = halves(600), []

    def loss(model: nn.Module, one: Batch) -> tuple[Tensor, Tensor]:
        assert one.soft is not None
        assert torch.equal(one.soft, one.x.flatten(1).mean(1, keepdim=True).expand(-1, 2))
        seen.append(len(one.x))
        return Tempered(1.0)(model, one)

    soft = data.inputs.flatten(1).mean(1, keepdim=True).expand(-1, 2)
    for adversary in (None, FAST):  # with one, the first images are held out
        seen.clear()
        config = TrainingConfig(epochs=1, learning_rate=0.1, batch_size=64, adversary=adversary, loss=loss)
        fit(linear(2), data, config, soft_labels=soft)
        assert sum(seen) == len(data) - (fitting.PROBES if adversary else 0)
    with pytest.raises(InvalidInput, match="599 soft labels for 600 images"):
        fit(linear(2), data, config, soft_labels=soft[:-1])


def test_a_checkpoint_of_other_soft_labels_is_another_training(tmp_path: Path) -> None:
    config, data = TrainingConfig(epochs=2, learning_rate=0.1, loss=Tempered(2.0)), halves(64)
    soft = F.one_hot(data.labels, 2).float()
    with pytest.raises(KeyboardInterrupt), checkpoints(tmp_path):
        fit(linear(2), data, config, soft_labels=soft, on_epoch=lambda epoch, *_: interrupt_after(1, epoch))
    with pytest.raises(InvalidInput, match="other settings"), checkpoints(tmp_path):
        fit(linear(2), data, config, soft_labels=soft.flip(1))


def test_a_student_at_a_high_temperature_has_large_logits() -> None:
    data, how = halves(320), TrainingConfig(epochs=30, learning_rate=0.05, optimiser="adam")
    teacher, student, plain = linear(2), linear(2), linear(2)
    heat = Tempered(20.0)
    fit(plain, data, how)
    fit(teacher, data, replace(how, loss=heat))
    fit(student, data, replace(how, loss=heat), soft_labels=heat.answers(teacher, data))
    with torch.no_grad():
        assert student(data.inputs).std() > 2.5 * plain(data.inputs).std()


def interrupt_after(last: int, epoch: int) -> None:
    if epoch == last:
        raise KeyboardInterrupt


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, learning_rate=0.1)
    (tmp_path / "0.safetensors").write_bytes(b"half")
    with pytest.raises(InvalidInput, match="is damaged"), checkpoints(tmp_path):
        fit(linear(2), halves(64), config)


class Guessing(LossNetwork):
    """Cross-entropy with a temperature that is learnt in every step, and remembers its learning rates."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.rand(()) + 1)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=0.05)
        self.rates: list[float] = []

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch.x)
        self.optimiser.zero_grad()
        F.cross_entropy(logits.detach() / self.temperature, batch.y).backward()
        self.optimiser.step()
        self.rates.append(self.optimiser.param_groups[0]["lr"])
        return F.cross_entropy(logits / self.temperature.detach(), batch.y), logits


class Learned(LearnedLoss):
    """Begins a :class:`Guessing` loss, and remembers those that it began."""

    def __init__(self) -> None:
        self.begun: list[Guessing] = []

    def __repr__(self) -> str:
        return "Learned()"

    def begin(self) -> Guessing:
        self.begun.append(Guessing())
        return self.begun[-1]


def test_a_loss_that_learns_begins_anew_and_follows_the_learning_rate() -> None:
    loss = Learned()
    config = TrainingConfig(epochs=3, learning_rate=0.1, batch_size=16, loss=loss, drop_at=(1, 2), drop_by=2)
    for _ in range(2):
        fit(linear(), halves(32), config)
    first, second = loss.begun
    assert first.rates == second.rates == pytest.approx([0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125])
    assert first.temperature == second.temperature
    assert first.temperature != seeded(0, Guessing).temperature


def test_a_loss_that_learns_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    loss = Learned()
    config = TrainingConfig(epochs=4, learning_rate=0.1, batch_size=16, loss=loss)

    def interrupt(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    whole, parts = linear(), linear()
    fit(whole, halves(32), config)
    with pytest.raises(KeyboardInterrupt), checkpoints(tmp_path / "kept"):
        fit(parts, halves(32), config, on_epoch=interrupt)
    parts = linear()
    with checkpoints(tmp_path / "kept"):
        fit(parts, halves(32), config)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert torch.equal(loss.begun[0].temperature, loss.begun[2].temperature)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_momentum_is_a_setting(optimiser: Any) -> None:
    def after(**settings: Any) -> Tensor:
        net, some = linear(), halves(64)
        fit(net, some, TrainingConfig(epochs=2, learning_rate=0.01, batch_size=16, optimiser=optimiser, **settings))
        return net.state_dict()["1.weight"]

    assert torch.equal(after(), after(momentum=0.9))
    assert not torch.equal(after(), after(momentum=0.5))
