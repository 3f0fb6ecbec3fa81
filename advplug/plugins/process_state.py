"""What an import must not change: torch's switches, random numbers, threads. Imports neither torch nor numpy itself."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_UNKNOWN = object()
_OWN_WORD = 0x80000000  # first word of the state that NumPy draws for itself; the user's seed would stand there plain
_OWN_SEED = 1 << 32  # torch draws 64 bits for itself: what lies below is somebody's choice


_WORDS = 2000  # most numbers that an import may take of Python's generator without being named


@dataclass(frozen=True)
class Setting:
    """One thing that a process has once; ``first`` is its value where the library has just been imported."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    first: Any = _UNKNOWN
    harmless: Callable[[Any, Any], bool] = lambda before, after: False  # put back, but not worth a word


@contextmanager
def kept() -> Iterator[list[str]]:
    """Put back what the block changes, and name it in the list afterwards.

    A library that the block itself brings in is compared with how it stands right after its import.
    """
    known = _loaded()
    before = {setting.name: setting.read() for setting in _settings(known)}
    changed: list[str] = []
    try:
        yield changed
    finally:
        for setting in _settings(known):
            value, now = before.get(setting.name, setting.first), setting.read()
            if value is not _UNKNOWN and now != value:
                setting.write(value)
                if not setting.harmless(value, now):
                    changed.append(setting.name)


def _loaded() -> frozenset[str]:
    return frozenset(name for name in ("numpy.random", "torch") if sys.modules.get(name) is not None)


def _settings(known: Set[str]) -> Iterator[Setting]:
    """Those of Python, and of the libraries that are there; ``known`` are the ones that were there before."""
    yield Setting("Python's random state", random.getstate, random.setstate, harmless=_only_drawn)
    loaded = _loaded()
    if "numpy.random" in loaded:
        yield _of_numpy(sys.modules["numpy.random"], new="numpy.random" not in known)
    if "torch" in loaded:
        yield from _of_torch(sys.modules["torch"], new="torch" not in known)


def _only_drawn(before: Any, after: Any) -> bool:
    """Whether a generator of Python's took a few numbers, as libraries do for names, and was not seeded."""
    twin = random.Random()
    twin.setstate(before)
    for _ in range(_WORDS):
        if twin.getstate()[1][:-1] == after[1][:-1]:  # the last one is the place among the others
            return True
        twin.getrandbits(32)
    return False


def _of_numpy(generator: Any, *, new: bool) -> Setting:
    def state() -> Any:
        found = generator.get_state(legacy=False)
        return found | {"state": {"key": found["state"]["key"].tolist(), "pos": found["state"]["pos"]}}

    name = "NumPy's random state"
    if new:  # nobody knows what it was, only that it was drawn
        return Setting(name, lambda: generator.get_state()[1][0] != _OWN_WORD, lambda _: generator.seed(), False)
    return Setting(name, state, generator.set_state)


def _of_torch(torch: Any, *, new: bool) -> Iterator[Setting]:
    cudnn = torch.backends.cudnn
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, True)
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    yield Setting(
        "torch's default device",
        lambda: str(torch.get_default_device()),
        lambda device: torch.set_default_device(None if device == "cpu" else device),  # "cpu" would slow every call
        "cpu",
    )
    yield Setting(
        "torch's deterministic algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1]),
        (False, False),
    )
    for flag in ("benchmark", "deterministic"):
        yield Setting(f"torch's cudnn.{flag}", _reader(cudnn, flag), _writer(cudnn, flag), False)
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield from _random_states(torch, new=new)


def _random_states(torch: Any, *, new: bool) -> Iterator[Setting]:
    name = "torch's random state"
    if new:
        yield Setting(name, lambda: torch.initial_seed() < _OWN_SEED, lambda _: torch.seed(), False)
        return
    yield Setting(name, lambda: torch.get_rng_state().tolist(), lambda state: torch.set_rng_state(_bytes(torch, state)))
    for device in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        yield Setting(f"{name} on cuda:{device}", _cuda_reader(torch, device), _cuda_writer(torch, device))


def _reader(holder: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(holder, name)


def _writer(holder: Any, name: str) -> Callable[[Any], Any]:
    return lambda value: setattr(holder, name, value)


def _cuda_reader(torch: Any, device: int) -> Callable[[], Any]:
    return lambda: torch.cuda.get_rng_state(device).tolist()


def _cuda_writer(torch: Any, device: int) -> Callable[[Any], Any]:
    return lambda state: torch.cuda.set_rng_state(_bytes(torch, state), device)


def _bytes(torch: Any, values: list[int]) -> Any:
    return torch.tensor(values, dtype=torch.uint8, device="cpu")
