"""Values of parameters as text: a loss, an estimator, a function, a file of numbers, or a Python literal."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.gradients import GradientEstimator
from advplug.losses import Loss
from advplug.numerics.written_numbers import number_in

FUNCTION: Any = get_origin(Callable[[], Any])
"""Stands for the type of parameters that take a function."""

_CONSTANTS = {"true": True, "false": False, "none": None}


def hints_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters of a class or function, as far as they are to be had."""
    try:
        return get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except Exception:  # a type that is imported for type checkers alone; what the user's own annotations may do
        return {}


def kind_in(hint: Any) -> Any:
    """Which of Loss, GradientEstimator, Tensor, str and ``FUNCTION`` a parameter takes; None for anything else."""
    plain = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if get_origin(plain) is FUNCTION:
        return FUNCTION
    kinds = (Loss, GradientEstimator, Tensor, str)
    return next((kind for kind in kinds if inspect.isclass(plain) and issubclass(plain, kind)), None)


def literal(text: str) -> Any:
    """A Python literal, ``true``, ``false`` or ``none`` in any case, a fraction, or else the text itself."""
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for read in (ast.literal_eval, number_in):
        try:
            return read(text)
        except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
            continue
    return text


def unquoted(text: str) -> str:
    """``text`` without the quotes around it, if it has some."""
    if text[:1] in ("'", '"'):
        value = literal(text)
        return value if isinstance(value, str) else text
    return text


def tensor_in(text: str) -> Tensor:
    """The floating-point array of an .npy file, or the only one of an .npz, .safetensors or .pt file.

    Raises
    ------
    InvalidInput: no such file, damaged, several arrays, or numbers that are not finite.
    """
    path = Path(unquoted(text))
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file: name an .npy, .npz, .safetensors or .pt file of one array")
    try:
        found = _arrays(path)
    except Exception as error:  # whatever the parsers make of foreign bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InvalidInput(f"{path}: damaged, or no file of plain arrays ({reason})") from error
    value = next(iter(found.values()), None)
    if len(found) != 1 or not isinstance(value, Tensor):
        raise InvalidInput(f"{path}: it holds {', '.join(map(str, found)) or 'nothing'}: give a file of one array")
    if value.is_complex() or not bool(value.isfinite().all()):
        raise InvalidInput(f"{path}: it holds NaN, infinite or complex values: clean the data")
    return value if value.is_floating_point() else value.float()


def _arrays(path: Path) -> dict[Any, Any]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive}
    if path.suffix == ".npy":
        return {"array": torch.from_numpy(np.load(path, allow_pickle=False))}
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return loaded if isinstance(loaded, dict) else {"array": loaded}
