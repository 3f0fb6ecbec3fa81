"""What attacks leave of a generative classifier: the shares of fresh answers that are right, and that reject.

usage: python benchmarks/generative.py [--digits FIRST:END] [--budget 0.3] [--answers 48]

Prints the second table of docs/generative.md, for digits that are not among those of `advplug break generative`. Digits
that the network gets wrong before an attack count as any other.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from advplug_adaptive_generative import BreakGenerative
from torch import Tensor

from advplug import load, run
from advplug.adaptive import Recipe
from advplug.gradients import Exact
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

SHOWN = ("MIM-100, authors' step", "label term, EOT(2)", "whole score, momentum, EOT(2)")
"""Of the case, in this order; before the last one stands the same with one answer a step."""


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", default="4800:4850")
    parser.add_argument("--budget", type=float, default=0.3)
    parser.add_argument("--answers", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    first, end = map(int, arguments.digits.split(":"))
    digits = load("data:mnist")().load("shipped", end)[first:]
    model, threat = load("defense:generative")().build("mnist"), ThreatModel("linf", arguments.budget)
    print(f"| attack, budget {arguments.budget} | right | rejected | right or rejected |\n|---|---|---|---|")
    print(row("none", model, digits.inputs, digits.labels, arguments.answers), flush=True)
    for recipe in recipes(model, threat):
        settings = {"loss": recipe.loss, "gradient": recipe.gradient, "criterion": recipe.criterion}
        result = run(recipe.attack, model, digits.inputs, digits.labels, threat, **settings, progress=False)
        assert result.tried is not None, "the model is random"
        print(row(recipe.name, model, result.tried, digits.labels, arguments.answers), flush=True)


def recipes(model: DefendedModel, threat: ThreatModel) -> list[Recipe]:
    """What the table shows."""
    case = BreakGenerative()
    known = {one.name: one for one in (*case.baselines("mnist", threat), *case.recipes("mnist", threat, model))}
    *others, whole = (known[name] for name in SHOWN)
    return [*others, replace(whole, name="whole score, momentum, one answer", gradient=Exact()), whole]


def row(name: str, model: DefendedModel, inputs: Tensor, labels: Tensor, answers: int) -> str:
    """Shares in percent over so many fresh answers to each of ``inputs`` (N, ...)."""
    decisions = [model.decide(inputs) for _ in range(answers)]
    accepted = torch.stack([decision.accepted for decision in decisions])
    right = torch.stack([decision.labels == labels for decision in decisions]) & accepted
    shares = [100 * float(share.double().mean()) for share in (right, ~accepted, right | ~accepted)]
    return f"| {name} | {' | '.join(f'{share:.1f}' for share in shares)} |"


if __name__ == "__main__":
    main()
