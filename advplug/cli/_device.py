"""The device that a command may compute on."""

from __future__ import annotations

from advplug.errors import InvalidInput


def usable_device(name: str) -> str:
    """Refuse a device that torch does not know or this machine lacks."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]  # of a page on each backend
        raise InvalidInput(f"--device {name}: {why}") from error
    return name
