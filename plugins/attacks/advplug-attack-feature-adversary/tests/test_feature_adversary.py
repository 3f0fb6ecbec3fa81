"""Which guide a sample goes to, how close it gets, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from advplug_attack_feature_adversary._attack import FeatureAdversary
from torch import Tensor, nn

from advplug import Images, ThreatModel, load, run
from advplug.errors import InvalidInput
from advplug.model import DefendedModel
from advplug.testing.digits import shipped_digits
from advplug.testing.models import Watched
from advplug.threat import Norm

LINF = ThreatModel("linf", 0.3)
TARGETED = ThreatModel("linf", 0.3, targeted=True)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3)).double().eval()
        net[2].bias.data -= net(torch.rand(500, 6, dtype=torch.float64)).mean(0)  # type: ignore[union-attr, operator]
        return net


def images(net: nn.Module, count: int, seed: int) -> Images:
    x = torch.rand(count, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return Images(x, net(x).argmax(1))


class Guided(FeatureAdversary):
    """Keeps what it prepared."""

    seen: Any

    def prepare(self, problem: Any, gateway: Any) -> Any:
        self.seen = super().prepare(problem, gateway)
        return self.seen


def test_the_guide_of_a_class_is_the_surest_of_it_as_the_model_sees_it() -> None:
    net = network()
    x, own = images(net, 8, 1), images(net, 200, 2)
    wrong = Images(own.inputs, (own.labels + 1) % 3)  # what the labels say does not matter
    attack = Guided(steps=1)
    run(attack, net, x.inputs, x.labels, LINF, auxiliary=wrong)
    scores = net(own.inputs).detach()
    for label, image in enumerate(attack.seen.images.tolist()):
        assert own.labels[image] == label
        lead = scores[:, label] - scores.scatter(1, torch.full((200, 1), label), -torch.inf).amax(1)
        assert lead.argmax() == image
    representation = net[1](net[0](own.inputs)).detach()  # type: ignore[index]
    torch.testing.assert_close(attack.seen.loss.centres, representation[attack.seen.images])


def test_without_targets_it_takes_the_nearest_guide_of_another_class() -> None:
    net = network()
    x, own = images(net, 30, 1), images(net, 200, 2)
    attack = Guided(steps=1)
    run(attack, net, x.inputs, x.labels, LINF, auxiliary=own)
    inside = net[:2](x.inputs).detach()  # type: ignore[index]
    for i, label in enumerate(x.labels.tolist()):
        distance = (attack.seen.loss.centres - inside[i]).norm(dim=1)
        distance[label] = torch.inf
        assert attack.seen.nearest[i] == distance.argmin()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_digits_come_close_to_the_representation_of_their_guide(norm: Norm) -> None:
    net, x, y = shipped_digits("mnist", 20, "adversarial-training")
    own = load("data:mnist")().load("shipped", 300)
    own = Images(own.inputs[100:], own.labels[100:])
    targets = (y + 1) % 10
    threat = ThreatModel(norm, {"linf": 0.3, "l2": 5.0}[norm], targeted=True)
    attack = Guided()
    watched = Watched(attack)
    result = run(watched, net, x, y, threat, targets=targets, auxiliary=own, early_end=False)
    assert result.success.float().mean() > 0.7
    assert (net(result.adversarials[result.success]).argmax(1) == targets[result.success]).all()
    inside = features(net, torch.cat((x, watched.points[-1][0], own.inputs[attack.seen.images[targets]])))
    clean, found, guide = inside.chunk(3)
    share = (found - guide).norm(dim=1) / (clean - guide).norm(dim=1)
    assert share.mean() < 0.65
    assert (share < 1).all()


def features(net: nn.Module, x: Tensor) -> Tensor:
    """What goes into the last linear layer of ``net``."""
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    net(x)
    hook.remove()
    return seen[0]


def test_results_stay_within_bounds_and_budget_whatever_the_units() -> None:
    net = network()
    x, own = images(net, 16, 1), images(net, 100, 2)

    small = run(FeatureAdversary(steps=20), net, x.inputs, x.labels, LINF, auxiliary=own)
    large = run(
        FeatureAdversary(steps=20),
        Holder(net),
        255 * x.inputs,
        x.labels,
        ThreatModel("linf", 0.3 * 255, (0.0, 255.0)),
        auxiliary=Images(255 * own.inputs, own.labels),
    )
    assert small.success.any()
    assert torch.equal(small.success, large.success)
    torch.testing.assert_close(large.adversarials / 255, small.adversarials)


class Holder(nn.Module):
    """``net`` for inputs in [0, 255]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x / 255)
        return logits


class Featured(DefendedModel):
    """A model that says itself what its representation is."""

    def __init__(self) -> None:
        super().__init__(3)
        self.net = network()

    def features(self, x: Tensor) -> Tensor:
        values: Tensor = self.net[:2](x)  # type: ignore[index]
        return values

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


@pytest.mark.parametrize("layer", ["features", "net.1", "net.2:input", None])
def test_a_layer_has_many_names(layer: str | None) -> None:
    model = Featured().eval()
    x, own = images(model, 8, 1), images(model, 100, 2)
    attack = Guided(layer=layer, steps=5)
    result = run(attack, model, x.inputs, x.labels, LINF, auxiliary=own)
    torch.testing.assert_close(attack.seen.loss.centres, model.features(own.inputs[attack.seen.images]).detach())
    plain = run(FeatureAdversary(layer="net.1", steps=5), model, x.inputs, x.labels, LINF, auxiliary=own)
    torch.testing.assert_close(result.adversarials, plain.adversarials)


def test_each_target_has_its_guide_in_a_shared_batch() -> None:
    net = network()
    x, own = images(net, 8, 1), images(net, 200, 2)
    threat = ThreatModel("linf", 1.0, targeted=True)
    result = run(FeatureAdversary(), net, x.inputs, x.labels, threat, targets="each", auxiliary=own, targets_at_once=2)
    assert result.success.all()
    assert torch.equal(net(result.adversarials).argmax(1), result.target)


def test_a_class_without_a_guide_is_refused_as_a_target_and_passed_over_otherwise() -> None:
    net = network()
    x, own = images(net, 30, 1), images(net, 300, 2)
    rare = int(own.labels.bincount().argmin())
    others = Images(own.inputs[own.labels != rare], own.labels[own.labels != rare])
    chosen = x.labels != rare
    targets = torch.full_like(x.labels, rare)[chosen]
    with pytest.raises(InvalidInput, match=rf"for \[{rare}\]: give it more"):
        run(
            FeatureAdversary(),
            net,
            x.inputs[chosen],
            x.labels[chosen],
            TARGETED,
            targets=targets,
            auxiliary=others,
        )
    attack = Guided(steps=1)
    run(attack, net, x.inputs[chosen], x.labels[chosen], LINF, auxiliary=others)
    assert (attack.seen.nearest != rare).all()


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"steps": 0}, "at least 1"), ({"step_size": 0.0}, r"in \(0, 2\]"), ({"step_size": 3.0}, r"in \(0, 2\]")],
)
def test_bad_settings_of_the_feature_adversary(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        FeatureAdversary(**options)


def test_unknown_layers_are_refused_with_those_there_are() -> None:
    net = network()
    x, own = images(net, 4, 1), images(net, 50, 2)
    with pytest.raises(InvalidInput, match=r"no layer 'fc': name one of .*module\.1"):
        run(FeatureAdversary(layer="fc"), net, x.inputs, x.labels, LINF, auxiliary=own)
    convolutions = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 6), nn.Flatten()).double()
    with pytest.raises(InvalidInput, match="no linear layer: name a layer"):
        run(FeatureAdversary(), convolutions, x.inputs, convolutions(x.inputs).argmax(1), LINF, auxiliary=own)
