"""What deep margin maximisation is worth: errors and distances of its networks, beside those of the thesis.

python benchmarks/margin_maximization.py [--limit 200] [--presets mnist,mnist-l1,...] [--figure FILE] [--json FILE]

DeepFool takes 50 steps of at most 0.5, as in the thesis, or of any length. `nearest` is the nearest point of either and
of the attacks that `advplug evaluate --threat l2:min` runs. DeepFool is fooled where its point is FAR times as far, or
where it finds none. The control of a preset is its network trained with the same loss alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import click
import torch
from matplotlib.figure import Figure
from torch import Tensor

import advplug
from advplug.cli._usual import NEAREST
from advplug.data import Images
from advplug.engine.result import AttackResult
from advplug.metrics import Mean, relative_distance, security_curve
from advplug.report import figure, quiet

DEFENSE = "margin-maximization"
FGSM = "linf:0.2"
CONTROLS = {
    "mnist": "mnist-plain",
    "mnist-l1": "mnist-plain",
    "mnist-cross-entropy": "mnist-plain-cross-entropy",
    "mnist-lenet": "mnist-lenet-plain",
    "mnist-mlp": "mnist-mlp-plain",
    "mnist-mlp-l1": "mnist-mlp-plain",
    "mnist-mlp-weak": "mnist-mlp-plain",
}
PRESETS = tuple(dict.fromkeys(name for preset, control in CONTROLS.items() for name in (control, preset)))


class Published(NamedTuple):
    """Error and error under FGSM in percent, and rho by DeepFool, of table 3.1 of the thesis."""

    error: float
    fgsm: float
    rho: float

    def __str__(self) -> str:
        return f"{self.error} / {self.fgsm} / {self.rho:.3f}"


LENET = {
    "-plain": Published(0.72, 72.14, 0.154),
    "": Published(0.62, 28.26, 0.217),
    "-l1": Published(0.64, 20.47, 0.222),
}
LAYERS = {
    "-plain": Published(1.42, 95.8, 0.114),
    "": Published(0.86, 42.56, 0.259),
    "-l1": Published(0.84, 32.43, 0.273),
}
PUBLISHED = {
    f"{base}{suffix}": published
    for base, rows in (("mnist", LENET), ("mnist-lenet", LENET), ("mnist-mlp", LAYERS))
    for suffix, published in rows.items()
}
"""Of LeNet and of three hidden layers of 1000. The thesis has no table of cross-entropy on digits."""

FAR = 1.5
GAIN, CONFIRMED = 1.3, 1.15
"""Gradient masking: by DeepFool rho is ``GAIN`` times that of the nearest points; or times that of the control, and by
the nearest points less than ``CONFIRMED`` times."""


@dataclass(frozen=True)
class Measured:
    """One network: errors in percent over ``digits``, the rest over the first of them, those that it gets right.

    ``deepfool`` has steps of limited length and ``free`` of any; ``fooled`` is a share in percent; ``linf`` is a mean.
    """

    preset: str
    digits: int
    error: float
    fgsm: float
    deepfool: Mean
    free: Mean
    nearest: Mean
    fooled: float
    linf: float
    curves: dict[str, list[float]]


MEANS = ("deepfool", "free", "nearest")
DISTANCES = [0.1 * step for step in range(51)]


@click.command()
@click.option("--presets", default=",".join(PRESETS), show_default=True, help="Of the defense, separated by commas.")
@click.option("--limit", default=200, show_default=True, help="Digits for distances, wrong ones included.")
@click.option("--errors", default=10_000, show_default=True, help="Digits for error and FGSM.")
@click.option("--figure", "drawing", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves there.")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Keep rows there; measure no others."
)
def main(*, presets: str, limit: int, errors: int, drawing: Path | None, file: Path | None) -> None:
    """Print the table of docs/margin-maximization.md."""
    torch.set_num_threads(1)
    digits = advplug.load("data:mnist")().load("shipped", errors)
    rows = {} if file is None or not file.exists() else read(file)
    for preset in presets.split(","):
        if preset not in rows:
            rows[preset] = measure(preset, digits, limit)
        if file is not None:
            file.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1) + "\n", encoding="ascii")
    rows = {preset: rows[preset] for preset in presets.split(",")}
    click.echo(table(rows))
    if drawing is not None:
        curves(rows).savefig(drawing, dpi=150)


def read(file: Path) -> dict[str, Measured]:
    """The rows that ``--json`` kept."""
    rows = json.loads(file.read_text(encoding="ascii"))
    return {row["preset"]: Measured(**row | {name: Mean(*row[name]) for name in MEANS}) for row in rows}


def measure(preset: str, digits: Images, limit: int) -> Measured:
    """All figures of one preset: errors on ``digits``, distances on the first ``limit`` of them."""
    model = advplug.load(f"defense:{DEFENSE}")().build(preset)
    part = digits[:limit]
    fgsm = run("fgm", model, digits, FGSM)
    deepfool = run("deepfool", model, part, "l2:min", steps=50, longest_step=0.5)
    free = run("deepfool", model, part, "l2:min", steps=50)
    everything = [deepfool, free, *(run(name, model, part, "l2:min") for name in NEAREST["l2"].split(","))]
    linf = [run(name, model, part, "linf:min") for name in NEAREST["linf"].split(",")]
    right, nearest = deepfool.correct, least(everything)
    return Measured(
        preset=preset,
        digits=len(digits),
        error=100 * float((~fgsm.correct).double().mean()),
        fgsm=100 * (1 - fgsm.robust_accuracy),
        deepfool=relative_distance(deepfool, part.inputs),
        free=relative_distance(free, part.inputs),
        nearest=relative(nearest, right, part.inputs),
        fooled=100 * float((~(deepfool.distance <= FAR * nearest))[right].double().mean()),
        linf=float(least(linf)[right].mean()),
        curves={"deepfool": security_curve(deepfool, DISTANCES), "nearest": security_curve(everything, DISTANCES)},
    )


def run(name: str, model: torch.nn.Module, digits: Images, threat: str, **settings: object) -> AttackResult:
    """The attack ``name`` on ``digits``."""
    attack = advplug.load(f"attack:{name}")(**settings)
    return advplug.run(attack, model, digits.inputs, digits.labels, threat, progress=False)


def least(results: list[AttackResult]) -> Tensor:
    """The least distance of each sample (N,); infinite where no attack found anything."""
    return torch.stack([result.distance.nan_to_num(torch.inf) for result in results]).amin(0)


def relative(distances: Tensor, right: Tensor, inputs: Tensor) -> Mean:
    """As :func:`relative_distance`, of the least distances (N,) of several attacks."""
    found = right & distances.isfinite()
    shares = distances / inputs.flatten(1).double().norm(dim=1)
    return Mean(float(shares[found].mean()), int(found.sum()), int(right.sum()))


def table(rows: dict[str, Measured]) -> str:
    """One line for each network, in Markdown."""
    lines = [
        "| preset | error | FGSM error | rho, DeepFool | rho, DeepFool, free steps | rho, nearest | DeepFool fooled "
        "| Linf, nearest | times the control: DeepFool, nearest | published: error / FGSM / rho |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for preset, row in rows.items():
        cells = (
            f"`{preset}`",
            f"{row.error:.2f}",
            f"{row.fgsm:.1f}",
            *map(counted, (row.deepfool, row.free, row.nearest)),
            f"{row.fooled:.1f}",
            f"{row.linf:.3f}",
            gain(row, rows.get(CONTROLS.get(preset, ""))),
            str(PUBLISHED.get(preset, "")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def counted(mean: Mean) -> str:
    """The mean, and how many images it is over if some were not broken."""
    missed = "" if mean.successes == mean.attacked else f" ({mean.successes} of {mean.attacked})"
    return f"{mean.value:.3f}{missed}"


def gain(row: Measured, control: Measured | None) -> str:
    """How many times as far as the control's the boundary is, by DeepFool and by the nearest points."""
    if control is None:
        return "gradient masking" if row.deepfool.value >= GAIN * row.nearest.value else ""
    by_deepfool, by_nearest = row.deepfool.value / control.deepfool.value, row.nearest.value / control.nearest.value
    masked = row.deepfool.value >= GAIN * row.nearest.value or (by_deepfool >= GAIN and by_nearest < CONFIRMED)
    return f"{by_deepfool:.2f}, {by_nearest:.2f}{', gradient masking' * masked}"


def curves(rows: dict[str, Measured]) -> Figure:
    """Accuracy over the distance, by DeepFool (dashed) and by all attacks together; one panel for each control."""
    controls = [control for control in dict.fromkeys(CONTROLS.values()) if control in rows]
    page = figure(2.8 * ((len(controls) + 1) // 2))
    panels = page.subplots((len(controls) + 1) // 2, 2, sharey=True, squeeze=False).flat
    for panel, control in zip(panels, controls, strict=False):
        for row in (rows[name] for name in rows if control in (name, CONTROLS.get(name))):
            (line,) = panel.plot(DISTANCES, [100 * one for one in row.curves["nearest"]], label=row.preset)
            panel.plot(DISTANCES, [100 * one for one in row.curves["deepfool"]], color=line.get_color(), dashes=(3, 2))
        panel.legend(frameon=False, fontsize=7)
        quiet(panel, title="", x="distance under L2", y="accuracy in percent")
    return page


if __name__ == "__main__":
    main()
