"""What a run depended on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import torch

from advplug.plugins.manager import Manager

LIBRARIES = ("advplug", "torch", "numpy", "eagerpy", "foolbox", "adversarial-robustness-toolbox")


def describe(manager: Manager, plugins: Iterable[str], device: torch.device) -> dict[str, Any]:
    """Versions, plugin provenance and device, for the run directory."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "versions": {name: version for name in LIBRARIES if (version := _version(name))},
        "plugins": {
            key: {"distribution": found.distribution, "version": found.version}
            for key in plugins
            for found in [manager.provenance(key)]
        },
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
