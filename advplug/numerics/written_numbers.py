"""Numbers as people write them on a command line."""

from __future__ import annotations

from fractions import Fraction


def number_in(text: str) -> float:
    """A float, or a fraction of whole numbers: of 1e99999999 a Fraction would write out all digits.

    Raises
    ------
    ValueError, ZeroDivisionError, OverflowError: it writes none.
    """
    above, slash, below = text.strip().partition("/")
    return float(Fraction(int(above), int(below))) if slash else float(above)
