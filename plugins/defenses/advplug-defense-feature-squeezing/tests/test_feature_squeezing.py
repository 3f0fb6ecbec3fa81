"""The joint detector: its scores, its threshold, and what it says of real digits."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from advplug_defense_feature_squeezing import FeatureSqueezing, Squeezed, distances, largest_scores, threshold
from advplug_defense_input_transformations import BitDepth, Median, NonLocalMeans, ResizePad
from torch import Tensor, nn

from advplug import load
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.families import CarliniNet
from advplug.model import DefendedModel, PlainModel
from advplug.training import Adversary


class Linear(DefendedModel):
    """A linear model with bounds of its own."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(3, (-1.0, 1.0))
        torch.manual_seed(0)
        self.layer = nn.Linear(8 * 8, 3)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scale * self.layer(x.flatten(1))
        return scores


class Softmax(Linear):
    outputs = "probabilities"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


@pytest.fixture(scope="module")
def model() -> FeatureSqueezing:
    return cast(FeatureSqueezing, Squeezed().build("mnist"))


@pytest.fixture(scope="module")
def digits() -> Images:
    found: Images = load("data:mnist")().load("shipped", 1000)
    return found


def images() -> Tensor:
    return 2 * torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)) - 1


@torch.no_grad()
def test_the_score_is_the_l1_distance_of_probabilities_to_each_copy() -> None:
    net, x = Linear(), images()
    scores = FeatureSqueezing(net, [BitDepth(2), Median(2)]).detector_scores(x)
    for found, squeezer in zip(scores.T, (BitDepth(2), Median(2)), strict=True):
        copy = 2 * squeezer((x + 1) / 2) - 1
        torch.testing.assert_close(found, (net(x).softmax(1) - net(copy).softmax(1)).abs().sum(1))
    torch.testing.assert_close(FeatureSqueezing(Softmax(), [BitDepth(2), Median(2)]).detector_scores(x), scores)


@torch.no_grad()
def test_what_squeezing_leaves_alone_and_a_constant_answer_have_score_zero() -> None:
    x = images()
    assert not FeatureSqueezing(Linear(0.0), [BitDepth(1), Median(2), NonLocalMeans()]).detector_scores(x).any()
    black_and_white = (x > 0).float() * 2 - 1
    assert not FeatureSqueezing(Linear(), [BitDepth(1)]).detector_scores(black_and_white).any()
    opposite = torch.tensor([[[0.0, 80.0]]]), torch.tensor([[80.0, 0.0]])
    assert distances(opposite[1], opposite[0]).tolist() == [[2.0]], "the largest there is"


@torch.no_grad()
def test_the_largest_score_decides_and_the_threshold_itself_is_accepted() -> None:
    x = images()
    free = FeatureSqueezing(Linear(), [BitDepth(1), Median(2)])
    assert free.decide(x).accepted.all(), "not calibrated, it accepts everything"
    largest = free.detector_scores(x).amax(1)
    bar = float(largest.sort().values[1])
    model = FeatureSqueezing(Linear(), [BitDepth(1), Median(2)], bar)
    decision = model.decide(x)
    assert torch.equal(decision.accepted, largest <= bar)
    assert decision.accepted.sum() == 2
    assert torch.equal(decision.labels, model(x).argmax(1))
    assert model.thresholds.tolist() == [pytest.approx(bar)] * 2


def test_scores_have_a_gradient_through_steps_that_have_none() -> None:
    x = images().requires_grad_()
    for squeezer in (BitDepth(1), BitDepth(5), Median(2), NonLocalMeans(5)):
        scores = FeatureSqueezing(Linear(20.0), [squeezer]).detector_scores(x)
        assert torch.autograd.grad(scores.sum(), x)[0].any(), squeezer
        with torch.no_grad():
            again = FeatureSqueezing(Linear(20.0), [squeezer]).detector_scores(x.detach())
        torch.testing.assert_close(scores.detach(), again, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("count", "rate", "above"), [(100, 0.05, 5), (1000, 0.05, 50), (20, 0.05, 1), (19, 0.05, 0)])
def test_at_most_the_rate_of_clean_scores_exceeds_the_threshold(count: int, rate: float, above: int) -> None:
    scores = torch.rand(count, generator=torch.Generator().manual_seed(0))
    bar = threshold(scores, rate)
    assert bar in scores
    assert (scores > bar).sum() == above


@torch.no_grad()
def test_few_clean_digits_are_rejected_and_most_of_what_pgd_makes(model: FeatureSqueezing, digits: Images) -> None:
    assert 0.03 <= (largest_scores(model, digits) > model.detector.tau).float().mean() <= 0.07
    few = digits[:60]
    with torch.enable_grad():
        attacked = Adversary(epsilon=0.3, step_size=0.06, steps=10)(
            model, few.inputs, few.labels, torch.Generator().manual_seed(0)
        )
    decision = model.decide(attacked)
    fooled = decision.labels != few.labels
    assert fooled.float().mean() >= 0.9
    assert (~decision.accepted)[fooled].float().mean() >= 0.8


def test_the_threshold_alone_ships_and_can_be_found_again(model: FeatureSqueezing) -> None:
    heard: list[float] = []
    whole = load("data:mnist")().load("shipped")
    again = Squeezed().train(
        "mnist", whole, seed=0, device="cpu", on_epoch=lambda *of: heard.append(of[2]["false_positives"])
    )
    part = Squeezed().trained_part("mnist", again).state_dict()
    assert set(part) == {"tau"}
    torch.testing.assert_close(part["tau"], model.detector.tau, rtol=1e-3, atol=1e-5)
    assert heard[0] == pytest.approx(0.0476, abs=2e-3), "of 5,000 digits that the threshold does not come from"


def test_the_authors_network_has_its_size_and_their_threshold() -> None:
    paper = cast(FeatureSqueezing, Squeezed().network("paper"))
    assert paper.detector.tau.item() == pytest.approx(1.2358)
    assert CarliniNet()(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    few = Images(torch.rand(8, 1, 28, 28), torch.arange(8))
    before = {name: value.clone() for name, value in paper.state_dict().items()}
    trained = Squeezed().train("paper", few, seed=0, device="cpu", on_epoch=lambda *_: None)
    after = Squeezed().trained_part("paper", trained).state_dict()
    assert after["detector.tau"] == before["detector.tau"]
    assert not torch.equal(after["classifier.layers.0.weight"], before["classifier.layers.0.weight"])


def test_what_cannot_be_squeezed_is_refused(model: FeatureSqueezing) -> None:
    net = Linear()
    with pytest.raises(InvalidInput, match="PlainModel"):
        FeatureSqueezing(net.layer, [Median(2)])  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="rejects inputs"):
        FeatureSqueezing(model, [Median(2)])
    with pytest.raises(InvalidInput, match="at least one"):
        FeatureSqueezing(net, [])
    with pytest.raises(InvalidInput, match="random"):
        FeatureSqueezing(net, [ResizePad(6)])
    for wrong in (-1.0, float("nan")):
        with pytest.raises(InvalidInput, match="threshold is"):
            FeatureSqueezing(net, [Median(2)], wrong)
    for scores, rate in ((torch.rand(5), 1.0), (torch.rand(5), -0.1), (torch.rand(0), 0.05)):
        with pytest.raises(InvalidInput, match="rate is"):
            threshold(scores, rate)
    assert FeatureSqueezing(PlainModel(net, 3, (-1.0, 1.0)), [Median(2)])(images()).shape == (4, 3)
