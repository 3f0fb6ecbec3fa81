"""What an evaluation leaves in a local store of MLflow, read back with its client."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mlflow")

from advplug_tracker_mlflow import MLflowTracker

from advplug import Images, evaluate, load
from advplug.errors import InvalidInput
from advplug.testing.models import linear_case


def test_an_evaluation_is_a_run_with_parameters_steps_and_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("advplug_attack_pgd")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    case = linear_case(8)
    store = str(tmp_path / "store")
    images = Images(case.inputs, case.labels)
    found = evaluate(
        case.model, images, "linf:0.05", load("attack:pgd")(steps=4), tracker=f"mlflow:{store}", progress=False
    )
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("advplug")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["threat"] == "linf:0.05"
    assert run.data.params["samples"] == "8"
    assert "steps=4" in run.data.params["pgd/attack"]
    assert run.data.metrics["pgd/result/robust_accuracy"] == found.rows[0].robust_accuracy
    assert run.data.metrics["clean accuracy"] == found.clean_accuracy
    loss = client.get_metric_history(run.info.run_id, "pgd/loss")
    assert sorted(point.step for point in loss) == list(range(5))
    assert len(client.get_metric_history(run.info.run_id, "pgd/gradient_norm")) == 4


def test_a_run_that_was_interrupted_is_closed(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    store = str(tmp_path / "store")
    with pytest.raises(RuntimeError, match="stopped"), MLflowTracker(store):
        raise RuntimeError("stopped")
    client = MlflowClient(tracking_uri=store)
    (run,) = client.search_runs([client.get_experiment_by_name("advplug").experiment_id])
    assert run.info.status == "FAILED"


def test_a_store_that_is_none_is_refused_before_the_attack() -> None:
    with pytest.raises(InvalidInput, match="give a folder or the URI of a server"):
        MLflowTracker("nonsense://store").open()
