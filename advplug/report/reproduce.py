"""What somebody else needs to get the same figures: the command, the seed, versions and hashes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advplug.evaluation.environment import SHOWN
from advplug.records.evaluation import Evaluation


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Pairs of name and value: the command if one was given, the environment, versions, plugins, hashes."""
    environment = dict(evaluation.environment)
    versions, plugins = environment.pop("versions", {}), environment.pop("plugins", {})
    command = environment.pop("command", None)
    found = [("command", str(command))] if command else []
    found += [(str(name), str(value)) for name, value in environment.items()]
    found += [(str(name), str(version)) for name, version in versions.items()]
    found += [
        (str(key), f"{source.get('distribution', '')} {source.get('version', '')}".strip())
        for key, source in plugins.items()
    ]
    return found + list(hashes(evaluation).items())


def hashes(evaluation: Evaluation) -> dict[str, str]:
    """What was attacked and what came out, by name: equal hashes are equal bits."""
    found = {}
    if len(evaluation.inputs):
        found["inputs and labels (sha256)"] = digest(evaluation.inputs, evaluation.labels)
    for number, row in enumerate(evaluation.rows, 1):
        if "adversarials" in row.arrays:
            found[f"adversarials of attack {number}, {row.name} (sha256)"] = digest(row.arrays["adversarials"])
    return found


def digest(*arrays: NDArray[Any]) -> str:
    """The first digits of a hash of the contents, with shapes and dtypes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:SHOWN]
