"""Successive halving: which sentences go on, when it ends, and what it may cost."""

from __future__ import annotations

import pytest

from advplug.composition.halving import Winner, first_trials, halve, rungs
from advplug.composition.trials import Outcome
from advplug.records.composition import Sentence


class Listed:
    """Proposes attacks number 0, 1, 2 and so on, and keeps what they scored."""

    def __init__(self) -> None:
        self.asked, self.scores = 0, list[float]()

    def ask(self) -> Sentence:
        self.asked += 1
        return Sentence(attack=str(self.asked - 1))

    def tell(self, score: float) -> None:
        self.scores.append(score)


class Bench:
    """Attack number i breaks a share that grows with i, up to ``best``; each query is noted."""

    def __init__(self, best: float = 0.9, queries: float = 10.0) -> None:
        self.best, self.queries = best, queries
        self.tried: list[tuple[int, int]] = []

    def __call__(self, sentence: Sentence, samples: int) -> Outcome:
        number = int(sentence.attack)
        self.tried.append((number, samples))
        return Outcome(min(self.best, number / 100), 1 - number / 100, self.queries, 0.0)


@pytest.mark.parametrize(
    ("samples", "sizes"), [(100, (25, 50, 100)), (32, (8, 16, 32)), (20, (10, 20)), (15, (15,)), (1, (1,))]
)
def test_rungs_double_and_have_enough_samples(samples: int, sizes: tuple[int, ...]) -> None:
    assert rungs(samples) == sizes
    assert rungs(samples, halving=False) == (samples,)


def test_the_best_quarter_goes_on_to_more_samples_and_the_best_of_it_wins() -> None:
    bench = Bench()
    winner = halve(Listed(), bench, (8, 16, 32), 64, 1e9)
    rung = {size: [number for number, samples in bench.tried if samples == size] for size in (8, 16, 32)}
    assert rung[8] == list(range(48))
    assert rung[16] == list(range(47, 35, -1))
    assert rung[32] == [47, 46, 45]
    assert len(bench.tried) == 63
    assert winner == Winner(Sentence(attack="47"), 32, Outcome(0.47, 0.53, 10.0, 0.0))


def test_it_ends_as_soon_as_one_breaks_all_samples() -> None:
    tried: list[tuple[int, int]] = []

    def attempt(sentence: Sentence, samples: int) -> Outcome:
        tried.append((int(sentence.attack), samples))
        return Outcome(float(sentence.attack == "2"), 0.0, 1.0, 0.0)

    winner = halve(Listed(), attempt, (8, 16, 32), 64, 1e9)
    assert tried == [(0, 8), (1, 8), (2, 8), (2, 16), (2, 32)]
    assert winner is not None
    assert (winner.sentence.attack, winner.samples) == ("2", 32)


def test_it_stops_when_the_passes_are_used() -> None:
    bench = Bench(queries=100.0)
    assert halve(Listed(), bench, (8, 16), 64, 8000.0) is not None
    first = [number for number, samples in bench.tried if samples == 8]
    assert len(first) == 6, "six trials of 800 passes are 60 % of 8000"
    assert sum(100 * samples for _, samples in bench.tried) <= 8000 + 100 * 16


def test_a_model_that_nothing_breaks_costs_less() -> None:
    tried: list[int] = []

    def attempt(sentence: Sentence, samples: int) -> Outcome:
        tried.append(samples)
        return Outcome(0.0, 0.5, 1.0, 0.0)

    assert halve(Listed(), attempt, (8, 16), 60, 1e9) is not None
    assert tried == [8] * 36 + [16] * 9


@pytest.mark.parametrize(("share", "tried"), [(0.1, [8] * 3), (0.2, [8] * 4 + [16])])
def test_it_ends_early_where_nothing_but_chance_was_gained(share: float, tried: list[int]) -> None:
    seen: list[int] = []

    def attempt(sentence: Sentence, samples: int) -> Outcome:
        seen.append(samples)
        return Outcome(share, 0.5, 1.0, 0.0)

    assert halve(Listed(), attempt, (8, 16), 57, 1e9, idle=20, luck=0.1) is not None
    assert seen == tried


def test_what_could_not_run_never_wins() -> None:
    def attempt(sentence: Sentence, samples: int) -> Outcome:
        reason = "NoGradient: none" if sentence.attack == "0" else ""
        return Outcome(0.0, 1.0, 1.0, 0.0, reason)

    sampler = Listed()
    winner = halve(sampler, attempt, (8,), 4, 1e9)
    assert winner is not None
    assert winner.sentence.attack == "1"
    assert halve(Listed(), lambda sentence, samples: Outcome(0.0, 1.0, 0.0, 0.0, "no"), (8,), 3, 1e9) is None


@pytest.mark.parametrize("sizes", [1, 2, 3])
def test_all_trials_together_are_as_many_as_planned(sizes: int) -> None:
    first = first_trials(64, sizes)
    assert sum(first // 4**number for number in range(sizes)) <= 64
