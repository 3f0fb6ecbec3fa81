"""What the code of an attack is, so that the row of one that was edited since is not read back.

The code that is loaded counts, and the files that it came from: either may be newer than the other.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_VERSIONED = frozenset({"advplug", "torch", "numpy", "eagerpy"}) | sys.stdlib_module_names
"""Packages whose code is that of their version."""

_BRIDGES = {"advplug.interop.foolbox": "foolbox", "advplug.interop.art": "adversarial-robustness-toolbox"}
_INSTALLED = {"site-packages", "dist-packages"}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
_WRAPPERS = (property, staticmethod, classmethod, cached_property, partial, MethodType)
_FIXED = (*_PLAIN, *_WRAPPERS, tuple, frozenset, type, FunctionType)
_WRAPPED = ("fget", "__func__", "__self__", "func", "args", "keywords")


def digest_of(*parts: object) -> str:
    """Hash of the code outside the core that ``parts`` run, of their own and of what they hold, however deep.

    Tensors and networks that they hold count by their values. Of another library's attack the version counts.
    """
    found = _Code()
    for part in parts:
        found.add(part)
    return found.digest.hexdigest()


class _Code:
    """A walk over objects, their classes, and what the code of these names."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._seen: dict[int, object] = {}  # the objects too, so that their numbers stay theirs
        self._files: set[Path] = set()

    def add(self, value: object) -> None:
        if isinstance(value, _PLAIN):
            self._note(repr(value))
        elif isinstance(value, tuple | frozenset):  # equal ones may be one object or several, as the compiler likes
            self._add_parts(value)
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        if isinstance(value, type):
            self._add_class(value)
        elif isinstance(value, FunctionType):
            self._add_function(value)
        elif isinstance(value, nn.Module):
            for module in value.modules():
                self.add(type(module))
                plain = {name: part for name, part in vars(module).items() if isinstance(part, _PLAIN)}
                self._note(repr(sorted(plain.items() - {("training", True), ("training", False)})))
            for part in value.state_dict().values():
                self.digest.update(content_of(part))
        elif isinstance(value, Tensor | np.ndarray):
            self._note(f"{value.dtype} {tuple(value.shape)}")
            self.digest.update(content_of(value) if isinstance(value, Tensor) else value.tobytes())
        else:
            self._add_parts(value)

    def _add_parts(self, value: Any) -> None:
        if isinstance(value, Mapping):
            parts: Any = (part for pair in value.items() for part in pair)
        elif isinstance(value, list | tuple):
            parts = value
        elif isinstance(value, set | frozenset):
            parts = sorted(map(repr, value))  # strings have another order in each process
        elif isinstance(value, _WRAPPERS):
            parts = (getattr(value, name, None) for name in _WRAPPED)
        else:
            parts = (type(value), getattr(value, "__wrapped__", None), *_state(value))
        for part in parts:
            self.add(part)

    def _add_class(self, kind: type) -> None:
        for base in kind.__mro__:
            for bridge, library in _BRIDGES.items():
                if base.__module__.startswith(bridge):
                    self._note(f"{library} {version_of(library)}")
            if _is_own(base.__module__) and self._add_file(base.__module__):
                self._note(base.__qualname__)
                for name, member in sorted(vars(base).items()):
                    if isinstance(member, FunctionType) or not name.startswith("__"):
                        self._add_named(member, base.__module__)

    def _add_function(self, function: FunctionType) -> None:
        if not (_is_own(function.__module__ or "") and self._add_file(function.__module__ or "")):
            return
        names = list(self._add_code(function.__code__))
        self.add(function.__defaults__)
        self.add(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            self.add(_inside(cell))
        for name in names:
            found = function.__globals__.get(name)
            if not isinstance(found, ModuleType):
                self._add_named(found, function.__module__)
            elif _is_own(found.__name__):  # helpers.project names both
                for part in names:
                    self._add_named(vars(found).get(part), found.__name__)

    def _add_named(self, value: object, module: str) -> None:
        """What code of ``module`` names. A list or dict is as its file says; what it holds by now may be state."""
        if isinstance(value, _FIXED) or _file_of(module) is None:
            self.add(value)

    def _add_code(self, code: CodeType) -> Iterator[str]:
        """The names that it uses."""
        self.digest.update(code.co_code)
        self._note(repr(code.co_names))
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._add_code(constant)
            else:
                self.add(constant)

    def _add_file(self, module: str) -> bool:
        """Whether its code is to be followed: that of a library is its file alone."""
        path = _file_of(module)
        if path is None:
            return True
        if path not in self._files:
            self._files.add(path)
            self.digest.update(path.read_bytes())
        return module.startswith("advplug_") or not _INSTALLED & set(path.parts)

    def _note(self, text: str) -> None:
        self.digest.update(f"{text}\0".encode())


def version_of(distribution: str) -> str:
    """Its version; "" where it is not installed as one."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _is_own(module: str) -> bool:
    return module.partition(".")[0] not in _VERSIONED


def _state(value: Any) -> Iterator[object]:
    """What an instance holds, in the order of the names; nothing of another library's."""
    module = type(value).__module__
    if _is_own(module) or module.partition(".")[0] == "advplug":
        declared = [field.name for field in fields(value)] if is_dataclass(value) else []
        held = {name: getattr(value, name, None) for name in declared} | getattr(value, "__dict__", {})
        yield from (held[name] for name in sorted(held))


def _file_of(module: str) -> Path | None:
    """Where the code of a module stands; None for a notebook."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return Path(path) if path is not None and Path(path).is_file() else None


def _inside(cell: CellType) -> object:
    """What a closure holds; None before it is set."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def content_of(value: object) -> bytes:
    """The values of a tensor, or of what else a state holds, as bytes; other objects give the name of their class."""
    if isinstance(value, tuple | list):  # the weights and biases of a quantised layer
        return b"".join(map(content_of, value))
    if not isinstance(value, Tensor):
        return repr(value if isinstance(value, _PLAIN) else type(value)).encode()
    value = value.dequantize() if value.is_quantized else value.detach().to_dense()
    # NumPy has no bfloat16, a counter no dimension to view as bytes, and an expanded tensor no bytes of its own.
    return value.cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()
