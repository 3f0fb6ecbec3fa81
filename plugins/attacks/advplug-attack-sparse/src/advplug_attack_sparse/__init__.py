"""Sparse attacks as an advplug plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug import AttackSpec, hookimpl
from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug_attack_sparse._jsma import JSMA
    from advplug_attack_sparse._one_pixel import OnePixel
    from advplug_attack_sparse._sigma_zero import SigmaZero
    from advplug_attack_sparse._sparse_rs import SparseRS
    from advplug_attack_sparse._sparsefool import SparseFool
    from advplug_attack_sparse._vfga import VFGA

__all__ = ["JSMA", "VFGA", "OnePixel", "SigmaZero", "SparseFool", "SparseRS", "advplug_attacks"]

__getattr__ = lazily(
    __name__,
    {
        "JSMA": "._jsma",
        "OnePixel": "._one_pixel",
        "SigmaZero": "._sigma_zero",
        "SparseFool": "._sparsefool",
        "SparseRS": "._sparse_rs",
        "VFGA": "._vfga",
    },
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
        AttackSpec(
            name="sparsefool",
            factory="advplug_attack_sparse._sparsefool:SparseFool",
            summary="SparseFool under L0 and L1: few values across the boundary that DeepFool finds",
            reference="SparseFool: a few pixels make a big difference, CVPR 2019 (1811.02248)",
            tags=frozenset({"l0", "l1", "targeted", "minimum-norm"}),
        ),
        AttackSpec(
            name="one-pixel",
            factory="advplug_attack_sparse._one_pixel:OnePixel",
            summary="One-pixel attack: evolution of places and colours of few pixels or values, from scores only",
            reference="One pixel attack for fooling deep neural networks, IEEE TEVC 2019 (1710.08864)",
            tags=frozenset({"l0", "targeted", "fixed-budget", "score-based"}),
        ),
    ]
