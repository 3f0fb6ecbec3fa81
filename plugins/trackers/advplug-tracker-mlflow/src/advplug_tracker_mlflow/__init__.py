"""Every step of an attack in MLflow, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import TrackerSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_tracker_mlflow._tracker import MLflowTracker

__all__ = ["MLflowTracker", "advplug_trackers"]

__getattr__ = lazily(__name__, {"MLflowTracker": "._tracker"})


@hookimpl
def advplug_trackers() -> list[TrackerSpec]:
    """Name the tracker; its library is imported at the first step."""
    return [
        TrackerSpec(
            name="mlflow",
            factory="advplug_tracker_mlflow._tracker:MLflowTracker",
            summary="Loss, margin, distance and gradient norm of every step, parameters and results in MLflow",
            reference="MLflow tracking, mlflow.org, experiments and runs",
            tags=frozenset({"steps", "results"}),
        )
    ]
