"""The break of recovery by a sparse Fourier transform as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AdaptiveSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.evaluation import Evaluation
    from advplug.report import Section
    from advplug_adaptive_sparse_fourier._adaptive import BreakSparseFourier

__all__ = ["BreakSparseFourier", "advplug_adaptive", "advplug_report_sections"]

__getattr__ = lazily(__name__, {"BreakSparseFourier": "._adaptive"})


@hookimpl
def advplug_adaptive() -> list[AdaptiveSpec]:
    """Name the case; torch is imported when it is loaded."""
    return [
        AdaptiveSpec(
            name="sparse-fourier",
            factory="advplug_adaptive_sparse_fourier._adaptive:BreakSparseFourier",
            summary="Carlini and Wagner's L0 attack through the unrolled recovery breaks the sparse Fourier transform",
            reference="On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020, appendix E (2002.08347)",
            breaks="sparse-fourier",
            uses_attacks=("cw-l0", "sigma-zero", "transfer"),
            tags=frozenset({"l0", "minimum-norm", "preprocessing"}),
        )
    ]


@hookimpl
def advplug_report_sections(evaluation: Evaluation) -> list[Section]:
    """In reports of this case: how much of a perturbation the recovery finds, and how few pixels do."""
    if evaluation.case != "sparse-fourier":
        return []
    from advplug_adaptive_sparse_fourier._changed import changed_pixels

    return changed_pixels(evaluation)
