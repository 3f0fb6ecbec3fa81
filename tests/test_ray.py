"""Ray: two nodes on this machine give the bits of one process, also when one of the workers is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advplug import Recipe, ThreatModel, load
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.evaluation import evaluate, model_job
from advplug.evaluation.chain import SLICE
from advplug.evaluation.executors import Inline, Ray
from advplug.records import Job
from advplug.testing.linear import linear_model

ray = pytest.importorskip("ray")

COUNT = 2 * SLICE + 40


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


class Fragile(nn.Module):
    """A linear model that takes its process with it where a file says so, once; where it was asked is on record."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.inner, self.folder = linear_model(3, (1, 4, 4)).float(), folder

    def forward(self, x: Tensor) -> Tensor:
        import os

        if x.requires_grad and len(x) > 16:
            (self.folder / f"pid{os.getpid()}").touch()
            with suppress(FileNotFoundError):  # another worker took it, or none is to die
                (self.folder / "kill").unlink()
                os._exit(1)
        logits: Tensor = self.inner(x)
        return logits


Fragile.__module__ = "__main__"  # pickled by value: a worker cannot import this file


def job_of(folder: Path) -> Job:
    x = torch.rand(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = Fragile(folder)
    recipes = [Recipe(name=name, attack=load(f"attack:{name}")(), role="baseline") for name in ("fgm", "pgd")]
    return model_job("linear", model, Images(x, model(x).argmax(1)), ThreatModel("linf", 0.05), recipes)


def test_two_nodes_give_the_bits_of_one_process(address: str, tmp_path: Path) -> None:
    job = job_of(tmp_path)
    here = evaluate(job, executor=Inline(1))
    (tmp_path / "kill").touch()
    there = evaluate(job, executor=Ray(address, 2))
    assert not (tmp_path / "kill").exists(), "a worker was killed"
    workers = {path.name for path in tmp_path.glob("pid*")} - {f"pid{os.getpid()}"}
    assert len(workers) >= 3, "two, and the one that took the place of the dead"
    for one, other in zip(here.rows, there.rows, strict=True):
        assert {**one.figures(), "seconds": 0} == {**other.figures(), "seconds": 0}
        for name, array in one.arrays.items():
            assert array.tobytes() == other.arrays[name].tobytes(), name
    assert not ray.is_initialized()


def test_no_cluster_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        evaluate(job_of(tmp_path), executor=Ray("127.0.0.1:1"))


def test_ray_that_is_not_installed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from typing import cast

    monkeypatch.setitem(sys.modules, "ray", cast(Any, None))
    with pytest.raises(InvalidInput, match=r"pip install 'advplug\[ray\]'"):
        evaluate(job_of(tmp_path), executor=Ray())
