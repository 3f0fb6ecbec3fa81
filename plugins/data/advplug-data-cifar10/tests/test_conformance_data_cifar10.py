"""The contract of data:cifar10, on a file of the user's own, since none ships."""

from pathlib import Path

import numpy as np
import pytest

from advplug.testing import conformance


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test.npz of 60 random images, below ADVPLUG_DATA."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar10"
    folder.mkdir()
    images = rng.integers(256, size=(60, 32, 32, 3), dtype=np.uint8)
    np.savez(folder / "test.npz", x=images, y=np.arange(60) % 10)
    monkeypatch.setenv("ADVPLUG_DATA", str(tmp_path))


test_conformance = conformance("data:cifar10")
