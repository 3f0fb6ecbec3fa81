"""Numbers as people write them: read from a command line, and written for a table."""

from __future__ import annotations

from fractions import Fraction
from math import isclose

_LEVELS = 255
_LARGEST = 4.0  # beyond it so many fractions lie close together that one would pass for a number that it is not
_SINGLE = 1e-6  # a budget may have passed through single precision
_SHORT = 4  # digits of a decimal that needs no fraction: 51/255 is 0.2


def number_in(text: str) -> float:
    """A float, or a fraction of whole numbers: of 1e99999999 a Fraction would write out all digits.

    Raises
    ------
    ValueError, ZeroDivisionError, OverflowError: it writes none.
    """
    above, slash, below = text.strip().partition("/")
    return float(Fraction(int(above), int(below))) if slash else float(above)


def written(value: float, digits: int = 6) -> str:
    """``value`` to so many digits, or as ``k/255`` where it is that and no short decimal: 8/255, 0.3.

    :func:`number_in` reads both.
    """
    level = round(value * _LEVELS) if 0 < value <= _LARGEST else 0
    short = len(f"{value:.6g}".replace(".", "").lstrip("0")) <= _SHORT
    if level and not short and isclose(value, level / _LEVELS, rel_tol=_SINGLE):
        return f"{level}/{_LEVELS}"
    return f"{value:.{digits}g}"
