"""One run of an MLflow experiment for each evaluation: parameters, steps, results."""

from __future__ import annotations

import math
import os
import re
import time
from typing import Any

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from advplug.errors import InvalidInput
from advplug.records import Evaluation, Row
from advplug.tracking import Step, Tracker

EXPERIMENT = "advplug"
AT_ONCE = 500
"""Metrics in one request, of which a store takes at most 1000."""

LONGEST = 500
"""Characters of a parameter that every store takes."""


class MLflowTracker(Tracker):
    """Logs into the experiment ``advplug``; steps are sent in batches.

    Parameters
    ----------
    target: a folder, or a tracking URI such as ``http://host:5000`` or ``sqlite:///mlflow.db``; empty for what MLflow's
        environment variables say.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self._client: Any = None
        self._run = ""
        self._finished = False
        self._waiting: list[Metric] = []

    def open(self) -> None:
        """Make a run.

        Raises
        ------
        InvalidInput: the store cannot be reached.
        """
        if self._client is not None:
            return
        if self.target and ":" not in self.target:  # MLflow 3 asks whether a folder is really meant, and it is
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            client = MlflowClient(tracking_uri=self.target or None)
            found = client.get_experiment_by_name(EXPERIMENT)
            experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
            self._run = client.create_run(experiment).info.run_id
        except (MlflowException, OSError, ImportError) as error:
            why = " ".join(str(error).split()).partition(". ")[0]
            remedy = "give a folder or the URI of a server; a database needs the package mlflow"
            raise InvalidInput(f"mlflow:{self.target} cannot be used ({why}): {remedy}") from error
        self._client = client

    def step(self, step: Step) -> None:
        self.open()
        for name, value in step.summary().items():
            self._add(f"{step.attack}/{name}", value, step.number)
        if len(self._waiting) >= AT_ONCE:
            self._send()

    def finish(self, evaluation: Evaluation) -> None:
        self.open()
        facts: dict[str, Any] = {"model": evaluation.case, "preset": evaluation.preset, "threat": evaluation.threat}
        facts |= {"samples": evaluation.samples, "seed": evaluation.environment.get("seed")}
        for row in evaluation.rows:
            facts |= {f"{row.name}/{name}": text for name, text in row.components.items()}
        params = [Param(_name(name), str(value)[:LONGEST]) for name, value in facts.items() if value is not None]
        self._add("clean accuracy", evaluation.clean_accuracy, 0)
        for row in evaluation.rows:
            self._add_results(row)
        self._send()
        self._client.log_batch(self._run, params=params)
        self._finished = True

    def close(self) -> None:
        if self._client is not None:
            self._send()
            self._client.set_terminated(self._run, status="FINISHED" if self._finished else "FAILED")
            self._client = None

    def _add_results(self, row: Row) -> None:
        for name in ("robust_accuracy", "queries", "gradients", "seconds", "median_distance"):
            value = getattr(row, name)
            if value is not None:
                self._add(f"{row.name}/result/{name}", value, 0)

    def _add(self, name: str, value: float, step: int) -> None:
        if math.isfinite(value):  # not every store takes others
            self._waiting.append(Metric(_name(name), value, int(1000 * time.time()), step))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), AT_ONCE):
            self._client.log_batch(self._run, metrics=waiting[first : first + AT_ONCE])


def _name(text: str) -> str:
    """``text`` with the characters alone that MLflow allows in names."""
    return re.sub(r"[^\w\-. /]", "-", text).strip("/ ")
