"""References that losses hold, with a row for each sample or for each class."""

from __future__ import annotations

import eagerpy as ep
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.numerics.tensors import raw, wrap


def rows_at(references: Tensor, places: Tensor, total: int) -> Tensor:
    """Those of ``references`` at ``places`` if each of ``total`` samples has one; all if each place has one.

    Raises
    ------
    InvalidInput: neither is so.
    """
    if len(references) == total:
        return references[places.to(references.device)]
    if len(references) == len(places):
        return references
    raise InvalidInput(
        f"references have {len(references)} rows, the data has {total} samples of which {len(places)} are attacked: "
        "give one row for each"
    )


def squared_distance(values: ep.Tensor, references: Tensor, rows: ep.Tensor) -> ep.Tensor:
    """``||v - r||_2^2`` of each of ``values`` (n, ...) and the reference in its one of ``rows``, int64 (n,); (n,).

    Raises
    ------
    InvalidInput: the two have other shapes.
    """
    wanted = references.to(raw(values))[raw(rows)]
    if wanted.shape != values.shape:
        raise InvalidInput(f"references give {tuple(wanted.shape)} where the model gives {tuple(values.shape)}")
    return wrap(torch.flatten(raw(values) - wanted, 1).square().sum(1))
