"""What all attacks of an evaluation found on each sample, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PerSample:
    """The best that any attack found on each of N samples.

    Parameters
    ----------
    left: float64 (N,), share of draws that stay right under the strongest attack on the sample; 0 or 1 unless random.
    best: int64 (N,), which attack found the adversarial that is kept, -1 for none.
    distance: float64 (N,), its distance; NaN where there is none.
    adversarials: like the inputs; the clean input where there is none.
    predicted: int64 (N,), the class that the model gives to it, to the clean input where there is none.
    forwards, backwards: int64 (N,), passes of all attacks together.
    """

    left: NDArray[np.float64]
    best: NDArray[np.int64]
    distance: NDArray[np.float64]
    adversarials: NDArray[Any]
    predicted: NDArray[np.int64]
    forwards: NDArray[np.int64]
    backwards: NDArray[np.int64]


def merged(attacks: Sequence[Arrays]) -> PerSample:
    """The best of ``attacks``, each with per-sample records (N, ...): the most certain success, then the nearest."""
    shares = np.stack([left_by(arrays) for arrays in attacks])
    success = np.stack([np.asarray(arrays["success"], bool) for arrays in attacks])
    distance = np.stack([_of(arrays, "distance", np.nan) for arrays in attacks]).astype(np.float64)
    # lexsort takes the last key first: a success before none, then the share of draws, then the distance
    order = np.lexsort((np.nan_to_num(distance, nan=np.inf), shares, ~success), axis=0)[0]
    samples = np.arange(len(order))
    broken = success[order, samples]
    first = np.where(broken, order, 0)
    return PerSample(
        left=shares.min(axis=0),
        best=np.where(broken, order, -1).astype(np.int64),
        distance=np.where(broken, distance[order, samples], np.nan),
        adversarials=_chosen([np.asarray(arrays["adversarials"]) for arrays in attacks], first),
        predicted=_chosen([_of(arrays, "predicted", -1) for arrays in attacks], first).astype(np.int64),
        forwards=np.sum([_of(arrays, "forwards", 0) for arrays in attacks], axis=0).astype(np.int64),
        backwards=np.sum([_of(arrays, "backwards", 0) for arrays in attacks], axis=0).astype(np.int64),
    )


def _chosen(stacked: Sequence[NDArray[Any]], which: NDArray[np.int64]) -> NDArray[Any]:
    """Row n of the array number ``which[n]``; an unbroken sample is its clean input in each of them."""
    found = stacked[0].copy()
    for number, array in enumerate(stacked):
        found[which == number] = array[which == number]
    return found


def left_by(arrays: Arrays) -> NDArray[np.float64]:
    """What one attack leaves of each sample, (N,) in [0, 1]: the share of draws that are right; needs ``success``."""
    success = np.asarray(arrays["success"], np.float64)
    rate = np.asarray(arrays.get("success_rate", success), np.float64)
    return np.asarray(_of(arrays, "correct", 1) * (1 - rate), np.float64)


def _of(arrays: Arrays, name: str, missing: float) -> NDArray[Any]:
    """A record of each sample, ``missing`` where an earlier version kept none."""
    return np.asarray(arrays[name]) if name in arrays else np.full(len(arrays["success"]), missing)
