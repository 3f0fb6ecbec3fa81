"""The runs of loss_study.py: which models and losses, and what is recorded at each step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from advplug import ThreatModel, load, run
from advplug.attack import Attack, GradientQuery, Query, Task
from advplug.losses import CrossEntropy, Logit, Loss, MultiTargetLogit
from advplug.numerics.tensors import norms, raw

STEPS = 250
ALPHA = 5e-4
BETA = 5 / 150528
"""Mean change of a value in a step: 5 in all for the 224 x 224 x 3 values of the paper."""

LOSSES: dict[str, tuple[Loss, bool]] = {
    "CE": (CrossEntropy(), False),
    "CE-sign": (CrossEntropy(), True),
    "Logit": (Logit(), False),
    "M-logit": (MultiTargetLogit(confidence=20.0), False),
}
"""Loss, and whether its gradient's sign is taken."""

PROTOCOLS = {"multiplier": tuple(LOSSES), "perturbation": tuple(LOSSES)}


class Case(NamedTuple):
    """A network in evaluation mode, images (N, ...) in [0, 1] that it gets right, their classes int64 (N,).

    ``beta`` is the mean change of a value in a step of equal perturbation.
    """

    name: str
    net: nn.Module
    x: Tensor
    y: Tensor
    classes: int
    batch: int
    beta: float = BETA

    def targets(self, number: int) -> Tensor:
        """Random wrong classes of a round, int64 (N,)."""
        generator = torch.Generator().manual_seed(number)
        return (self.y + torch.randint(1, self.classes, self.y.shape, generator=generator)) % self.classes


class Record(NamedTuple):
    """What was seen before each step, float32 (STEPS + 1, N), NaN where a sample had left; the last row has no
    gradient.

    ``target`` and ``initial`` logits, ``p_target`` and ``p_initial`` their softmax, ``p_max`` the largest; ``hit`` 1
    where the target is the answer; ``gradient_l1`` and ``gradient_max`` of the gradient's sizes; ``moved`` the L1 norm
    of the step that led here; ``l2``, ``linf`` and ``l1`` of the whole perturbation.
    """

    target: Tensor
    initial: Tensor
    p_target: Tensor
    p_initial: Tensor
    p_max: Tensor
    hit: Tensor
    gradient_l1: Tensor
    gradient_max: Tensor
    moved: Tensor
    l2: Tensor
    linf: Tensor
    l1: Tensor


class Recorder(Attack):
    """An attack, with what its points are like written to ``table``, (STEPS + 1, N) for each field of a record.

    ``first`` is the column of the first sample that is attacked.
    """

    norms = ("l2",)
    minimum_norm = True

    def __init__(self, count: int) -> None:
        self.attack: Attack
        self.first = 0
        self.table = {name: torch.full((STEPS + 1, count), torch.nan) for name in Record._fields}
        self._last: dict[int, Tensor] = {}

    def run(self, task: Task) -> None:
        self._last = dict(zip(raw(task.samples).tolist(), raw(task.inputs), strict=True))
        for name in ("query", "evaluate"):
            setattr(task, name, self._watching(getattr(task, name), task))
        self.attack.run(task)

    def _watching(self, function: Callable[..., Any], task: Task) -> Callable[..., Any]:
        def watched(x: Any, *given: Any, **named: Any) -> Any:
            samples = raw(task.samples)
            answer = function(x, *given, **named)
            t = task.t if isinstance(answer, GradientQuery) else task.t + 1
            for name, values in self._seen(raw(x), task, answer).items():
                self.table[name][t, self.first + samples] = values.float()
            self._last = dict(zip(samples.tolist(), raw(x).clone(), strict=True))
            return answer

        return watched

    def _seen(self, x: Tensor, task: Task, answer: Query) -> dict[str, Tensor]:
        assert task.targets is not None, "the study is of targeted attacks"
        targets = raw(task.targets)
        logits = raw(answer.logits)
        likely = logits.softmax(1)
        goal, first = targets[:, None], raw(task.labels)[:, None]
        delta = x - raw(task.inputs)
        last = torch.stack([self._last[sample] for sample in raw(task.samples).tolist()])
        seen = {
            "target": logits.gather(1, goal)[:, 0],
            "initial": logits.gather(1, first)[:, 0],
            "p_target": likely.gather(1, goal)[:, 0],
            "p_initial": likely.gather(1, first)[:, 0],
            "p_max": likely.amax(1),
            "hit": logits.argmax(1) == targets,
            "moved": norms(x - last, "l1"),
            "l2": norms(delta, "l2"),
            "linf": norms(delta, "linf"),
            "l1": norms(delta, "l1"),
        }
        if isinstance(answer, GradientQuery):
            gradient = raw(answer.gradient)
            seen |= {"gradient_l1": norms(gradient, "l1"), "gradient_max": norms(gradient, "linf")}
        return seen


def small(data: str, split: str, limit: int, factor: float) -> Case:
    """The plainly trained network of defense:adversarial-training for ``data``; ``factor`` times BETA."""
    images = load(f"data:{data}")().load(split, limit)
    net = load("defense:adversarial-training")().build(data).eval().requires_grad_(False)
    right = net(images.inputs).argmax(1) == images.labels
    name = data if factor == 1 else f"{data}-{factor:g}x"
    return Case(name, net, images.inputs[right], images.labels[right], 10, 25, factor * BETA)


def imagenet(limit: int, factor: float) -> Case:
    """EfficientNet-lite0 and the pictures of Foolbox that it gets right; ``factor`` times BETA."""
    from imagenet import efficientnet_lite0, known_pictures

    net = efficientnet_lite0()
    fold(net)
    known = known_pictures(net)
    name = "imagenet" if factor == 1 else f"imagenet-{factor:g}x"
    return Case(name, net, known.x[:limit], known.y[:limit], 1000, 6, factor * BETA)


def case_of(model: str, limit: int, factor: float = 1) -> Case:
    """The case of that name: imagenet, cifar10 or mnist."""
    if model == "imagenet":
        return imagenet(limit, factor)
    return small(model, {"mnist": "shipped", "cifar10": "test"}[model], limit, factor)


def fold(net: nn.Module) -> None:
    """Put each batch normalisation of an EfficientNet into the convolution before it: a quarter less time."""
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    pairs = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))
    inner = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for module in list(net.modules()):
        for convolution, normalisation in (*pairs, *inner):
            if hasattr(module, convolution) and hasattr(module, normalisation):
                conv, bn = getattr(module, convolution), getattr(module, normalisation)
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
                )
                setattr(module, normalisation, nn.Identity())
    net.requires_grad_(False)


def attack_of(case: Case, protocol: str, name: str, **settings: Any) -> tuple[Attack, Loss]:
    """The attack and the loss of one line of the tables."""
    loss, sign = LOSSES[name]
    options = {"steps": STEPS, "equal": protocol, "multiplier": ALPHA, "mean_change": case.beta, "sign": sign}
    return load("attack:fgm-steps")(**options | settings), loss


def record(case: Case, protocol: str, name: str, number: int, *, traced: int) -> Record:
    """Attack every image of ``case`` once, with the targets of round ``number``.

    The first ``traced`` images make all steps, the others stop at the target.
    """
    recorder = Recorder(len(case.x))
    for rows, stop in ((slice(0, traced), False), (slice(traced, None), True)):
        if len(case.x[rows]) == 0:
            continue
        recorder.attack, loss = attack_of(case, protocol, name, stop=stop)
        recorder.first = rows.start
        options = {"targets": case.targets(number)[rows], "loss": loss, "batch_size": case.batch}
        run(recorder, case.net, case.x[rows], case.y[rows], ThreatModel("l2", targeted=True), **options)
    return Record(**recorder.table)


def timed(case: Case, protocol: str, steps: int = 10, repeats: int = 3) -> dict[str, float]:
    """Seconds that 250 steps of one image cost in a batch, the median of runs that take turns."""
    x, y = case.x[: case.batch], case.y[: case.batch]
    spent: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(repeats):
        for name in LOSSES:
            attack, loss = attack_of(case, protocol, name, steps=steps, stop=False)
            start = time.perf_counter()
            run(attack, case.net, x, y, ThreatModel("l2", targeted=True), targets=case.targets(0)[: len(x)], loss=loss)
            spent[name].append((time.perf_counter() - start) / (steps * len(x)) * STEPS)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}
