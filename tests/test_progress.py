"""Away from a terminal a long job says how far it is: a line for each attack, and at least one a minute."""

from __future__ import annotations

import pytest

from advplug.cli._progress import duration, progress, watching


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    streams = capsys.readouterr()
    assert streams.out == ""
    return streams.err.splitlines()


def test_a_short_attack_is_one_line(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with watching(2, clock) as watch:
        for name in ("pgd", "apgd"):
            watch(name, 0, 0, 100)
            for step in range(1, 11):
                clock.now += 1
                watch(name, step, 40, 50)
    assert lines(capsys) == ["pgd: 100 samples ... done, 10 s", "apgd: 100 samples ... done, 10 s"]


def test_a_long_attack_says_each_minute_how_far_it_is(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with watching(1, clock) as watch:
        watch("standard", 0, 0, 1000)
        for step in range(1, 301):
            clock.now += 1
            watch("standard", step, 1200, 1000 - step)
    assert lines(capsys) == [
        "standard: 1000 samples ...",
        "standard: 60/1200 steps, 940 samples standing, 1 min, at most about 19 min left",
        "standard: 120/1200 steps, 880 samples standing, 2 min, at most about 18 min left",
        "standard: 180/1200 steps, 820 samples standing, 3 min, at most about 17 min left",
        "standard: 240/1200 steps, 760 samples standing, 4 min, at most about 16 min left",
        "standard: 300/1200 steps, 700 samples standing, 5 min, at most about 15 min left",
        "standard: done, 5 min",
    ]


def test_steps_of_several_minutes_have_a_line_each(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with watching(1, clock) as watch:
        watch("zoo", 0, 0, 10)
        for step in (1, 2):
            clock.now += 4000
            watch("zoo", step, 4, 10)
    assert lines(capsys)[1:] == [
        "zoo: 1/4 steps, 10 samples standing, 1 h 7 min, at most about 3 h 20 min left",
        "zoo: 2/4 steps, 10 samples standing, 2 h 13 min, at most about 2 h 13 min left",
        "zoo: done, 2 h 13 min",
    ]


def test_the_rest_of_a_sweep_counts_from_its_last_budget(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with watching(1, clock) as watch:
        watch("pgd", 0, 0, 10)
        for budget in (1, 2):
            for step in range(1, 11):
                clock.now += 12 * budget
                watch("pgd", step, 10, 10 - budget)
    assert lines(capsys)[1:] == [
        "pgd: 5/10 steps, 9 samples standing, 1 min, at most about 1 min left",
        "pgd: 10/10 steps, 9 samples standing, 2 min",
        "pgd: 3/10 steps, 8 samples standing, 3 min, at most about 3 min left",
        "pgd: 6/10 steps, 8 samples standing, 4 min, at most about 2 min left",
        "pgd: 9/10 steps, 8 samples standing, 6 min, at most about 24 s left",
        "pgd: done, 6 min",
    ]


def test_an_attack_that_stops_says_when(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    def interrupted() -> None:
        with watching(2, clock) as watch:
            watch("pgd", 0, 0, 5)
            clock.now += 61
            watch("pgd", 1, 10, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert lines(capsys)[-1] == "pgd: stopped, 1 min"


def test_attacks_that_were_read_are_counted(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with watching(3, clock) as watch:
        watch("pgd", 0, 0, 5)
    assert lines(capsys)[-1] == "2 of 3 attacks read from the run directory"


def test_a_training_has_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress("kwta mnist", clock=clock) as step:
        for epoch in (1, 2, 3):
            clock.now += 90
            step(epoch, 3, {"loss": 1 / epoch})
    assert lines(capsys) == [
        "kwta mnist 1/3 loss 1, 2 min, at most about 3 min left",
        "kwta mnist 2/3 loss 0.5, 3 min, at most about 2 min left",
        "kwta mnist 3/3 loss 0.3333, 4 min",
    ]


def test_checks_say_something_once_a_minute(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with progress("checking attack:zoo", short=True, clock=clock) as step:
        for check in range(1, 21):
            clock.now += 7
            step(check, 20, {})
    assert lines(capsys) == [
        "checking attack:zoo 9/20, 1 min, at most about 1 min left",
        "checking attack:zoo 18/20, 2 min, at most about 14 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (59.7, "1 min"), (3570, "1 h 0 min"), (90000, "25 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
