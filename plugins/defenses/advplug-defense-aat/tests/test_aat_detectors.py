"""Detectors side by side, their thresholds, and what is rejected."""

from __future__ import annotations

import pytest
import torch
from advplug_defense_aat import Detectors, Generative, Integrated
from advplug_defense_aat._detectors import OneAfterAnother, SideBySide
from advplug_defense_aat._model import calibrate, threshold
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.families import SequentialModel


class Given(Detectors):
    """Scores that are the pixels of the image."""

    def apart(self, stack: Tensor) -> Tensor:
        return torch.stack([part[:, i, 0, 0] for i, part in enumerate(stack.chunk(self.classes, 1))], 1)


def integrated(tau: float = -torch.inf) -> Integrated:
    """A classifier of three classes by pixels 3 to 5, detectors of pixels 0 to 2."""
    head = nn.Linear(6, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(6)[3:])
    model = Integrated(SequentialModel(nn.Flatten(), head, num_classes=3), Given(3))
    model.detectors.taus.fill_(tau)
    return model


def images(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)[:, :, None, None]


def test_a_detector_sees_its_own_images_alone() -> None:
    torch.manual_seed(0)
    detectors = SideBySide(3, 9, (2, 4), 5, classes=4)
    x = torch.rand(2, 12, 9, 9, requires_grad=True)
    for number, score in enumerate(detectors.apart(x).sum(0)):
        (gradient,) = torch.autograd.grad(score, x, retain_graph=True)
        touched = gradient.abs().sum((0, 2, 3)) > 0
        assert touched.nonzero().squeeze(1).tolist() == list(range(3 * number, 3 * number + 3))


def test_forward_gives_every_detector_the_same_image() -> None:
    torch.manual_seed(0)
    small = SideBySide(1, 9, (2,), 3, classes=3)
    large = OneAfterAnother(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)) for _ in range(3))
    x = torch.rand(5, 1, 9, 9)
    torch.testing.assert_close(small(x), small.apart(torch.cat((x, x, x), 1)))
    x = torch.rand(5, 1, 2, 2)
    expected = torch.stack([network(x)[:, i] for i, network in enumerate(large.networks)], 1)
    torch.testing.assert_close(large(x), expected)


def test_detectors_start_from_a_classifier_and_keep_its_statistics() -> None:
    classifier = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    classifier(torch.rand(8, 1, 2, 2) + 3)
    bank = OneAfterAnother(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2)) for _ in range(2))
    bank.start_from(classifier)
    bank.train()(torch.rand(8, 1, 2, 2))
    for network in bank.networks:
        for name, value in classifier.state_dict().items():
            assert torch.equal(network.state_dict()[name], value), name


def test_the_detector_of_the_answer_decides() -> None:
    x = images([0.9, 0.1, 0.2, 0.0, 1.0, 0.0], [0.1, 0.6, 0.2, 0.0, 1.0, 0.0], [0.1, 0.5, 0.9, 0.0, 1.0, 0.0])
    model = integrated(tau=0.5)
    decision = model.decide(x)
    assert decision.labels.tolist() == [1, 1, 1]
    assert decision.accepted.tolist() == [False, True, False]  # a score of tau is rejected
    torch.testing.assert_close(model.detector_scores(x), -x[:, 1, 0, 0])
    assert ((model.detector_scores(x) < model.thresholds) == decision.accepted).all()


def test_the_largest_detector_answers_in_the_generative_mode() -> None:
    x = images([0.9, 0.1, 0.2, 0.0, 1.0, 0.0], [0.1, 0.4, 0.2, 1.0, 0.0, 0.0])
    model = Generative(integrated(tau=0.5).detectors)
    decision = model.decide(x)
    assert decision.labels.tolist() == [0, 1]
    assert decision.accepted.tolist() == [True, False]
    torch.testing.assert_close(model(x), x[:, :3, 0, 0])
    torch.testing.assert_close(model.detector_scores(x), -x[:, :3, 0, 0].amax(1))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=1, max_size=60), st.sampled_from([0, 0.05, 0.3])
)
def test_the_threshold_is_the_largest_that_costs_no_more(drawn: list[tuple[int, bool]], share: float) -> None:
    scores = torch.tensor([float(score) for score, _ in drawn])
    right = torch.tensor([fine for _, fine in drawn])
    allowed = int(share * len(scores))
    if right.sum() <= allowed:
        with pytest.raises(InvalidInput, match="too few"):
            threshold(scores, right, share)
        return
    tau = threshold(scores, right, share)
    assert (scores[right] <= tau).sum() <= allowed
    larger = scores[scores > tau].min()  # the next score at which anything changes
    assert (scores[right] <= larger).sum() > allowed


def test_calibration_rejects_its_share_of_clean_images() -> None:
    torch.manual_seed(0)
    model, x = integrated(), torch.rand(400, 6, 1, 1)
    data = Images(x, x[:, 3:, 0, 0].argmax(1), ("a", "b", "c"), "noise")
    calibrate(model, data, 0.05)
    assert int((~model.decide(x).accepted).sum()) == 20
    assert model.detectors.taus[1].isinf()
