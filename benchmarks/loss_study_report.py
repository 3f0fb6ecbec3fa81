"""The tables of loss_study.py: steps, perturbation and time beside the published ones, and gradients by subspace."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from loss_study_runs import ALPHA, LOSSES, STEPS, Record
from rich.console import Console
from rich.table import Table
from torch import Tensor

PUBLISHED = {
    "multiplier": {
        "CE": (114, 71, 4.25),
        "CE-sign": (80, 37, 4.05),
        "Logit": (134, 72, 4.19),
        "M-logit": (126, 73, 4.30),
    },
    "perturbation": {"CE": (55, 28, 5.6), "CE-sign": (116, 52, 5.6), "Logit": (80, 47, 5.7), "M-logit": (95, 52, 5.8)},
}
"""Table I of the paper, ResNet-50 on 1000 ImageNet images: steps, their standard deviation, seconds."""

SUBSPACES = ("D1", "D2", "D3")


@dataclass(frozen=True)
class Line:
    """One loss under one protocol. ``steps`` and their ``spread`` are over the pairs of image and target it reached.

    ``common``: mean steps over the pairs that all four losses reached; ``l2``, ``linf``, ``l1`` of the perturbation
    then are over the same. ``slower`` and ``faster``: shares of all pairs, in %, on which it took more or fewer steps
    than CE; a failure takes the most. ``clipped``: share of the L1 mass, in %, that the bounds took away. ``seconds``
    for 250 gradients of one image.
    """

    pairs: int
    success: float
    steps: float
    spread: float
    common: float
    slower: float
    faster: float
    l2: float
    linf: float
    l1: float
    clipped: float
    seconds: float


@dataclass(frozen=True)
class Report:
    """Lines by protocol and loss; by loss the mean L1 norm of the gradient in each subspace, and the share of steps."""

    lines: dict[str, dict[str, Line]]
    gradients: dict[str, dict[str, float]]
    shares: dict[str, dict[str, float]]

    @classmethod
    def of(
        cls, rounds: list[dict[str, dict[str, Record]]], seconds: dict[str, dict[str, float]], values: int, beta: float
    ) -> Report:
        """From the records of each round; ``values`` of an image, ``beta`` the mean change of one in a step."""
        lines: dict[str, dict[str, Line]] = {}
        for protocol in rounds[0]:
            first = {name: torch.cat([first_hit(one[protocol][name]) for one in rounds]) for name in LOSSES}
            common = torch.stack([*first.values()]).isfinite().all(0)
            lines[protocol] = {}
            for name, steps in first.items():
                records = [one[protocol][name] for one in rounds]
                reached = steps.isfinite()
                lines[protocol][name] = Line(
                    pairs=len(steps),
                    success=100 * float(reached.float().mean()),
                    steps=float(steps[reached].mean()),
                    spread=float(steps[reached].std()),
                    common=float(steps[common].mean()),
                    slower=100 * float((steps > first["CE"]).float().mean()),
                    faster=100 * float((steps < first["CE"]).float().mean()),
                    l2=float(at_hit(records, "l2", common).mean()),
                    linf=float(at_hit(records, "linf", common).mean()),
                    l1=float(at_hit(records, "l1", common).mean()),
                    clipped=100 * clipped(records, protocol, name, values, beta),
                    seconds=seconds[protocol][name],
                )
        gradients, shares = by_subspace(rounds[0])
        return cls(lines, gradients, shares)

    def plain(self) -> dict[str, Any]:
        """As numbers and text, for a file."""
        return asdict(self)


def first_hit(record: Record) -> Tensor:
    """Steps until the target is first the answer, float (N,); infinite where it never is."""
    hit = record.hit == 1
    return torch.where(hit.any(0), hit.float().argmax(0).float(), torch.inf)


def at_hit(records: list[Record], name: str, pairs: Tensor | None = None) -> Tensor:
    """What ``name`` is when the target is first the answer, for the pairs that get there, or of them ``pairs`` (N,)."""
    first = torch.cat([first_hit(record) for record in records])
    values = torch.cat([getattr(record, name) for record in records], dim=1)
    reached = first.isfinite() if pairs is None else first.isfinite() & pairs
    found: Tensor = values[first[reached].long(), reached.nonzero().squeeze(1)]
    return found


def clipped(records: list[Record], protocol: str, name: str, values: int, beta: float) -> float:
    """Share of the L1 mass of all steps up to the target (or the last) that the bounds took away."""
    asked = moved = 0.0
    for record in records:
        searching = torch.arange(STEPS)[:, None] < first_hit(record)
        gradient = record.gradient_l1[:STEPS].nan_to_num()
        if protocol == "perturbation":
            mass = beta * values * (gradient > 0)
        else:
            mass = ALPHA * (values * (gradient > 0) if LOSSES[name][1] else gradient)
        asked += float((mass * searching).sum(dtype=torch.float64))
        moved += float((record.moved[1:].nan_to_num() * searching).sum(dtype=torch.float64))
    return 1 - moved / asked


def complete(records: dict[str, Record]) -> dict[str, Record]:
    """The pairs that made all steps under every loss."""
    whole = torch.stack([record.target[STEPS].isfinite() for record in records.values()]).all(0)
    return {loss: Record(*(values[:, whole] for values in record)) for loss, record in records.items()}


def by_subspace(first: dict[str, dict[str, Record]]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """By loss and subspace, over both protocols: the mean L1 norm of the gradient, and the share of the steps in %.

    D1: another class has a softmax of at least 0.9, D2: none has, D3: the target has.
    """
    gradients: dict[str, dict[str, float]] = {}
    shares: dict[str, dict[str, float]] = {}
    whole = [complete(records) for records in first.values()]
    for name in LOSSES:
        largest, target, size = (
            torch.cat([getattr(records[name], field)[:STEPS] for records in whole], dim=1)
            for field in ("p_max", "p_target", "gradient_l1")
        )
        masks = ((largest >= 0.9) & (target < 0.9), largest < 0.9, target >= 0.9)
        gradients[name] = {key: float(size[mask].mean()) for key, mask in zip(SUBSPACES, masks, strict=True)}
        shares[name] = {key: 100 * float(mask.float().mean()) for key, mask in zip(SUBSPACES, masks, strict=True)}
    return gradients, shares


def print_report(report: Report, title: str) -> None:
    """Two tables of losses, published steps in brackets, and one of gradients."""
    console = Console(width=130)
    for protocol, lines in report.lines.items():
        names = (
            "loss",
            "pairs",
            "reached %",
            "steps",
            "paper",
            "common",
            "slower, faster than CE %",
            "L2",
            "Linf",
            "L1",
            "clipped %",
        )
        table = Table(*names, "s", title=f"{title}: equal {protocol}")
        for name, line in lines.items():
            steps, spread, _ = PUBLISHED[protocol][name]
            table.add_row(
                name,
                str(line.pairs),
                f"{line.success:.1f}",
                f"{line.steps:.0f} ± {line.spread:.0f}",
                f"{steps} ± {spread}",
                f"{line.common:.0f}",
                f"{line.slower:.0f}, {line.faster:.0f}",
                f"{line.l2:.3f}",
                f"{line.linf:.4f}",
                f"{line.l1:.1f}",
                f"{line.clipped:.1f}",
                f"{line.seconds:.2f}",
            )
        console.print(table)
    table = Table("loss", *(f"{key} (% of steps)" for key in SUBSPACES), title="L1 norm of the gradient by subspace")
    for name, sizes in report.gradients.items():
        table.add_row(name, *(f"{sizes[key]:.3g} ({report.shares[name][key]:.0f})" for key in SUBSPACES))
    console.print(table)
