"""Every step of an attack in TensorBoard, as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import TrackerSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_tracker_tensorboard._tracker import TensorBoardTracker

__all__ = ["TensorBoardTracker", "advplug_trackers"]

__getattr__ = lazily(__name__, {"TensorBoardTracker": "._tracker"})


@hookimpl
def advplug_trackers() -> list[TrackerSpec]:
    """Name the tracker; its library is imported at the first step."""
    return [
        TrackerSpec(
            name="tensorboard",
            factory="advplug_tracker_tensorboard._tracker:TensorBoardTracker",
            summary="Loss, margin, distance and gradient norm of every step as curves and histograms in TensorBoard",
            reference="TensorBoard, www.tensorflow.org/tensorboard, event files by tensorboardX 2",
            tags=frozenset({"steps", "results"}),
        )
    ]
