"""Write the table of docs/attack-support.md: what each attack takes, as its runs on a small linear model show.

usage: python tools/attack_table.py

Every cell but the norms comes from runs. tests/test_attack_table.py compares the page with them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advplug import Images, PlainModel, ThreatModel, run
from advplug.attack import Attack
from advplug.errors import AdvplugError
from advplug.testing.linear import linear_model
from advplug.tracking import Step, Tracker

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "attack-support.md"
sys.path.insert(0, str(ROOT / "tests"))

from every_attack import every_attack, short  # noqa: E402

BEGIN, END = "<!-- tools/attack_table.py -->\n", "<!-- end -->\n"
SHAPE = (1, 6, 6)
BUDGETS: dict[str, float] = {"linf": 0.4, "l2": 2.0, "l1": 9.0, "l0": 8.0}
"""Within reach of some other class of the model for most samples."""

MASK = np.arange(36).reshape(SHAPE) < 18
HEAD = "| attack | norms | sees | targets | starting points | mask | budgets for each sample | smallest distance |\n"


class Beginning(Tracker):
    """Distance and margin of the points that a search asks about for the first sample."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    def step(self, step: Step) -> None:
        self.points.append((float(step.distance[0]), float(step.margin[0])))


def samples(net: nn.Module, each: int = 3) -> Tensor:
    """Inputs of all four classes of the model, ``each`` of one, mixed."""
    x = torch.rand(2000, *SHAPE, generator=torch.Generator().manual_seed(0))
    answers = net(x).argmax(1)
    return torch.stack([x[answers == y][:each] for y in range(4)], 1).flatten(0, 1)


NET = linear_model(4, SHAPE, seed=5, dtype=torch.float32)
X = samples(NET)
Y = NET(X).argmax(1)


def attacked(attack: Attack, model: nn.Module, threat: ThreatModel, count: int = len(X), **options: Any) -> Any:
    """One run on the first samples; attacks that need images of their own get the same ones."""
    own = Images(X, Y) if attack.needs_auxiliary else None
    return run(attack, model, X[:count], Y[:count], threat, auxiliary=own, **options)


def sees(attack: Attack, norm: Any) -> str:
    """``gradients``; or ``scores`` or ``decisions``: what changes the search where the order of scores does not."""
    threat = ThreatModel(norm, BUDGETS[norm])
    result = attacked(attack, NET, threat)
    if bool(result.backwards.any()):
        return "gradients"
    labels = PlainModel(lambda x: 10 * nn.functional.one_hot(NET(x).argmax(1), 4).to(x.dtype), num_classes=4)
    same = torch.equal(attacked(attack, labels, threat).adversarials, result.adversarials)
    return "decisions" if same else "scores"


def reaches_targets(attack: Attack, norm: Any) -> bool:
    """Whether samples with different targets reach each its own."""
    targets = (Y + 1 + torch.arange(len(Y)) % 3) % 4
    try:
        result = attacked(attack, NET, ThreatModel(norm, 2 * BUDGETS[norm], targeted=True), targets=targets)
    except AdvplugError:
        return False
    there = NET(result.adversarials).argmax(1) == targets
    return bool(there[result.success].all()) and len(set((targets - Y)[result.success].tolist())) > 1


def begins_at_starting_points(attack: Attack, norm: Any) -> bool:
    """Whether given points change where a search begins; the engine asks about the given point itself before.

    That point counts for every attack if it is adversarial; only some begin there.
    """
    adversarial = attack.minimum_norm
    points = X.roll(1, 0) if adversarial else X + 0.01 * torch.rand(X.shape, generator=torch.Generator().manual_seed(1))
    threat = ThreatModel(norm, None if adversarial else BUDGETS[norm])

    def asked(**options: Any) -> list[tuple[float, float]]:
        beginning = Beginning()
        attacked(attack, NET, threat, 1, tracker=beginning, **options)
        return beginning.points

    return not np.allclose(asked(starting_points=points[:1])[1], asked()[0], atol=1e-6)


def keeps_mask(attack: Attack, norm: Any) -> bool:
    """Whether it finds something inside a mask and changes nothing outside."""
    result = attacked(attack, NET, ThreatModel(norm, 2 * BUDGETS[norm], mask=MASK))
    changed = (result.adversarials != X).any(0).numpy()
    return bool(result.success.any()) and not changed[~MASK].any()


def takes_budgets(attack: Attack, norm: Any) -> bool:
    """Whether samples keep each its own budget."""
    epsilon = BUDGETS[norm] * torch.linspace(0.5, 2, len(X)).double()
    if norm == "l0":
        epsilon = epsilon.floor()
    result = attacked(attack, NET, ThreatModel(norm, BUDGETS[norm]), epsilon=epsilon)
    return bool(result.success.any()) and bool((result.distance <= epsilon * (1 + 1e-5))[result.success].all())


def row(name: str) -> str:
    """One line of the table."""
    attack = short(name)
    norm = attack.norms[0]
    checks = (reaches_targets, begins_at_starting_points, keeps_mask, takes_budgets)
    taken = ["yes" if check(attack, norm) else "no" for check in checks]
    nearest = "itself" if attack.minimum_norm else "no" if attack.needs_budget else "by budgets"
    shown = ", ".join({"linf": "Linf"}.get(one, one.upper()) for one in attack.norms)
    return f"| `{name}` | {shown} | {sees(attack, norm)} | {' | '.join(taken)} | {nearest} |\n"


def table() -> str:
    """The whole table."""
    return HEAD + "|" + "---|" * 8 + "\n" + "".join(row(name) for name in names())


def names() -> list[str]:
    """The attacks of the table."""
    return sorted({name for name, _ in every_attack()})


def written(page: str) -> str:
    """The part of the page that this file writes."""
    return page.split(BEGIN, 1)[1].split(END, 1)[0].strip("\n") + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    text = TARGET.read_text(encoding="utf-8")
    TARGET.write_text(text.replace(written(text), table()), encoding="utf-8")
