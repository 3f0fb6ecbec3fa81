"""A model that transcribes is attacked like any other: sequences are labels, and the engine never looks inside."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor

from advplug import Images, ThreatModel, run
from advplug.adaptive import Recipe
from advplug.criteria import Targeted
from advplug.errors import InvalidInput
from advplug.evaluation import evaluate
from advplug.evaluation.jobs import model_job
from advplug.losses import CrossEntropy
from advplug.records.evaluation import Evaluation
from advplug.report.page import render
from advplug.tracking import Recorder
from advplug.transcription import CTC, NONE, Transcriber, ctc, packed

NAMES = ("a", "b")
THREAT = ThreatModel("linf", 0.8, (-1.0, 1.0))


class Loud(Transcriber):
    """Three values are a frame, one for a, one for b and one for the blank: the largest is what the frame says."""

    def __init__(self) -> None:
        super().__init__(NAMES)

    def forward(self, x: Tensor) -> Tensor:
        return self.frames(5 * x).log_softmax(-1).flatten(1)


def sound(*frames: str) -> Tensor:
    """Inputs (N, 3 * T): each frame is a letter, or ``-`` for the blank, at 0.5."""
    return torch.stack([torch.cat([0.5 * torch.eye(3)["ab-".index(letter)] for letter in text]) for text in frames])


def label(*texts: str) -> Tensor:
    width = max(map(len, texts))
    return packed(torch.tensor([["ab".index(c) for c in text] + [NONE] * (width - len(text)) for text in texts]), 2)


def every_other(labels: Tensor) -> Tensor:
    """``b`` for all but those that say so, which get ``a``."""
    return torch.where(labels == label("b"), label("a"), label("b"))


@pytest.mark.parametrize(
    ("frames", "said"), [("aa-a", "aa"), ("aaab", "ab"), ("----", ""), ("-b-b", "bb"), ("abab", "abab")]
)
def test_repetitions_and_blanks_are_left_out(frames: str, said: str) -> None:
    model = Loud()
    decision = model.decide(sound(frames))
    assert decision.labels.tolist() == label(said).tolist()
    assert model.spelled(int(decision.labels)) == said
    assert not model.rejects


def test_answers_beyond_the_longest_are_cut() -> None:
    model = Loud()
    whole = "ab" * 30
    assert model.spelled(int(model.decide(sound(whole)).labels)) == whole[:39]


def test_ctc_is_the_probability_of_all_alignments() -> None:
    model, x = Loud(), torch.rand(1, 9, generator=torch.Generator().manual_seed(0))
    chances = model.frames(model(x))[0].exp()
    total: dict[int, float] = {}
    for path in itertools.product(range(3), repeat=3):
        said = int(model.decide(sound("".join("ab-"[step] for step in path))).labels)
        total[said] = total.get(said, 0.0) + float(
            torch.stack([chances[t, step] for t, step in enumerate(path)]).prod()
        )
    for text in ("", "a", "ab", "bab", "aa"):
        found = ctc(model, model(x), label(text))
        assert float(found) == pytest.approx(-torch.tensor(total[int(label(text))]).log().item(), rel=1e-4)
    assert ctc(model, model(x), label("aabb")).isinf()


def test_an_untargeted_attack_changes_the_sequence() -> None:
    x, y = sound("a-b-", "bbaa", "----"), label("ab", "ba", "")
    found = run(PGD(steps=20), Loud(), x, y, THREAT, loss=CTC())
    assert found.success.all()
    assert (Loud().decide(found.adversarials).labels != y).all()


def test_a_targeted_attack_reaches_the_sequence() -> None:
    x, y, t = sound("a-b-", "bbaa"), label("ab", "ba"), label("ba", "bab")
    found = run(PGD(steps=40), Loud(), x, y, replace(THREAT, targeted=True), targets=t, loss=CTC())
    assert found.success.all()
    assert torch.equal(found.target, t)
    assert torch.equal(Loud().decide(found.adversarials).labels, t)


def test_a_smaller_budget_reaches_nothing() -> None:
    found = run(PGD(steps=20), Loud(), sound("a-b-"), label("ab"), ThreatModel("linf", 0.2, (-1.0, 1.0)), loss=CTC())
    assert not found.success.any()


def test_steps_are_told_without_a_margin() -> None:
    recorder = Recorder()
    run(PGD(steps=3), Loud(), sound("a-b-"), label("ab"), THREAT, loss=CTC(), tracker=recorder)
    assert recorder.steps
    assert all(step.margin.isnan().all() and step.loss.isfinite().all() for step in recorder.steps)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({}, "loss=CTC"),
        ({"loss": CrossEntropy()}, "loss=CTC"),
        ({"loss": CTC(), "targets": "each"}, "name the targets"),
        ({"loss": CTC(), "num_targets": 3}, "name the targets"),
        ({"loss": CTC(), "targets": label("ab")}, "equals the true label"),
    ],
)
def test_what_asks_for_classes_is_refused(more: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        run(PGD(), Loud(), sound("a-b-"), label("ab"), THREAT, **more)  # type: ignore[arg-type]


def test_ctc_is_refused_for_a_classifier() -> None:
    with pytest.raises(InvalidInput, match="no Transcriber"):
        run(PGD(), torch.nn.Linear(4, 3), torch.rand(2, 4), torch.tensor([0, 1]), "linf:0.1", loss=CTC())


def test_other_libraries_get_no_frames() -> None:
    interop = pytest.importorskip("advplug.interop.foolbox")
    with pytest.raises(InvalidInput, match="transcribes"):
        interop.as_foolbox_model(Loud())


def test_an_evaluation_keeps_sequences(tmp_path: Path) -> None:
    """Run directory, report and table: each shows the sequences, and the sound can be heard."""
    images = Images(
        sound("a-b-" * 3, "bbaa" * 3),
        label("ababab", "bababa"),
        NAMES,
        pixels=False,
        transcribed=True,
        sample_rate=8000,
    )
    recipe = Recipe(
        name="to b",
        attack=PGD(steps=60),
        loss=CTC(),
        criterion=Targeted(),
        targets=every_other,
        role="attack",
    )
    job = replace(model_job("loud", Loud(), images, THREAT, [recipe]), run_dir=tmp_path / "run")
    evaluation = evaluate(job)
    again = Evaluation.load(tmp_path / "run")
    assert evaluation.robust_accuracy == 0
    for one in (evaluation, again):
        assert [one.name_of(int(number)) for number in one.labels] == ["ababab", "bababa"]
        assert [one.name_of(int(number)) for number in one.rows[0].arrays["predicted"]] == ["b", "b"]
        assert (one.transcribed, one.sample_rate, one.class_names) == (True, 8000, NAMES)
    assert not {finding.name for finding in evaluation.findings if "ended with" in finding.message}
    page = render(again)
    assert page.count("data:audio/wav;base64,") == 4
    assert "ababab" in page
