"""The grammar of components as text, without any knowledge of what the words mean.

    sum   = term { "+" term }
    term  = [ number "*" ] ( chain | "(" sum ")" )
    chain = call [ "of" chain ]
    call  = name [ ":" value ] [ "(" key "=" value { "," key "=" value } ")" ]

``name`` is a word such as ``cross-entropy`` or a dotted path; a value is any text with its brackets and quotes closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from advplug.errors import InvalidInput
from advplug.numerics.written_numbers import number_in

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_WEIGHT = re.compile(r"([+-]?[\d.][\w./]*(?:(?<=[eE])[+-]\d+)?)\s*\*")
_VALUE = re.compile(r"[^\s,()+*=]+")
_KEY = re.compile(r"([A-Za-z_]\w*)\s*=\s*")
_OF = re.compile(r"\s+of\s+")
_OPEN, _CLOSED = "([{", ")]}"


@dataclass(frozen=True)
class Call:
    """A word with its settings: ``first`` stands after the colon, ``named`` are in brackets, ``of`` what follows."""

    name: str
    first: str | None = None
    named: tuple[tuple[str, str], ...] = ()
    of: Call | None = None


@dataclass(frozen=True)
class Weighted:
    """Terms with their weights; a weight is None where none is written."""

    terms: tuple[tuple[float | None, Call | Weighted], ...]


def parsed(text: str) -> Weighted:
    """The tree of ``text``.

    Raises
    ------
    InvalidInput: it does not follow the grammar; the message names the place.
    """
    reader = _Reader(text)
    tree = reader.sum()
    reader.end()
    return tree


def split(text: str) -> list[str]:
    """The parts of ``text`` between commas that stand outside brackets and quotes, without empty ones."""
    parts, start = [], 0
    for place in _outside(text, ","):
        parts.append(text[start:place])
        start = place + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def _outside(text: str, stops: str, start: int = 0) -> Iterator[int]:
    """The places of the characters ``stops`` from ``start`` on that stand in no bracket and no quotes.

    Ends at a bracket that closes what was opened before ``start``.
    """
    depth, quote, place = 0, "", start
    while place < len(text):
        sign = text[place]
        if quote:
            if sign == "\\":
                place += 1
            elif sign == quote:
                quote = ""
        elif sign in "'\"":
            quote = sign
        elif depth == 0 and sign in stops:
            yield place
        elif sign in _CLOSED and depth == 0:
            return
        else:
            depth += (sign in _OPEN) - (sign in _CLOSED)
        place += 1


class _Reader:
    """Reads ``text`` from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def sum(self) -> Weighted:
        terms = [self.term()]
        while self.takes("+"):
            terms.append(self.term())
        return Weighted(tuple(terms))

    def term(self) -> tuple[float | None, Call | Weighted]:
        self.blanks()
        match, weight = _WEIGHT.match(self.text, self.place), None
        if match is not None:
            weight = self.number(match[1])
            self.place = match.end()
        if self.takes("("):
            inner = self.sum()
            self.needs(")")
            return weight, inner
        return weight, self.chain()

    def chain(self) -> Call:
        call = self.call()
        match = _OF.match(self.text, self.place)
        if match is None:
            return call
        self.place = match.end()
        return Call(call.name, call.first, call.named, self.chain())

    def call(self) -> Call:
        name, first = self.takes_match(_NAME, "a name"), None
        named: list[tuple[str, str]] = []
        if self.text.startswith(":", self.place):
            self.place += 1
            first = self.takes_match(_VALUE, "a value after the colon")
        if self.text.startswith("(", self.place):
            self.place += 1
            while not self.takes(")"):
                if named:
                    self.needs(",")
                named.append(self.setting())
        return Call(name, first, tuple(named))

    def setting(self) -> tuple[str, str]:
        self.blanks()
        match = _KEY.match(self.text, self.place)
        if match is None:
            self.fail("NAME=VALUE")
        stops = _outside(self.text, ",)", match.end())
        self.place = next(stops, len(self.text))
        value = self.text[match.end() : self.place].strip()
        if not value:
            self.fail(f"a value of {match[1]}")
        return match[1], value

    def number(self, text: str) -> float:
        try:
            return number_in(text)
        except (ValueError, ZeroDivisionError, OverflowError):
            self.fail("a number before *")

    def blanks(self) -> None:
        while self.place < len(self.text) and self.text[self.place].isspace():
            self.place += 1

    def takes(self, sign: str) -> bool:
        """Whether ``sign`` comes next, which is then passed."""
        before = self.place
        self.blanks()
        if self.text.startswith(sign, self.place):
            self.place += len(sign)
            return True
        self.place = before
        return False

    def needs(self, sign: str) -> None:
        if not self.takes(sign):
            self.fail(repr(sign))

    def takes_match(self, pattern: re.Pattern[str], what: str) -> str:
        self.blanks()
        match = pattern.match(self.text, self.place)
        if match is None:
            self.fail(what)
        self.place = match.end()
        return match[0]

    def end(self) -> None:
        self.blanks()
        if self.place < len(self.text):
            self.fail("the end, '+' or ' of '")

    def fail(self, wanted: str) -> NoReturn:
        rest = self.text[self.place :]
        where = f"before {rest[:20]!r}" if rest else "at the end"
        raise InvalidInput(f"{self.text.strip()!r} is not to be read {where}: write {wanted} there")
