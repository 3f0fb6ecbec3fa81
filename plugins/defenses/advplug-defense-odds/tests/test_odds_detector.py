"""The statistics of the detector against the formulas of the paper, and what they say of real digits."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import cast

import pytest
import torch
from advplug_defense_odds._defense import Odds
from advplug_defense_odds._detector import THRESHOLD, Alignments
from advplug_defense_odds._model import OddsModel
from advplug_defense_odds._networks import WideResNet
from advplug_defense_odds._noise import SEVERAL, SINGLE, Noise
from torch import Tensor, nn

from advplug import load
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.training import Adversary


class Features(nn.Module):
    """A feature layer and a linear one, so that the formula in the weights of the last layer can be checked."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


@pytest.fixture(scope="module")
def model() -> OddsModel:
    return cast(OddsModel, Odds().build("mnist"))


@pytest.fixture(scope="module")
def digits() -> Images:
    found: Images = load("data:mnist")().load("shipped", 300)
    return found


@torch.no_grad()
def test_alignments_are_those_of_the_last_layer() -> None:
    """(w_p - w_i) . (h(x) - h(x + n)): the bias cancels, and so does the predicted class itself."""
    torch.manual_seed(0)
    net, x, draws = Features(), torch.rand(5, 6), 40
    detector = Alignments((Noise("normal", 0.3), Noise("sign", 0.1)), draws, 4)
    torch.manual_seed(1)
    logits, found = detector(net, x)
    predicted, weight = logits.argmax(1), net.head.weight
    torch.manual_seed(1)
    for alignments, noise in zip(found, detector.noises, strict=True):
        drift = net.body(x) - net.body(noise(x.expand(draws, *x.shape))).mean(0)
        expected = ((weight[predicted][:, None] - weight[None]) * drift[:, None]).sum(2)
        torch.testing.assert_close(alignments, expected, rtol=1e-4, atol=1e-5)


def test_scores_are_averaged_over_the_noises_and_the_largest_class_counts() -> None:
    detector = Alignments(SINGLE * 2, 1, 3)
    detector.mean.copy_(torch.arange(18.0).view(2, 3, 3))
    detector.std.copy_(torch.arange(1.0, 19.0).view(2, 3, 3))
    drift = torch.randn(2, 1, 3)
    z = ((drift[:, 0] - detector.mean[:, 1]) / detector.std[:, 1]).mean(0)
    assert detector.scores(torch.tensor([1]), drift).item() == pytest.approx(max(z[0], z[2]).item())


def test_a_class_without_images_is_never_flagged() -> None:
    detector = Alignments(SINGLE, 2, 3)
    toward = nn.Linear(2, 3)
    with torch.no_grad():
        toward.bias.copy_(torch.tensor([5.0, 0.0, 0.0]))  # everything is class 0
    detector.calibrate(toward, [torch.rand(20, 2)])
    assert detector.std[:, 0, 1:].isfinite().all()
    assert detector.scores(torch.tensor([1, 2]), torch.full((1, 2, 3), 1e6)).tolist() == [0.0, 0.0]


def test_noise_stays_in_range_and_has_its_scale() -> None:
    torch.manual_seed(0)
    x = torch.full((2000, 10), 0.5)
    spread = {noise.kind: (noise(x) - x).std().item() / noise.scale for noise in SEVERAL[::3]}
    assert spread == pytest.approx({"normal": 1.0, "sign": 1.0, "uniform": 3**-0.5}, rel=0.02)
    assert Noise("normal", 10.0)(x).aminmax() == (0.0, 1.0)
    assert len(SEVERAL) == 9


@torch.no_grad()
def test_few_clean_digits_are_flagged_and_most_of_what_pgd_makes(model: OddsModel, digits: Images) -> None:
    assert model.capabilities.thresholds is not None
    assert model.thresholds.item() == pytest.approx(NormalDist().inv_cdf(0.999))
    clean = model.decide(digits.inputs)
    assert (~clean.accepted).float().mean() <= 0.02
    few = digits[:60]
    with torch.enable_grad():
        pgd = Adversary(epsilon=0.3, step_size=0.01, steps=40)
        attacked = pgd(model, few.inputs, few.labels, torch.Generator().manual_seed(0))
    decision = model.decide(attacked)
    fooled = decision.labels != few.labels
    assert fooled.float().mean() >= 0.95
    assert (~decision.accepted)[fooled].float().mean() >= 0.6


def test_scores_are_random_and_decisions_follow_them(model: OddsModel, digits: Images) -> None:
    x = digits.inputs[:20]
    torch.manual_seed(0)
    scores = model.detector_scores(x)
    torch.manual_seed(0)
    assert torch.equal(model.decide(x).accepted, scores <= THRESHOLD)
    assert not torch.equal(model.detector_scores(x), scores)


@torch.no_grad()
def test_a_batch_of_no_image_is_decided_too() -> None:
    decision = Odds().build("mnist").decide(torch.zeros(0, 1, 28, 28))
    assert decision.labels.shape == decision.accepted.shape == (0,)


def test_the_statistics_can_be_taken_again(digits: Images, tmp_path: Path) -> None:
    first, second, other = (
        Odds().train("mnist", digits, seed=seed, device="cpu", on_epoch=lambda *_: None) for seed in (0, 0, 1)
    )
    assert torch.equal(first.detector.mean, second.detector.mean)
    assert not torch.equal(first.detector.mean, other.detector.mean)
    assert set(Odds().trained_part("mnist", first).state_dict()) == {"mean", "std"}


def test_the_authors_network_runs() -> None:
    """Forty-six million weights in its full width; narrow here."""
    with torch.device("meta"):
        assert sum(p.numel() for p in WideResNet().parameters()) == pytest.approx(46.2e6, rel=0.01)
    configuration = Odds.configurations["paper"]
    assert (len(configuration.noises), configuration.draws) == (9, 256)
    model = OddsModel(WideResNet(width=1), SEVERAL, 1).eval()
    decision = model.decide(torch.rand(2, 3, 32, 32))
    assert decision.accepted.all(), "without statistics nothing is flagged"


def test_unknown_presets_are_refused(digits: Images) -> None:
    with pytest.raises(InvalidInput, match="cifar10"):
        Odds().train("svhn", digits, seed=0, device="cpu", on_epoch=lambda *_: None)
