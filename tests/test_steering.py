"""Classes and losses that an attack brings to single evaluations: the loss sees them, the criterion does not."""

from __future__ import annotations

import torch

from advplug.api import run
from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.losses import ClassGaps
from advplug.numerics.tensors import raw, wrap
from advplug.testing.linear import linear_model
from advplug.threat import ThreatModel


def test_an_attack_steers_to_a_class_of_its_own_for_each_sample() -> None:
    model = linear_model(4, (6,))
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)
    chosen = (y + torch.tensor([1, 2, 3, 1, 2])) % 4

    class Look(Attack):
        def run(self, task: Task) -> None:
            targets = wrap(chosen[raw(task.samples)])
            q = task.query(task.inputs, targets=targets)
            logits = task.evaluate(task.inputs, targets=targets)
            expected = -model(x).log_softmax(1).gather(1, chosen[:, None]).squeeze(1)
            torch.testing.assert_close(q.loss.raw, expected)
            torch.testing.assert_close(logits.loss.raw, expected)
            point = x.clone().requires_grad_()
            (-model(point).log_softmax(1).gather(1, chosen[:, None]).sum()).backward()
            assert q.gradient is not None
            torch.testing.assert_close(q.gradient.raw, point.grad)
            torch.testing.assert_close(task.query(task.inputs).loss.raw, model(x).log_softmax(1).amax(1))
            assert not q.success.raw.any(), "what counts is still any wrong class"

    run(Look(), model, x, y, ThreatModel("l2", 1.0))


def test_a_loss_of_its_own_stays_out_of_the_trace_and_out_of_the_comparison_of_points() -> None:
    """Success counts under either loss; among successes, the task's own loss decides."""
    model = linear_model(4, (6,))
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = model(x).argmax(1)

    class Look(Attack):
        def run(self, task: Task) -> None:
            q = task.query(task.clip(5 - 5 * task.inputs), loss=ClassGaps())
            assert q.loss.shape == (5, 3)
            assert q.gradient is not None
            assert q.gradient.shape == (5, 3, 6)
            classes = ClassGaps().classes(q.logits, task.labels)
            gaps = q.logits.raw.gather(1, y[:, None]) - q.logits.raw.gather(1, classes.raw)
            torch.testing.assert_close(q.loss.raw, gaps)
            if not self.first_only:
                task.evaluate(task.clip(1 - task.inputs))

        def __init__(self, *, first_only: bool = True) -> None:
            self.first_only = first_only

    threat = ThreatModel("l2", 100.0)
    first = run(Look(), model, x, y, threat, early_end=False)
    both = run(Look(first_only=False), model, x, y, threat, early_end=False)
    assert first.success.any()
    assert first.trace.isnan().all()
    assert both.trace.shape == (2, 5)
    assert both.trace[0].isnan().all()
    assert both.trace[1].isfinite().all()
    with torch.no_grad():
        second_wins = model(1 - x).argmax(1) != y
    again = (first.success & second_wins).nonzero().flatten()
    assert len(again)
    torch.testing.assert_close(both.adversarials[again], (1 - x)[again])
