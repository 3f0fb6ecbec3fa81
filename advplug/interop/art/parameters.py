"""What ART's users write for norms, budgets, masks, starting points and labels, read as ours."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.interop.arrays import numbers, tensor_of
from advplug.threat import Norm

_BY_NUMBER: dict[float, Norm] = {math.inf: "linf", 2.0: "l2", 1.0: "l1", 0.0: "l0"}
_BY_TEXT: dict[str, Norm] = {"inf": "linf", "2": "l2", "1": "l1", **{norm: norm for norm in get_args(Norm)}}
_STARTS = ("x_adv_init", "x_init", "starting_points")
"""What ART's attacks call their starting points."""


class Budget(NamedTuple):
    """``values`` for the threat model: a number, None, or an array for single values; ``per_sample`` (N,) or None."""

    values: Any
    per_sample: Tensor | None = None


def norm_named(norm: Any) -> Norm:
    """The norm that ART writes as ``np.inf``, ``"inf"``, 2, 1 or 0, or by our names.

    Raises
    ------
    InvalidInput: none of these.
    """
    found = None
    if isinstance(norm, str):
        found = _BY_TEXT.get(norm)
    elif isinstance(norm, Real) and not isinstance(norm, bool | np.bool_):
        found = _BY_NUMBER.get(cast(float, norm))
    if found is None:
        raise InvalidInput(f"norm is {norm!r}: give np.inf, 2, 1 or 0, or one of {', '.join(get_args(Norm))}")
    return found


def check_eps(eps: Any) -> None:
    """Raise InvalidInput unless ``eps`` is a budget: a number, an array of numbers, or None for the smallest."""
    if eps is None:
        return
    array = isinstance(eps, np.ndarray | Tensor)
    if not array and (not isinstance(eps, Real) or isinstance(eps, bool | np.bool_)):
        raise InvalidInput(
            f"eps is {eps!r}: give a number >= 0, an array of such, or None for the smallest perturbation"
        )
    values = _numbers("eps", eps)
    if not values.size or not bool((np.isfinite(values) & (values >= 0)).all()):
        given = f"an array of shape {values.shape}" if array else repr(eps)
        raise InvalidInput(f"eps is {given}: give finite numbers >= 0, or None for the smallest perturbation")


def budget(eps: Any, shape: tuple[int, ...], norm: Norm) -> Budget:
    """``eps`` for inputs of ``shape`` (N, ...), as ART broadcasts it; a vector (N,) that does not fit is one for each.

    Raises
    ------
    InvalidInput: it does not fit, or names budgets of single values under another norm than linf.
    """
    if eps is None or np.ndim(eps) == 0:
        return Budget(None if eps is None else float(eps))
    values, count = _numbers("eps", eps), shape[0]
    fits = _broadcasts(values, shape)
    if values.shape == (count, *(1,) * (len(shape) - 1)) or (values.shape == (count,) and not fits):
        return Budget(float(values.max()), torch.from_numpy(values.reshape(-1)))
    if not fits:
        raise InvalidInput(
            f"eps has shape {values.shape}: give ({count},) or one that broadcasts to the inputs {shape}"
        )
    if norm != "linf":
        raise InvalidInput(
            f"eps has shape {values.shape}: under {norm} give one number for each input, "
            f"shape ({count}{', 1' * (len(shape) - 1)})"
        )
    return Budget(values)


def mask_of(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """``mask``, zero where nothing may change, for inputs of ``shape`` (N, ...).

    Raises
    ------
    InvalidInput: it does not broadcast to them, or holds weights.
    """
    if mask is None:
        return None
    values = _numbers("mask", mask)
    if not _broadcasts(values, shape):
        raise InvalidInput(f"mask has shape {values.shape}: give one that broadcasts to the inputs {shape}")
    if not np.isin(values, (0, 1)).all():
        raise InvalidInput("mask holds weights, numbers other than 0 and 1: give 1 where a value may change, else 0")
    return values.astype(bool)


def starting_points(options: Mapping[str, Any], inputs: Tensor) -> Tensor | None:
    """What ``options`` holds under ART's names for starting points, on the device and in the dtype of ``inputs``.

    Raises
    ------
    InvalidInput: several of them, or no array of numbers.
    """
    given = {name: options[name] for name in _STARTS if options.get(name) is not None}
    if len(given) > 1:
        raise InvalidInput(f"generate was given {', '.join(given)}: they mean the same, give one of them")
    return next((tensor_of(name, points).to(inputs) for name, points in given.items()), None)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise InvalidInput for keywords of ``generate`` that none of ours knows."""
    unknown = sorted(name for name, value in options.items() if value is not None and name not in {"mask", *_STARTS})
    if unknown:
        raise InvalidInput(f"generate does not take {', '.join(unknown)}: give mask or {_STARTS[0]}, or leave it out")


def inputs_of(x: Any) -> Tensor:
    """``x`` (N, ...) as a tensor; whole numbers, bool and half precision become float32, as ART's attacks cast them."""
    inputs = tensor_of("x", x).detach()
    return inputs if inputs.dtype in (torch.float32, torch.float64) else inputs.float()


def classes_of(y: Any, widths: Collection[int]) -> Tensor:
    """Class numbers int64 (N,) from numbers (N,) or (N, 1), or from one-hot or soft rows (N, K), K one of ``widths``.

    Raises
    ------
    InvalidInput: rows of another width, without a single largest value, or what is no class number.
    """
    classes = tensor_of("y", y)
    if classes.ndim > 2 or not bool(classes.isfinite().all()):
        raise InvalidInput(f"y has shape {tuple(classes.shape)} or holds NaN: pass class numbers (N,) or rows (N, K)")
    if classes.ndim == 2 and classes.shape[1] > 1:
        return _largest(classes.double(), widths)
    if classes.is_floating_point() and bool((classes != classes.round()).any()):
        raise InvalidInput("y holds fractions: pass class numbers or one-hot rows")
    return classes.reshape(-1).long()


def _largest(rows: Tensor, widths: Collection[int]) -> Tensor:
    if rows.shape[1] not in widths:
        raise InvalidInput(f"y has rows of {rows.shape[1]} values: give one for each of the {min(widths)} classes")
    tied = (rows == rows.amax(1, keepdim=True)).sum(1) > 1
    if bool(tied.any()):
        raise InvalidInput(f"y[{int(tied.nonzero()[0])}] has no single largest value: give it 1 at its class, else 0")
    return rows.argmax(1)


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    return numbers(name, values).astype(np.float64)


def _broadcasts(values: NDArray[Any], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(values.shape, shape) == shape
    except ValueError:
        return False
