"""Names in a narrow terminal: a word ends where it has a hyphen."""

from __future__ import annotations

import pytest

from advplug.cli._figures import broken


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("mymodel-net-linf-0.1-n20-seed0", 17, ["mymodel-net-linf-", "0.1-n20-seed0"]),
        ("adversarial-training (preset mnist)", 17, ["adversarial-", "training (preset mnist)"]),
        ("adversarial-training (preset mnist)", 20, ["adversarial-training (preset mnist)"]),
        ("runs/one_long_name", 10, ["runs/one_", "long_name"]),
        ("-35.0 points, p = 3.8e-06", 7, ["-35.0 points, p = 3.8e-06"]),
        ("nohyphenatall", 5, ["nohyphenatall"]),
        ("5.0 %\n+0.0 points", 17, ["5.0 %", "+0.0 points"]),
        ("", 5, [""]),
    ],
)
def test_long_words_end_at_their_hyphens(text: str, room: int, lines: list[str]) -> None:
    """Once a heading read ``adversarial-traini`` above ``ng-mnist-l2-1-n20-``."""
    assert broken(text, room).split("\n") == lines
