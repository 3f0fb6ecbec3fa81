"""What a trace shows of a model: where its scores are, where the gradient is lost, where it draws random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from advplug.records.composition import Place
from advplug.tracing.network import gives_scores
from advplug.tracing.trace import Call, within


def places(calls: Sequence[Call], again: Sequence[Call], scores: Tensor) -> tuple[Place, ...]:
    """The places in ``calls``, in the order of the pass; ``again`` are those of a second pass over the same inputs.

    ``scores`` (n, K) are the model's own.
    """
    found = [*_of_scores(calls, scores), *_of_the_gradient(calls), *_of_whole_numbers(calls), *_of_chance(calls, again)]
    order = {id(call): number for number, call in enumerate(calls)}
    found.sort(key=lambda pair: order[id(pair[0])])
    listed = list(dict.fromkeys(place for _, place in found))
    if bool((scores == scores.round()).all()):
        whole = "the answer is whole numbers, such as votes"
        listed.append(Place(kind="vote", module="", type=calls[-1].kind if calls else "", note=whole))
    return tuple(listed)


def own_modules(calls: Sequence[Call]) -> list[str]:
    """Innermost modules that are not of torch and keep the shape of their input: what a defense puts in between."""
    kept = [
        call
        for call in calls
        if call.name
        and not type(call.module).__module__.startswith("torch.nn")
        and call.before is not None
        and call.before.shape == call.after.shape
    ]
    return list(dict.fromkeys(call.name for call in _innermost(kept)))


def _of_scores(calls: Sequence[Call], scores: Tensor) -> Iterator[tuple[Call, Place]]:
    for call in calls:
        if call.name and gives_scores(call.after, *scores.shape):
            copies = len(call.after) // len(scores)
            note = "gives scores" if copies == 1 else f"gives scores of {copies} copies of each input"
            yield call, Place(kind="scores", module=call.name, type=call.kind, note=note)


def _of_the_gradient(calls: Sequence[Call]) -> Iterator[tuple[Call, Place]]:
    for call in _innermost([call for call in calls if call.loses]):
        if not call.after.requires_grad:
            yield call, Place(kind="disconnected", module=call.name, type=call.kind, note=call.operation)
        elif call.is_constant:
            note = "the gradient is the same for all inputs"
            yield call, Place(kind="constant", module=call.name, type=call.kind, note=note)
        else:
            note = f"the gradient is zero{f', by {call.operation}' if call.operation else ''}"
            yield call, Place(kind="dead", module=call.name, type=call.kind, note=note)
    for call in _innermost([call for call in calls if call.functions and not call.loses]):
        note = f"the function {call.functions[0]} has a backward pass of its own"
        yield call, Place(kind="replaced", module=call.name, type=call.kind, note=note)


def _of_whole_numbers(calls: Sequence[Call]) -> Iterator[tuple[Call, Place]]:
    whole = [call for call in calls if not call.after.is_floating_point() or call.after.is_quantized]
    for call in _innermost(whole):
        note = f"gives {str(call.after.dtype).removeprefix('torch.')}"
        yield call, Place(kind="whole numbers", module=call.name, type=call.kind, note=note)


def _of_chance(calls: Sequence[Call], again: Sequence[Call]) -> Iterator[tuple[Call, Place]]:
    if [call.name for call in calls] != [call.name for call in again]:
        return
    drawing = [call for call, other in zip(calls, again, strict=True) if _differs(call, other)]
    for call in _innermost(drawing):
        note = "equal inputs get different outputs"
        yield call, Place(kind="random", module=call.name, type=call.kind, note=note)


def _differs(one: Call, other: Call) -> bool:
    """Whether a module gave two answers to the same input."""
    if one.before is None or other.before is None or one.before.shape != other.before.shape:
        return False
    same_input = bool((one.before == other.before).all())
    return same_input and (one.after.shape != other.after.shape or bool((one.after != other.after).any()))


def _innermost(calls: Sequence[Call]) -> list[Call]:
    """Those in which no other of them is."""
    return [one for one in calls if not any(within(other.name, one.name) for other in calls)]
