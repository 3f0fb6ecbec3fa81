"""Looking like a sample of another class, which a detector by density cannot tell from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advplug import Decision, DefendedModel, ThreatModel, load, run, search
from advplug.composition.words import MATCHING, words_of
from advplug.engine.problem import Problem, make_problem
from advplug.errors import InvalidInput
from advplug.families import Lookalike
from advplug.families.lookalike import Alike
from advplug.losses import Margin
from advplug.spelling import read_loss, written
from advplug.tracing.examine import Examination

THREAT = ThreatModel("linf", 0.25)


def samples(count: int = 40) -> tuple[Tensor, Tensor]:
    """Two bands of points in which the first value decides, and the second follows its square."""
    draws = torch.Generator().manual_seed(0)
    x = 0.5 + 0.04 * torch.randn(count, 16, generator=draws)
    labels = torch.arange(count) % 2
    x[:, :4] = 0.4 + 0.2 * labels[:, None] + 0.02 * torch.randn(count, 4, generator=draws)
    return x.clamp(0, 1), labels


class Dense(DefendedModel):
    """Accepts what has enough neighbours of its class, by features, among samples of its own; counted in NumPy."""

    def __init__(self) -> None:
        super().__init__(2)
        self.features_of = nn.Linear(16, 6)
        with torch.no_grad():
            torch.manual_seed(0)
            self.features_of.weight.copy_(torch.randn(6, 16) / 4)
            self.features_of.weight[:, :4] += torch.randn(6, 1)
        self.head = nn.Linear(6, 2)
        x, y = samples(400)
        with torch.no_grad():
            inside = self.features_of(x)
            centres = torch.stack([inside[y == label].mean(0) for label in (0, 1)])
            self.head.weight.copy_(2 * centres)
            self.head.bias.copy_(-centres.square().sum(1))
            self.known, self.classes = inside.numpy(), y.numpy()
            nearest = np.sort(self._distances(inside), 1)
            self.radius = float(np.quantile(nearest[:, 5], 0.97))

    def _distances(self, inside: Tensor) -> np.ndarray:
        return np.linalg.norm(inside.detach().numpy()[:, None] - self.known, axis=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features_of(x))

    def decide(self, x: Tensor) -> Decision:
        inside = self.features_of(x)
        labels = self.head(inside).argmax(1)
        near = (self._distances(inside) < self.radius) & (self.classes == labels.numpy()[:, None])
        return Decision(labels, torch.from_numpy(near.sum(1) >= 5))


def left(text: str, model: DefendedModel | None = None) -> float:
    """Robust accuracy under PGD on a loss."""
    x, labels = samples()
    found = run(load("attack:pgd")(steps=40), model or Dense(), x, labels, THREAT, loss=read_loss(text))
    return found.robust_accuracy


def test_it_passes_a_detector_that_shows_no_slope() -> None:
    for joint in ("margin", "margin+3*acceptance", "margin+30*acceptance"):
        assert left(joint) > 0.8
    assert left("lookalike(layer=features_of)") == 0
    assert left("lookalike(layer=features)") == 0, "what goes into the last linear layer"
    assert left("margin+30*lookalike(layer=features)") == 0, "as a term of a sum"
    assert left("at-log-probabilities of lookalike(layer=features)") == 0, "inside another loss"


def test_the_search_finds_it_by_itself() -> None:
    x, labels = samples()
    found = search(Dense(), (x, labels), THREAT, trials=16, sentences=1)
    assert found.together.standard > 0.5
    assert found.together.search == 0
    assert found.sentences[0].loss == "lookalike(layer=features)"


def test_words_of_a_detector_hold_it_and_interpolation_and_those_of_others_do_not() -> None:
    x, labels = samples()
    detector = make_problem(Dense(), x, labels, THREAT)
    words = words_of(detector, Examination((), ()))
    assert set(MATCHING) <= set(words.losses)
    assert "interpolation" in words.attacks
    plain = make_problem(nn.Linear(16, 2), x, labels, THREAT)
    assert not set(MATCHING) & set(words_of(plain, Examination((), ())).losses)


def bound(problem: Problem, layer: str | None = None) -> Alike:
    """The loss with its references."""
    with problem.gateway() as gateway:
        loss = Lookalike(layer).among(problem, gateway)
    assert isinstance(loss, Alike)
    return loss


def test_references_are_the_nearest_of_the_whole_set_also_for_a_part_of_it() -> None:
    x, labels = samples()
    model = Dense()
    problem = make_problem(model, x, labels, THREAT)
    whole, part = bound(problem), bound(problem.at(torch.tensor([7, 2])))
    with torch.no_grad():
        scores, decision = model(x), model.decide(x)
    fits = decision.accepted & (decision.labels == labels)
    assert not bool(fits.all()), "some of them are rejected"
    for sample in (2, 7):
        others = scores[fits & (labels != labels[sample])]
        nearest = others[(others - scores[sample]).norm(dim=1).argmin()]
        for loss in (whole, part):
            torch.testing.assert_close(loss.references[loss.rows[sample, 2]], nearest)
            torch.testing.assert_close(loss.references[loss.rows[sample, 1 - labels[sample]]], nearest)


def test_a_target_has_a_reference_of_its_class() -> None:
    x, labels = samples()
    found = run(
        load("attack:pgd")(steps=40), Dense(), x, labels, replace(THREAT, targeted=True), targets=1 - labels,
        loss=Lookalike("features"),
    )  # fmt: skip
    assert found.robust_accuracy == 0


def test_one_class_alone_has_no_references() -> None:
    x, labels = samples()
    few = labels == 0
    with pytest.raises(InvalidInput, match="attack more samples at once"):
        run(load("attack:pgd")(), Dense(), x[few], labels[few], THREAT, loss=Lookalike())


def test_passes_for_references_are_charged() -> None:
    x, labels = samples()
    one, other = (
        run(load("attack:pgd")(steps=1), Dense(), x, labels, THREAT, loss=loss) for loss in (Margin(), Lookalike())
    )
    assert int(other.forwards.max()) == int(one.forwards.max()) + 3, "two passes of 40 for the 35 that are attacked"


def test_as_text() -> None:
    for loss in (Lookalike(), Lookalike("features"), Lookalike("net.0:input")):
        assert read_loss(written(loss)) == loss
