"""What an attack has found so far on one slice of the samples: the unit that is computed, sent and stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from advplug.engine.result import AttackResult
from advplug.errors import InvalidInput

FORM = 3
"""Version of the form of the bytes."""

_OF_RANDOM_MODELS = ("tried", "rates")
_NAMES = tuple(
    field.name for field in fields(AttackResult) if field.name not in ("stages", "left_out", *_OF_RANDOM_MODELS)
)
_OWN = ("standing", "passes", "predicted", "smallest")
_PLACED_BY_SAMPLE = 1  # dimension of the samples in a trace (T, n) and in what belongs to each budget (b, n)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The state of a slice between two stages, or between two budgets of a sweep; ``done`` after the last.

    Parameters
    ----------
    start: number of its first sample in the whole set.
    result: of the slice alone.
    standing: float64 (b, n), expected share of draws in which each sample stands, after each budget so far.
    passes: int64 (b, n), forward passes at each of these budgets alone.
    predicted: int64 (n,), the class that the model gives to each adversarial; -1 until the piece is done.
    smallest: float64 (n,), the least length to which each adversarial can be drawn back, inf until it is done.
    seconds: time of computing.
    """

    start: int
    result: AttackResult
    standing: Tensor
    passes: Tensor
    predicted: Tensor
    smallest: Tensor
    seconds: float
    done: bool

    def to(self, device: torch.device) -> Piece:
        """The piece on ``device``."""
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in _tensors(self.result).items()}
        own = {name: getattr(self, name).to(device) for name in _OWN}
        return replace(self, result=replace(self.result, **moved), **own)

    def to_bytes(self) -> bytes:
        """A safetensors file with everything, and a digest of it."""
        tensors = _tensors(self.result) | {name: getattr(self, name) for name in _OWN}
        # Without empty ones, which older versions of safetensors cannot read.
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items() if tensor.numel()}
        facts = {
            "form": FORM,
            "start": self.start,
            "stages": self.result.stages,
            "left_out": self.result.left_out,
            "seconds": self.seconds,
            "done": self.done,
        }
        told = json.dumps({**facts, "digest": _digest(tensors, facts)})
        return bytes(save(tensors, {"piece": told}))  # one entry: several come in any order

    @classmethod
    def from_bytes(cls, content: bytes) -> Piece:
        """The piece that :meth:`to_bytes` wrote.

        Raises
        ------
        InvalidInput: it was damaged or changed, or another version wrote it.
        """
        try:
            tensors, facts = load(content), _facts(content)
            if facts.pop("digest") != _digest(tensors, facts):
                raise ValueError("its digest is another one")
            empty = {"trace": torch.float32, "standing": torch.float64, "passes": torch.int64}
            count = len(tensors["success"])
            tensors |= {name: torch.zeros(0, count, dtype=empty[name]) for name in empty.keys() - tensors.keys()}
            if facts["form"] != FORM:
                raise ValueError(f"it has form {facts['form']}, not {FORM}")
            result = AttackResult(
                **{name: tensors[name] for name in _NAMES},
                tried=tensors.get("tried"),
                rates=tensors.get("rates"),
                stages=tuple(facts["stages"]),
                left_out=tuple(facts["left_out"]),
            )
            own = {name: tensors[name] for name in _OWN}
            return cls(start=facts["start"], result=result, **own, seconds=facts["seconds"], done=facts["done"])
        except Exception as error:  # whatever a parser makes of foreign bytes
            raise InvalidInput(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


def joined(pieces: Sequence[Piece]) -> Piece:
    """Finished pieces of neighbouring slices as one."""
    results = [piece.result for piece in pieces]
    known = _in_order([result.stages for result in results])
    left_out = tuple(dict.fromkeys(name for result in results for name in result.left_out))
    stages = tuple(name for name in known if name not in left_out or _decided(results, name))
    columns = {name: [getattr(result, name) for result in results] for name in _NAMES}
    columns["stage"] = [_renumbered(result, stages) for result in results]
    columns["evaluations"] = [_by_stage(result, stages) for result in results]
    columns["trace"] = _of_one_length(columns["trace"])
    if all(result.tried is not None for result in results):
        columns["tried"] = [result.tried for result in results]
    if all(result.rates is not None for result in results):
        columns["rates"] = [_rates_by_stage(result, stages) for result in results]
    whole = {name: torch.cat(parts, _PLACED_BY_SAMPLE if name == "trace" else 0) for name, parts in columns.items()}
    return Piece(
        start=pieces[0].start,
        result=AttackResult(**whole, stages=stages, left_out=left_out),
        standing=torch.cat([piece.standing for piece in pieces], _PLACED_BY_SAMPLE),
        passes=torch.cat([piece.passes for piece in pieces], _PLACED_BY_SAMPLE),
        predicted=torch.cat([piece.predicted for piece in pieces]),
        smallest=torch.cat([piece.smallest for piece in pieces]),
        seconds=sum(piece.seconds for piece in pieces),
        done=all(piece.done for piece in pieces),
    )


def _in_order(lists: Sequence[Sequence[str]]) -> list[str]:
    """The names of all ``lists``, each of which keeps its order; where some disagree the longest counts."""
    lists = sorted(lists, key=len, reverse=True)
    found, left = [], dict.fromkeys(name for names in lists for name in names)
    while left:
        waiting = {later for names in lists for later in [name for name in names if name in left][1:]}
        name = next((name for name in left if name not in waiting), next(iter(left)))
        found.append(name)
        del left[name]
    return found


def _tensors(result: AttackResult) -> dict[str, Tensor]:
    """The tensors of a result that it has."""
    found = {name: getattr(result, name) for name in (*_NAMES, *_OF_RANDOM_MODELS)}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _decided(results: Sequence[AttackResult], name: str) -> bool:
    """Whether a stage broke a sample somewhere."""
    return any(bool((result.stage == result.stages.index(name)).any()) for result in results if name in result.stages)


def _renumbered(result: AttackResult, stages: tuple[str, ...]) -> Tensor:
    """The number in ``stages`` of the stage that broke each sample, int64 (n,)."""
    numbers = [stages.index(name) if name in stages else -1 for name in result.stages]
    table = torch.tensor([*numbers, -1], device=result.stage.device)  # the last stands for "none", which is -1
    return table[result.stage]


def _by_stage(result: AttackResult, stages: tuple[str, ...]) -> Tensor:
    """The evaluations of each of ``stages``, int64 (n, stages, restarts + 1); zeros where others took some between."""
    if not stages:
        return result.evaluations
    found = result.evaluations.new_zeros(len(result.success), len(stages), result.evaluations.shape[2])
    if set(result.stages) <= set(stages):
        found[:, [stages.index(name) for name in result.stages]] = result.evaluations
    return found


def _rates_by_stage(result: AttackResult, stages: tuple[str, ...]) -> Tensor:
    """The success rate after each of ``stages``, float32 (n, stages); unchanged by those that others took between."""
    assert result.rates is not None
    found, rate = [], torch.zeros_like(result.success_rate)
    for name in stages:
        if name in result.stages:
            rate = result.rates[:, result.stages.index(name)]
        found.append(rate)
    return torch.stack(found, 1)


def _of_one_length(traces: Sequence[Tensor]) -> list[Tensor]:
    """Traces (T, n), filled up with NaN where a slice ended before the others."""
    length = max(len(trace) for trace in traces)
    return [torch.cat((trace, trace.new_full((length - len(trace), trace.shape[1]), torch.nan))) for trace in traces]


def _facts(content: bytes) -> dict[str, Any]:
    """What a file of a piece says beside its tensors."""
    length = int.from_bytes(content[:8], "little")
    facts: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["piece"])
    return facts


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name].contiguous().numpy()
        found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()
