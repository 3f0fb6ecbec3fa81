"""What a run depended on."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from advplug.plugins.manager import Manager
from advplug.records import Job

LIBRARIES = ("advplug", "torch", "numpy", "eagerpy", "foolbox", "adversarial-robustness-toolbox")
SHOWN = 16  # hexadecimal digits


def describe(job: Job, manager: Manager) -> dict[str, Any]:
    """What somebody needs to run ``job`` again, and to see whether it was run on the same: for the run directory."""
    device = job.images.inputs.device
    found = {
        "command": job.command,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": job.seed,
        "data": job.images.name,
        "weights (sha256)": weights_digest(job.model),
        "batch size": job.batch_size,
        "git revision": _revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "versions": {name: version for name in LIBRARIES if (version := _version(name))},
        "plugins": {
            key: {"distribution": found.distribution, "version": found.version}
            for key in job.plugins
            for found in [manager.provenance(key)]
        },
    }
    return {name: value for name, value in found.items() if value not in ("", None)}


def weights_digest(model: nn.Module) -> str:
    """The first digits of a hash of parameters and buffers, with names and dtypes; "" for a model without any."""
    tensors = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        tensor = (tensor.int_repr() if tensor.is_quantized else tensor.to_dense()).contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:SHOWN] if tensors else ""


def _revision() -> str:
    """The commit of the working directory, with "changed" if tracked files differ from it; "" outside of git."""
    git = shutil.which("git")
    if git is None:
        return ""
    commit = _said(git, "rev-parse", "--short=12", "HEAD")
    changed = commit and _said(git, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}, changed" if changed else commit


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
