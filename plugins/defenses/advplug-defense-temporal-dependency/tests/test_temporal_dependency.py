"""The detector's parts against plain computations, the networks, and the training of a tiny one."""

from __future__ import annotations

import pytest
import torch
from advplug_data_spoken_digits import SpokenDigits
from advplug_defense_temporal_dependency import TemporalDependency, TemporalDependencyDefense
from advplug_defense_temporal_dependency._distance import character_error_rates
from advplug_defense_temporal_dependency._networks import DeepSpeech, DigitNet, LogMel
from advplug_defense_temporal_dependency._training import Schedule, calibrate, fit
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.transcription import NONE, Transcriber, packed

words = st.lists(st.integers(0, 2), max_size=6)


def number(symbols: list[int]) -> Tensor:
    return packed(torch.tensor([[*symbols, NONE]]), 3)


def edits(one: list[int], other: list[int]) -> int:
    if not one or not other:
        return len(one) + len(other)
    same = edits(one[1:], other[1:]) + (one[0] != other[0])
    return min(same, edits(one[1:], other) + 1, edits(one, other[1:]) + 1)


@given(words, words)
def test_the_rate_is_the_edit_distance_of_equal_beginnings(one: list[int], other: list[int]) -> None:
    shorter = min(len(one), len(other))
    expected = edits(one[:shorter], other[:shorter]) / shorter if shorter else float(one != other)
    assert float(character_error_rates(number(one), number(other), 3)) == pytest.approx(expected)


def test_rates_of_a_batch_are_those_of_its_rows() -> None:
    pairs = [([0, 1, 2], [0, 2]), ([], []), ([1], []), ([0, 0, 1, 2, 1], [0, 1, 1, 2, 1])]
    one, other = (torch.cat([number(pair[side]) for pair in pairs]) for side in (0, 1))
    assert character_error_rates(one, other, 3).tolist() == pytest.approx([0.5, 0, 1, 0.2])


class Sums(Transcriber):
    """A frame of ten values says their largest, or nothing; with ``whole`` the last frame changes what all say."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__(tuple("0123456789"))
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        frames = x.unflatten(1, (-1, 10))
        if self.whole:
            frames = frames.roll(1, 2) if frames.shape[1] > 2 else frames
        return torch.cat((frames, torch.full_like(frames[..., :1], 0.1)), 2).log_softmax(-1).flatten(1)


def said(*digits: int) -> Tensor:
    return torch.eye(10)[list(digits)].view(1, -1)


def test_a_beginning_that_reads_otherwise_is_rejected() -> None:
    x = said(3, 1, 4, 2)
    same = TemporalDependency(Sums(whole=False), (0.25, 0.5, 0.75), threshold=0.0)
    other = TemporalDependency(Sums(whole=True), (0.25, 0.5, 0.75), threshold=0.0)
    assert same.decide(x).accepted.tolist() == [True]
    assert same.spelled(int(same.decide(x).labels)) == "3142"
    assert other.decide(x).accepted.tolist() == [False]
    assert other.spelled(int(other.decide(x).labels)) == "4253"
    assert other.detector_scores(x).tolist() == [[1, 1, 0]]
    assert other.thresholds.tolist() == [0, 0, 0]


def test_nothing_is_rejected_before_there_is_a_threshold() -> None:
    assert TemporalDependency(Sums(whole=True), (0.25,)).decide(said(3, 1, 4, 2)).accepted.all()


def test_the_threshold_rejects_at_most_the_given_share() -> None:
    model = TemporalDependency(Sums(whole=True), (0.5,))
    inputs = torch.cat([said(3, 1, 4, 2)] * 3 + [said(0, 0, 0, 0)] * 97)
    inputs[3:] = 0  # silence, in the beginning as in the whole
    clean = Images(inputs, torch.zeros(100, dtype=torch.int64), transcribed=True)
    assert calibrate(model, clean, 0.05) == pytest.approx(0.03)
    assert float(model.detector.value) == 0
    assert calibrate(model, clean, 0.02) == 0
    assert float(model.detector.value) == 1


def test_a_tone_is_loudest_in_its_band() -> None:
    time = torch.arange(8000) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * frequency * time) for frequency in (300.0, 1200.0, 3000.0)])
    loudest = LogMel()(tones)[:, :, 50].argmax(1).tolist()
    assert loudest == sorted(set(loudest))
    assert len(loudest) == 3


def test_networks_take_sounds_of_any_length() -> None:
    for network in (DigitNet(8, 8), DeepSpeech(width=8)):
        for length in (4000, 16000):
            scores = network.eval()(torch.rand(2, length))
            assert network.frames(scores).exp().sum(-1).allclose(torch.ones(()))
            assert scores.shape[1] % 11 == 0


def test_the_shipped_network_hears_what_is_said() -> None:
    model, phrases = TemporalDependencyDefense().build("digits"), SpokenDigits().load("shipped", 30)
    with torch.no_grad():
        decision = model.decide(phrases.inputs)
    assert (decision.labels == phrases.labels).double().mean() > 0.9
    assert decision.accepted.double().mean() > 0.9


def test_training_learns_and_repeats() -> None:
    phrases, schedule = SpokenDigits().load("shipped", 32), Schedule(epochs=2, batch_size=8)
    networks, losses = [DigitNet(8, 8) for _ in "12"], list[float]()
    networks[1].load_state_dict(networks[0].state_dict())
    for network in networks:
        fit(
            network,
            phrases,
            schedule,
            seed=0,
            device="cpu",
            on_epoch=lambda epoch, epochs, values: losses.append(values["loss"]),
        )
    assert losses[1] < losses[0]
    assert losses[:2] == losses[2:]


def test_phrases_of_different_lengths_cannot_be_trained_on() -> None:
    labels = packed(torch.tensor([[1, 2], [3, NONE]] * 16), 10)
    phrases = Images(torch.zeros(32, 8000), labels, transcribed=True)
    with pytest.raises(InvalidInput, match="one number of symbols"):
        fit(DigitNet(8, 8), phrases, Schedule(), seed=0, device="cpu", on_epoch=lambda *_: None)
