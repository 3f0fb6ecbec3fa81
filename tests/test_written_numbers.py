"""Numbers as people write them, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from advplug.numerics.written_numbers import number_in, written
from advplug.threat import ThreatModel


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8 / 255, "8/255"),
        (float(np.float32(8 / 255)), "8/255"),
        (128 / 255, "128/255"),
        (51 / 255, "0.2"),
        (0.031, "0.031"),
        (0.03137, "0.03137"),
        (0.5, "0.5"),
        (8.0, "8"),
        (1 / 3, "85/255"),
        (1 / 7, "0.142857"),
        (0.0, "0"),
        (1234.5678, "1234.57"),
    ],
)
def test_multiples_of_a_pixel_are_fractions(value: float, text: str) -> None:
    assert written(value) == text
    assert number_in(text) == pytest.approx(value, rel=1e-5)


def test_every_level_is_read_back_as_it_was() -> None:
    assert all(number_in(written(level / 255)) == pytest.approx(level / 255, rel=1e-12) for level in range(1, 256))


@pytest.mark.parametrize("text", ["linf:8/255", "l2:128/255", "linf:0.3", "l1:min"])
def test_a_threat_model_says_what_was_written(text: str) -> None:
    assert str(ThreatModel.parse(text)) == text
    assert ThreatModel.parse(str(ThreatModel.parse(text))) == ThreatModel.parse(text)
