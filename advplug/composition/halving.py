"""Successive halving over samples: every sentence on few samples, the best quarter on twice as many, and so on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from advplug.composition.trials import Outcome
from advplug.records.composition import Sentence

KEPT = 4
"""One sentence of so many goes on to more samples."""

LEAST = 8
"""Samples of the first rung at least, if there are so many."""

EXPLORING = 0.6
"""Share of the passes that the first rung may use."""

PATIENCE = 0.75
"""Share of the first trials after which nothing more is tried if none of them broke a sample."""

ROUND = 4
"""Sentences that are asked for at once, so that several can be tried at a time; the same with one worker or many."""

TIES = 0.01
"""What the whole margin counts beside the share that is broken."""


def score(outcome: Outcome) -> float:
    """The share that is broken; of two equal ones, the smaller margin left wins."""
    return outcome.broken + TIES * (1 - outcome.margin) if not outcome.reason else 0.0


def rungs(samples: int, *, halving: bool = True) -> tuple[int, ...]:
    """How many samples each rung has: a quarter, half, all; fewer rungs where a quarter is next to nothing."""
    sizes = [samples // part for part in (4, 2) if samples // part >= LEAST] if halving else []
    return (*sizes, samples)


def first_trials(trials: int, rungs: int) -> int:
    """How many sentences start, so that with those that go on there are ``trials`` in all."""
    return max(1, int(trials / sum(KEPT**-number for number in range(rungs))))


class Asks(Protocol):
    """What proposes sentences and learns from their scores."""

    def ask(self) -> Sentence: ...

    def tell(self, score: float) -> None: ...


Try = Callable[[Sentence, int], Outcome]
"""Tries a sentence on the first so many samples."""

Expect = Callable[[Sequence[Sentence], int], None]
"""Hears which sentences come next, and on how many samples; some of them may not come after all."""


def _nobody(sentences: Sequence[Sentence], samples: int) -> None:
    """Nobody begins ahead."""


@dataclass(frozen=True)
class Winner:
    """The best sentence, on so many samples, and its outcome there."""

    sentence: Sentence
    samples: int
    outcome: Outcome


def halve(
    sampler: Asks,
    attempt: Try,
    sizes: Sequence[int],
    trials: int,
    passes: float,
    *,
    idle: float = math.inf,
    luck: float = 0.0,
    expect: Expect = _nobody,
) -> Winner | None:
    """The best of ``trials`` sentences within so many ``passes``; None where every one failed.

    Ends as soon as one breaks all samples of the last rung; one that breaks all of the first climbs at once. Where
    three quarters broke nothing the others are not tried: a robust model must not cost more than one that is not. Nor
    are they after ``idle`` passes in which none broke a larger share; one that is larger by ``luck`` is not.
    """
    table, first = _Table(attempt, luck), first_trials(trials, len(sizes))
    asked: deque[Sentence] = deque()
    for number in range(first):
        in_vain = table.spent - table.better >= idle or (number >= PATIENCE * first and not table.most)
        if table.spent >= EXPLORING * passes or in_vain:
            break
        if not asked:
            asked.extend(sampler.ask() for _ in range(min(ROUND, first - number)))
            expect(asked, sizes[0])
        sentence = asked.popleft()
        outcome = table.on(sentence, sizes[0])
        sampler.tell(score(outcome))
        if outcome.broken == 1 and all(table.on(sentence, size).broken == 1 for size in sizes):
            return Winner(sentence, sizes[-1], table.on(sentence, sizes[-1]))
    allowed = passes if table.most else min(passes, idle)
    for size, larger in pairwise(sizes):
        best = table.best_on(size)
        chosen = [sentence for sentence, _ in best[: max(1, len(best) // KEPT)]]
        expect(chosen, larger)
        for sentence in chosen:
            if table.spent < allowed and table.on(sentence, larger).broken == 1 and larger == sizes[-1]:
                break
    return next(table.winners(sizes), None)


class _Table:
    """What every sentence did on every rung, each tried once."""

    def __init__(self, attempt: Try, luck: float) -> None:
        self.attempt, self.luck, self.spent = attempt, luck, 0.0
        self.most, self.better = 0.0, 0.0
        """The largest share that was broken, and the passes until then."""
        self.outcomes: dict[tuple[str, int], tuple[Sentence, Outcome]] = {}

    def on(self, sentence: Sentence, size: int) -> Outcome:
        """The outcome of ``sentence`` on the first ``size`` samples."""
        key = (repr(sentence), size)
        if key not in self.outcomes:
            outcome = self.attempt(sentence, size)
            self.spent += outcome.queries * size
            if outcome.broken > self.most + self.luck:
                self.most, self.better = outcome.broken, self.spent
            self.outcomes[key] = sentence, outcome
        return self.outcomes[key][1]

    def best_on(self, size: int) -> list[tuple[Sentence, Outcome]]:
        """Sentences with their outcomes on ``size`` samples, the best first; of equal ones, what came first."""
        tried = [pair for (_, rung), pair in self.outcomes.items() if rung == size]
        return sorted((pair for pair in tried if not pair[1].reason), key=lambda pair: -score(pair[1]))

    def winners(self, sizes: Sequence[int]) -> Iterator[Winner]:
        """The best of each rung, from the last one down."""
        for size in reversed(sizes):
            yield from (Winner(sentence, size, outcome) for sentence, outcome in self.best_on(size)[:1])
