"""Sparse attacks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_sparse._jsma import JSMA
    from advplug_attack_sparse._sigma_zero import SigmaZero
    from advplug_attack_sparse._sparse_rs import SparseRS
    from advplug_attack_sparse._vfga import VFGA

__all__ = ["JSMA", "VFGA", "SigmaZero", "SparseRS", "advplug_attacks"]

__getattr__ = lazily(
    __name__,
    {"JSMA": "._jsma", "SigmaZero": "._sigma_zero", "SparseRS": "._sparse_rs", "VFGA": "._vfga"},
)


@hookimpl
def advplug_attacks() -> list[AttackSpec]:
    """Name the attacks; torch is imported when one is loaded."""
    return [
        AttackSpec(
            name="sigma-zero",
            factory="advplug_attack_sparse._sigma_zero:SigmaZero",
            summary="sigma-zero: fewest changed values, by descent in a smooth L0 norm",
            reference="sigma-zero: Gradient-based Optimization of L0-norm Adversarial Examples, ICLR 2025 (2402.01879)",
            tags=frozenset({"l0", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="sparse-rs",
            factory="advplug_attack_sparse._sparse_rs:SparseRS",
            summary="Sparse-RS under L0: random search for few values or pixels, from scores only",
            reference="Sparse-RS: a versatile framework for query-efficient sparse black-box adversarial attacks, "
            "AAAI 2022 (2006.12834)",
            tags=frozenset({"l0", "targeted", "fixed-budget", "score-based"}),
        ),
        AttackSpec(
            name="jsma",
            factory="advplug_attack_sparse._jsma:JSMA",
            summary="Jacobian saliency maps: the most salient values, or pairs of them, one after the other",
            reference="The Limitations of Deep Learning in Adversarial Settings, IEEE EuroS&P 2016 (1511.07528)",
            tags=frozenset({"l0", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="vfga",
            factory="advplug_attack_sparse._vfga:VFGA",
            summary="Voting folded Gaussian attack: one value more in each step, by the best of several random lengths",
            reference="Stochastic sparse adversarial attacks, ICTAI 2021 (2011.12423)",
            tags=frozenset({"l0", "targeted", "minimum-norm"}),
        ),
    ]
