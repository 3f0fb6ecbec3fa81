"""What training against a critic is worth: distances to mistakes, and what another network sees in confident ones.

python benchmarks/adversary_critic.py [--limit 200] [--presets mnist-plain,mnist,...] [--figure FILE]

DeepFool and the high-confidence attack take 500 steps of at most 0.1, as in the thesis. `nearest` is the nearest point
of DeepFool and of the attacks that `advplug evaluate --threat l2:min` runs, in place of the C&W of the thesis. The
second opinion stands in for the people of the thesis: the plainly trained convolutional network of adversarial-training
labels the images of the high-confidence attack.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from margin_maximization import counted, least, relative, run
from matplotlib.figure import Figure

import advplug
from advplug.cli._usual import NEAREST
from advplug.data import Images
from advplug.metrics import labelled_by, relative_distance
from advplug.model import DefendedModel
from advplug.report import figure

PRESETS = ("mnist-plain", "mnist", "mnist-wide-plain", "mnist-wide")
PLAIN, CRITIC = "1.46 / .131 / .124 / .173 / 0.6 / 98.7", "1.18 / .290 / .272 / .575 / 88.0 / 9.9"
"""Tables 4.1 and 4.2 of the thesis, three hidden layers of 1200."""

HEAD = """\
| preset | error | rho, DeepFool | rho, nearest | rho, as confident as before | seen as the target | as the digit \
| published: the same, with C&W and people |
|---|---|---|---|---|---|---|---|"""


@click.command()
@click.option("--limit", default=200, show_default=True, help="Digits for distances, wrong ones included.")
@click.option("--presets", default=",".join(PRESETS), show_default=True, help="Of the defense, separated by commas.")
@click.option("--errors", default=10_000, show_default=True, help="Digits for the error.")
@click.option(
    "--figure",
    "drawing",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw ten digits there, of the first two.",
)
def main(*, limit: int, presets: str, errors: int, drawing: Path | None) -> None:
    """Print the table of docs/adversary-critic.md."""
    torch.set_num_threads(1)
    digits = advplug.load("data:mnist")().load("shipped", errors)
    models = {preset: advplug.load("defense:adversary-critic")().build(preset) for preset in presets.split(",")}
    if drawing is not None:
        gallery(dict(list(models.items())[:2]), digits[:10]).savefig(drawing, dpi=150)
    click.echo(HEAD)
    for preset, model in models.items():
        published = PLAIN if preset.endswith("plain") else CRITIC
        click.echo(f"| {' | '.join([f'`{preset}`', *measure(model, digits, limit), published])} |")


def measure(model: DefendedModel, digits: Images, limit: int) -> list[str]:
    """The cells of one network: error in percent, three times rho, and the second opinion in percent."""
    judge = advplug.load("defense:adversarial-training")().build("mnist")
    part = digits[:limit]
    deepfool = run("deepfool", model, part, "l2:min", steps=500, longest_step=0.1)
    nearest = least([deepfool, *(run(name, model, part, "l2:min") for name in NEAREST["l2"].split(","))])
    confident = run("high-confidence", model, part, "l2:min", patience=None)
    fooling = confident.adversarials[confident.success]
    with torch.no_grad():
        wrong = model(digits.inputs).argmax(1) != digits.labels
        aims = model(fooling).argmax(1)
    seen = labelled_by(judge, fooling, part.labels[confident.success], aims)
    return [
        f"{100 * float(wrong.double().mean()):.2f}",
        counted(relative_distance(deepfool, part.inputs)),
        counted(relative(nearest, deepfool.correct, part.inputs)),
        counted(relative_distance(confident, part.inputs)),
        f"{100 * seen.as_target:.1f}",
        f"{100 * seen.as_label:.1f}",
    ]


def gallery(models: dict[str, DefendedModel], digits: Images) -> Figure:
    """The digits, and below them the images of the high-confidence attack on each model, titled with its answers."""
    page = figure(2.6)
    panels = page.subplots(1 + len(models), len(digits))
    rows = {"digits": (digits.inputs, digits.labels)}
    for preset, model in models.items():
        attacked = run("high-confidence", model, digits, "l2:min", patience=None).adversarials
        with torch.no_grad():
            rows[preset] = (attacked, model(attacked).argmax(1))
    for line, (name, (images, answers)) in zip(panels, rows.items(), strict=True):
        for panel, image, answer in zip(line, images, answers, strict=True):
            panel.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            panel.set_title(str(int(answer)), fontsize=7, pad=2)
            panel.set_xticks([])
            panel.set_yticks([])
        line[0].set_ylabel(name, fontsize=7)
    return page


if __name__ == "__main__":
    main()
