"""All attack plugins of the project, with settings that keep a test on a small network short."""

from __future__ import annotations

from typing import Any

from advplug import load
from advplug.attack import Attack
from advplug.plugins.manager import default_manager
from advplug.threat import Norm

SHORT: dict[str, dict[str, Any]] = {
    "brendel-bethge": {"steps": 60},
    "auto": {"trials": 4, "sentences": 1, "cost": 0.1, "steps": 10},
    "boundary": {"queries": 300},
    "geoda": {"queries": 300},
    "hopskipjump": {"queries": 300},
    "rays": {"queries": 300},
    "sign-opt": {"queries": 300},
    "simba": {"queries": 300},
    "spsa": {"steps": 20, "draws": 8},
    "square": {"queries": 200},
    "standard": {"steps": 20, "queries": 200},
    "substitute": {"augmentations": 2, "epochs": 10},
    "transfer": {"members": 1, "updates": 100},
    "sigma-zero": {"steps": 100},
    "sparse-rs": {"queries": 100},
    "jsma": {"steps": 100},
    "vfga": {"steps": 40, "samples": 4},
    "sparsefool": {"steps": 40},
    "one-pixel": {"population": 20, "generations": 5},
    "zoo": {"steps": 20, "search_steps": 2, "coordinates": 8},
    "cw": {"steps": 60, "search_steps": 3},
    "cw-linf": {"steps": 300},
    "ead": {"steps": 60, "search_steps": 5},
    "lbfgs": {"search_steps": 3},
    "pdpgd": {"steps": 300},
    "alma": {"steps": 200},
    "trust-region": {"steps": 150},
    "superdeepfool": {"steps": 20},
}
NEEDS_ITS_OWN_MODEL = ("interpolation", "feature-adversary")
NORMS: dict[str, tuple[Norm, ...]] = {"auto": ("linf",)}
"""Where some are enough: the search is the standard suite and attacks of this list, each with every norm of its own."""


def every_attack() -> list[tuple[str, Norm]]:
    """Pairs (name, norm) of the attacks that any classifier will do for."""
    names = [spec.name for spec in default_manager().specs("attack") if ":" not in spec.name]
    names = [name for name in names if name not in NEEDS_ITS_OWN_MODEL]
    return [(name, norm) for name in names for norm in NORMS.get(name, load(f"attack:{name}")().norms)]


def short(name: str) -> Attack:
    """The attack with few steps."""
    attack: Attack = load(f"attack:{name}")(**SHORT.get(name, {}))
    return attack
