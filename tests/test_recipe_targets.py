"""A recipe may run several targets of a sample at once: the same samples fall, and the record says so."""

from __future__ import annotations

import torch
from advplug_attack_pgd import PGD

from advplug.adaptive import Recipe
from advplug.data import Images
from advplug.evaluation import evaluate, model_job
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel


def test_targets_at_once_take_the_same_samples() -> None:
    model = linear_model(6, (10,)).float()
    x = torch.rand(60, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = Images(x, model(x).argmax(1), tuple("abcdef"), "noise")
    pgd = PGD(steps=20, random_start=False)
    recipes = [Recipe(name=str(n), attack=pgd, targets="each", targets_at_once=n) for n in (1, 5)]
    in_turn, at_once = evaluate(model_job("toy", model, images, ThreatModel("linf", 0.1), recipes)).rows
    assert 0.1 < in_turn.robust_accuracy < 0.9
    assert (at_once.arrays["success"] == in_turn.arrays["success"]).all()
    assert at_once.queries > in_turn.queries  # several rows are charged until the first succeeds
    assert at_once.components["targets_at_once"] == "5"
    assert "targets_at_once" not in in_turn.components
