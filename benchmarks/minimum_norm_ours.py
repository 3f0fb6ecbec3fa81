"""The minimum-norm attacks of advplug, at ``steps`` gradients a sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from minimum_norm_judge import Contestant, Found, settings
from torch import Tensor, nn

from advplug import ThreatModel, load, run

Arguments = dict[str, Any]
ROUNDS = 9
BUDGETS = 10
"""That are tried for each sample with an attack within a budget."""

SLOW = ("brendel-bethge", "jsma")


def _steps(steps: int) -> Arguments:
    return {"steps": steps}


def _search(steps: int) -> Arguments:
    return {"search_steps": ROUNDS, "steps": max(1, steps // ROUNDS)}


def _per_class(steps: int) -> Arguments:
    return {"steps": max(1, steps // 9)}  # a step takes a gradient for each of nine wrong classes


def _per_budget(steps: int) -> Arguments:
    return {"steps": max(1, steps // BUDGETS)}


def _defaults(steps: int) -> Arguments:
    return {}


OURS: dict[str, list[tuple[str, Callable[[int], Arguments]]]] = {
    "linf": [
        ("pdpgd", _steps),
        ("fmn", _steps),
        ("fab", _per_class),
        ("cw-linf", _steps),
        ("trust-region", _steps),
        ("deepfool", _defaults),
        ("apgd", _per_budget),
        ("pgd", _per_budget),
        ("brendel-bethge", _steps),
    ],
    "l2": [
        ("pdpgd", _steps),
        ("ddn", _steps),
        ("fmn", _steps),
        ("fab", _per_class),
        ("alma", _steps),
        ("cw", _search),
        ("lbfgs", _defaults),
        ("trust-region", _steps),
        ("superdeepfool", _per_class),
        ("deepfool", _defaults),
        ("apgd", _per_budget),
        ("brendel-bethge", _steps),
    ],
    "l1": [
        ("pdpgd", _steps),
        ("fmn", _steps),
        ("fab", _per_class),
        ("alma", _steps),
        ("ead", lambda steps: {"rule": "l1", "beta": 0.01, **_search(steps)}),
        ("apgd", _per_budget),
        ("slide", _per_budget),
        ("brendel-bethge", _steps),
    ],
    "l0": [
        ("pdpgd", _steps),
        ("fmn", _steps),
        ("sigma-zero", _steps),
        ("cw-l0", _steps),
        ("vfga", _defaults),
        ("sparsefool", _steps),
        ("jsma", _defaults),
        ("brendel-bethge", _steps),
    ],
}
"""By norm: the plugin, and its constructor arguments for a number of gradients."""


def advplug(norm: str, steps: int) -> list[Contestant]:
    """Ours, installed or not; :func:`load` of one that is not raises UnknownPlugin."""

    def make(name: str, arguments: Arguments) -> Contestant:
        plugin = cache(lambda: load(f"attack:{name}"))

        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            result = run(plugin()(**arguments), net, x, y, ThreatModel(norm))  # type: ignore[arg-type]
            return Found(result.adversarials, result.success)

        return Contestant("advplug", name, settings(arguments), find, lambda net, x, y: plugin(), name in SLOW)

    return [make(name, arguments(steps)) for name, arguments in OURS[norm]]
