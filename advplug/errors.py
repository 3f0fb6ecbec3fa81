"""Errors with a remedy. Everything a user can mend is an :class:`AdvplugError`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

COMPUTING = {"torch", "numpy", "eagerpy", "safetensors", "pydantic", "matplotlib", "jinja2", "PIL"}
"""Top-level modules that the extra ``advplug[torch]`` brings; where one is missing, that is the remedy."""


def near(name: str, known: Iterable[str]) -> str:
    """What ``name`` may have been meant to be among ``known``, in brackets; "" if nothing is close."""
    found = nearest(name, known)
    return f" (did you mean {found}?)" if found else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that takes the fewest slips of the finger to become ``name``; "" if nothing is close.

    Capitals are no slips: PGD is pgd.
    """
    written = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), written, n=5)
    return written.get(min(close, key=lambda match: _slips(name.casefold(), match), default=""), "")


def _slips(typed: str, meant: str) -> int:
    """Letters left out, added or exchanged, and neighbours swapped (optimal string alignment)."""
    before, above = list[int](), list(range(len(meant) + 1))
    for row, letter in enumerate(typed, 1):
        line = [row]
        for column, other in enumerate(meant, 1):
            ways = [above[column] + 1, line[-1] + 1, above[column - 1] + (letter != other)]
            if row > 1 and column > 1 and typed[row - 2 : row] == meant[column - 2 : column][::-1]:
                ways.append(before[column - 2] + 1)
            line.append(min(ways))
        before, above = above, line
    return above[-1]


class AdvplugError(Exception):
    """Base of all errors that advplug raises on purpose; the message names what to change."""


class InvalidInput(AdvplugError, ValueError):
    """Inputs, labels, targets or a threat model that no attack can work on."""


class InvalidSpec(AdvplugError, ValueError):
    """A plugin describes itself wrongly."""


class UnknownPlugin(AdvplugError, LookupError):
    """No installed plugin has that name."""


class BrokenPlugin(AdvplugError):
    """The plugin is installed but could not be loaded."""


class MissingWeights(AdvplugError, FileNotFoundError):
    """A preset has no shipped weights, or the file is not there."""


class CorruptWeights(AdvplugError):
    """A weight file does not fit the model or is damaged."""


class DataUnavailable(AdvplugError):
    """A data set is neither on disk nor can it be fetched."""


class NonFiniteLogits(AdvplugError, ArithmeticError):
    """The model returned NaN or infinite logits: an error state, never a success."""


class NoGradient(AdvplugError):
    """The model cannot be differentiated, and the attack needs its gradient."""


class RobustnessWarning(UserWarning):
    """A figure cannot be trusted: the message says what was seen and which component of the attack to change."""
