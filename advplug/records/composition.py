"""What a search for an adaptive attack saw, tried and found; ``search.json`` of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from advplug.errors import InvalidInput

FORMAT = 1

PlaceKind = Literal[
    "scores", "dead", "constant", "replaced", "disconnected", "random", "whole numbers", "vote", "opaque", "saturated",
    "rejects", "batch", "cost",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """The choices of one adaptive attack, as the command line spells them.

    Parameters
    ----------
    attack: name of the plugin.
    settings: its parameters that differ from their defaults.
    loss: as ``--losses`` reads it; None for the attack's own.
    gradient: as ``--gradients`` reads it.
    targets: None, ``"each"``, or how many of the likeliest other classes.
    restarts: independent runs.
    """

    attack: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    loss: str | None = None
    gradient: str = "exact"
    targets: str | None = None
    restarts: int = 1

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        goal = {None: "any other class", "each": "each other class"}.get(
            self.targets, f"{self.targets} likeliest classes"
        )
        attack = f"{self.attack}({settings})" if settings else self.attack
        return f"{attack} on {self.loss or 'its own loss'}, gradient {self.gradient}, towards {goal}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Something that the trace of a forward pass found in one module.

    ``module`` is its name in the model ("" for the model itself), ``type`` its class, ``note`` one short sentence.
    """

    kind: PlaceKind
    module: str
    type: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One sentence on some of the samples.

    Parameters
    ----------
    number: from 0 in the order in which they were asked for.
    part: for which sentence of the sequence, 1 to 3.
    samples: on how many samples it was tried.
    broken: share of them that it broke.
    margin: mean margin that it left on them as a share of the one before, 0 to 1, for ties; lower is better.
    queries: forward and backward passes for each of them.
    seconds: of the clock.
    kept: whether it was tried on more samples afterwards, or won.
    reason: why it could not run, "" if it did.
    backwards: how many of its queries were backward passes.
    """

    number: int
    part: int
    sentence: Sentence
    samples: int
    broken: float
    margin: float
    queries: float
    seconds: float
    kept: bool
    reason: str = ""
    backwards: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Left:
    """Share of a group of samples that stays right: without an attack, after ``standard``, after the whole sequence."""

    samples: int
    clean: float
    standard: float
    search: float


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A whole search.

    Parameters
    ----------
    model, data, threat: as named on the command line.
    places: what the trace found, in the order of the forward pass.
    trials: all of them.
    sentences: the sequence that was chosen, at most three; empty where nothing was better than ``standard``.
    chosen_on, held_out, together: what is left of the half that the sentences were chosen on, of the other, of both.
    queries, standard_queries: passes per sample of the whole search and of ``standard``.
    seconds, standard_seconds: of the clock.
    remark: what the reader must know besides, such as why there is no sentence.
    options: further options of ``advplug evaluate`` that the search was given, such as bounds and limit.
    """

    model: str
    data: str
    threat: str
    seed: int
    places: tuple[Place, ...]
    trials: tuple[Trial, ...]
    sentences: tuple[Sentence, ...]
    chosen_on: Left
    held_out: Left
    together: Left
    queries: float
    standard_queries: float
    seconds: float
    standard_seconds: float
    remark: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Composition:
        """The search that :meth:`to_json` wrote.

        Raises
        ------
        InvalidInput: it is of another version.
        """
        if document.get("format") != FORMAT:
            raise InvalidInput("search.json is of another version of advplug: search again")
        values = {name: value for name, value in document.items() if name != "format"}
        values["places"] = tuple(Place(**place) for place in values["places"])
        values["trials"] = tuple(_trial(trial) for trial in values["trials"])
        values["sentences"] = tuple(Sentence(**sentence) for sentence in values["sentences"])
        for group in ("chosen_on", "held_out", "together"):
            values[group] = Left(**values[group])
        return cls(**values)


def _trial(document: Mapping[str, Any]) -> Trial:
    return Trial(**{**document, "sentence": Sentence(**document["sentence"])})
