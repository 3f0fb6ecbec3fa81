"""Minimum-norm attacks of adv-lib, at ``steps`` gradients."""

from __future__ import annotations

import math
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from minimum_norm_judge import Contestant, Found, settings
from torch import Tensor, nn

Arguments = dict[str, Any]
ORDER = {"linf": math.inf, "l2": 2, "l1": 1, "l0": 0}
FARTHEST = {"linf": 1.0, "l2": 10.0, "l1": 100.0}
"""Twice the first budget of its APGD, which then halves the way twenty times."""


def adv_lib(norm: str, steps: int) -> list[Contestant]:
    """adv-lib: nearest points alone, no flags. Its DDN does not round, since the networks take any value."""
    order: Arguments = {"norm": ORDER[norm]}
    halvings = {"n_iter": max(1, steps // 20)}
    common: list[tuple[str, Arguments]] = [("fmn", {**order, "steps": steps})]
    if norm != "l2":
        common.append(("pdpgd", {**order, "num_steps": steps}))
    if norm != "l0":
        common.append(("fab", {**order, "n_iter": max(1, steps // 9)}))
        common.append(("minimal_apgd", {**order, "max_eps": FARTHEST[norm], **halvings}))
    attacks: dict[str, list[tuple[str, Arguments]]] = {
        "linf": [("tr", {"p": math.inf, "iter": steps, "adaptive": True}), ("carlini_wagner_linf", {})],
        "l2": [
            ("ddn", {"steps": steps, "levels": None}),
            ("alma", {"num_steps": steps}),
            ("pdgd", {"num_steps": steps}),
            ("sdf", {}),
            ("tr", {"iter": steps, "adaptive": True}),
            ("carlini_wagner_l2", {"max_iterations": max(1, steps // 9)}),
        ],
        "l1": [("alma", {"distance": "l1", "num_steps": steps})],
        "l0": [
            ("pdpgd", {**order, "num_steps": steps, "proximal_operator": 23}),
            ("sigma_zero", {"num_steps": steps}),
            ("vfga", {"targeted": False}),
        ],
    }

    def make(name: str, arguments: Arguments) -> Contestant:
        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            module = "adv_lib.attacks.auto_pgd" if name == "minimal_apgd" else "adv_lib.attacks"
            return Found(getattr(import_module(module), name)(net, x, y, **arguments).detach())

        return Contestant("adv-lib", name, settings(arguments), find, lambda net, x, y: imported())

    return [make(name, arguments) for name, arguments in common + attacks[norm]]


def imported() -> None:
    """Import it. Where torchvision or visdom is absent, which no attack here calls, a hollow module stands for it."""
    for name in ("torchvision", "visdom"):
        if name not in sys.modules and find_spec(name) is None:
            hollow: Any = module_from_spec(ModuleSpec(name, None))
            hollow.models = sys.modules[f"{name}.models"] = ModuleType(f"{name}.models")
            sys.modules[name] = hollow
    import_module("adv_lib.attacks")
