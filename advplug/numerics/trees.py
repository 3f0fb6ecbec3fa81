"""Rows of all tensors in a state at once: states are tuples, lists, dicts and dataclasses of tensors, nested."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import eagerpy as ep
import torch
from torch import Tensor

from advplug.numerics.tensors import raw, wrap


def take(tree: Any, rows: Tensor) -> Any:
    """Keep the given rows of every tensor in ``tree``: tensors, tuples, lists, dicts and dataclasses, nested."""
    if isinstance(tree, ep.Tensor):
        return wrap(raw(tree)[rows])
    if isinstance(tree, Tensor):
        return tree[rows]
    if is_dataclass(tree):
        return replace(tree, **{field.name: take(getattr(tree, field.name), rows) for field in fields(tree)})  # type: ignore[type-var]
    if isinstance(tree, dict):
        return {key: take(value, rows) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [take(value, rows) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def choose(mask: Tensor, one: Any, other: Any) -> Any:
    """The rows of ``one`` where ``mask``, bool (n,), holds, else those of ``other``, in trees as of :func:`take`.

    What is no tensor is common to all rows and comes from ``other``.
    """
    if isinstance(other, ep.Tensor):
        return wrap(choose(mask, raw(one), raw(other)))
    if isinstance(other, Tensor):
        return torch.where(mask.view(-1, *(1,) * (other.ndim - 1)), one, other)
    if is_dataclass(other):
        names = [field.name for field in fields(other)]
        return replace(other, **{name: choose(mask, getattr(one, name), getattr(other, name)) for name in names})  # type: ignore[type-var]
    if isinstance(other, dict):
        return {key: choose(mask, one[key], value) for key, value in other.items()}
    if isinstance(other, tuple | list):
        parts = [choose(mask, *pair) for pair in zip(one, other, strict=True)]
        return type(other)(*parts) if hasattr(other, "_fields") else type(other)(parts)
    return other
