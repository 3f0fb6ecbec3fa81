"""Checks of an attack: its object, its contract, its meaning, its strength."""

from __future__ import annotations

import copy
import pickle
import random
import warnings
from dataclasses import replace
from typing import Any, get_args

import eagerpy as ep
import numpy as np
import torch

from advplug.api import run
from advplug.engine.problem import Options, make_problem
from advplug.engine.stages import run_attack
from advplug.engine.verification import ROUNDING, TOLERANCE
from advplug.errors import InvalidInput, NonFiniteLogits
from advplug.numerics.random_numbers import Noise
from advplug.numerics.starting_points import random_start
from advplug.numerics.tensors import norms
from advplug.testing.linear import largest_change
from advplug.testing.models import NaNAway, Watched, attacked, count_rows, linear_case, network_case
from advplug.testing.subject import NotApplicable, Subject, require
from advplug.threat import Norm, ThreatModel

SLACK = ROUNDING
"""Relative excess over the budget that the engine mends by itself, as rounding of an attack's projection."""

BEGINNING = 100
"""Queries on the way that do not depend on the batch; later, steps that circle a boundary have doubled a last bit."""


def check_norms_are_declared(subject: Subject) -> None:
    """``norms`` names the norms it works under, and its tags name no other."""
    known = set(get_args(Norm))
    norms_ = set(subject.new().norms)
    require(norms_ and norms_ <= known, f"norms is {sorted(norms_)}: name some of {', '.join(sorted(known))}")
    extra = subject.spec.tags & known - norms_
    require(not extra, f"tags name {', '.join(sorted(extra))}, norms does not: add it there or drop the tag")


def check_shows_its_parameters(subject: Subject) -> None:
    """Its repr shows every hyper-parameter, and ``parameters()`` makes an equal attack."""
    attack = subject.new()
    try:
        parameters = attack.parameters()
        twin = type(attack)(**parameters)
    except (AttributeError, TypeError) as error:
        message = f"parameters() is no set of constructor arguments ({error}): keep each as an attribute of its name"
        raise AssertionError(message) from error
    require(repr(twin) == repr(attack), f"{attack!r} becomes {twin!r}: keep hyper-parameters as they were given")
    hidden = [name for name in parameters if f"{name}=" not in repr(attack)]
    require(not hidden, f"repr {attack!r} does not show {', '.join(hidden)}")


def check_is_picklable(subject: Subject) -> None:
    """It can be pickled, and comes back with the same hyper-parameters."""
    attack = subject.new()
    try:
        again = pickle.loads(pickle.dumps(attack))
    except Exception as error:
        raise AssertionError(f"{error}: keep lambdas, open files and local classes out of its attributes") from error
    require(again.__dict__.keys() == attack.__dict__.keys(), "pickling loses attributes: mend __getstate__")


def check_keeps_shape_dtype_and_type(subject: Subject) -> None:
    """Results have the shape, dtype, device and tensor type of the inputs, be they images or vectors."""
    attack = subject.new()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for dtype, shape, eager in ((torch.float32, (3, 4, 4), False), (torch.float64, (12,), True)):
        case = linear_case(dtype=dtype, shape=shape)
        x, y = case.inputs.to(device), case.labels.to(device)
        inputs, labels = (ep.astensor(x), ep.astensor(y)) if eager else (x, y)
        watched = Watched(attack)
        try:
            threat = case.threat(attack.norms[0])
            result = run(watched, case.model.to(device), inputs, labels, threat, auxiliary=case.auxiliary)
        except InvalidInput:
            require(len(shape) == 1, f"refuses images of shape {shape}")
            continue  # an attack on images may refuse vectors
        points: list[Any] = [point for point, _, _ in watched.points]
        found = result.adversarials
        require(isinstance(found, ep.Tensor) == eager, f"gives {type(found).__name__} for {type(inputs).__name__}")
        for point in [*points, found.raw if isinstance(found, ep.Tensor) else found]:
            require(point.dtype == dtype, f"makes {point.dtype} of {dtype}: take the dtype from task.inputs")
            require(point.device == x.device, f"moves to {point.device} from {x.device}")
            require(point.shape[1:] == x.shape[1:], f"makes shape {tuple(point.shape)} of {tuple(x.shape)}")


def check_stays_in_bounds(subject: Subject) -> None:
    """Every point that it proposes lies within the bounds of valid inputs."""
    case = linear_case()
    for norm in subject.new().norms:
        watched = Watched(subject.new())
        result = attacked(watched, case, case.threat(norm, 3.0))
        for point in [*(point for point, _, _ in watched.points), result.adversarials]:
            outside = float(torch.maximum(case.bounds[0] - point, point - case.bounds[1]).max())
            require(outside <= TOLERANCE, f"{norm}: {outside:.3g} outside the bounds: use task.project on every point")


def check_respects_epsilon(subject: Subject) -> None:
    """Every result, and under a fixed budget every point that it proposes, is within epsilon."""
    case = linear_case()
    for norm in subject.new().norms:
        threat, watched = case.threat(norm), Watched(subject.new())
        result = attacked(watched, case, threat)
        for point, clean, epsilon in watched.points:
            if epsilon is None:
                continue
            excess = float((norms(point - clean, norm) / epsilon).max()) - 1
            advice = "they never count: use task.project"
            require(excess <= SLACK, f"{norm}: proposes points {excess:.1%} beyond epsilon, {advice}")
        distance = norms(result.adversarials.double() - case.inputs.double(), norm)
        require((distance <= (threat.epsilon or 0) * (1 + TOLERANCE)).all(), f"{norm}: returns points beyond epsilon")


def check_takes_a_budget_for_each_sample(subject: Subject) -> None:
    """A sample with a budget of its own gets what it gets where all have that budget."""
    case = linear_case(dtype=torch.float64)
    norm = subject.new().norms[0]
    narrow, wide = case.threat(norm, 0.3), case.threat(norm, 3.0)
    even = torch.arange(len(case.labels)) % 2 == 0
    assert narrow.epsilon is not None and wide.epsilon is not None  # noqa: PT018
    epsilon = torch.where(even, narrow.epsilon, wide.epsilon).double()
    mixed = attacked(subject.new(), case, narrow, epsilon=epsilon).success
    alone = torch.where(
        even, attacked(subject.new(), case, narrow).success, attacked(subject.new(), case, wide).success
    )
    require(torch.equal(mixed, alone), f"{norm}: budgets of each sample give another result: use task.epsilon (n,)")


def check_respects_other_bounds(subject: Subject) -> None:
    """It breaks samples of another range than [0, 1]."""
    case = linear_case(bounds=(-2.0, 6.0), margin=0.4)
    norm = subject.new().norms[0]
    success = attacked(subject.new(), case, case.threat(norm)).success
    require(success.any(), f"{norm}: breaks nothing in {case.bounds}: clip to task.threat.bounds, scale with epsilon")


def check_does_nothing_without_a_budget(subject: Subject) -> None:
    """With epsilon 0 it gives back the inputs, and no error."""
    case = linear_case()
    for norm in subject.new().norms:
        result = attacked(subject.new(), case, case.threat(norm, 0.0))
        require(torch.equal(result.adversarials, case.inputs), f"{norm}: epsilon 0 changes the inputs")


def check_leaves_the_model_alone(subject: Subject) -> None:
    """Parameters, buffers, gradient flags, ``.grad`` and training modes of the model come back as they were."""
    case = network_case()
    case.model.train()
    parameters = list(case.model.parameters())
    parameters[0].requires_grad_(False)
    before = copy.deepcopy(case.model.state_dict())
    modes = [module.training for module in case.model.modules()]
    norm = subject.new().norms[0]
    with warnings.catch_warnings(record=True) as told:  # the engine puts weights back, and says so
        warnings.simplefilter("always")
        attacked(subject.new(), case, case.threat(norm))
    require(not any("changed weights" in str(one.message) for one in told), "changes weights of the model")
    changed = [name for name, value in case.model.state_dict().items() if not torch.equal(value, before[name])]
    require(not changed, f"changes {', '.join(changed)} of the model")
    require([p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1), "changes requires_grad")
    require(all(p.grad is None for p in parameters), "fills .grad of parameters: use task.gradient, not backward()")
    require([module.training for module in case.model.modules()] == modes, "changes the training mode")


def check_leaves_the_inputs_alone(subject: Subject) -> None:
    """Inputs and labels are not written to: the attack has copies of the caller's, which its own batches share."""
    case, watched = linear_case(), Watched(subject.new())
    attacked(watched, case, case.threat(subject.new().norms[0]))
    written = " and ".join(sorted(watched.written))
    require(not written, f"writes to the {written}: copy before an update in place")


def check_leaves_random_generators_alone(subject: Subject) -> None:
    """The caller's generators of torch, numpy and Python come back as they were."""
    case = linear_case()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    attacked(subject.new(), case, case.threat(subject.new().norms[0]))
    advice = "draw from task.noise, and seed nothing global"
    require(torch.equal(torch.get_rng_state(), before[0]), f"changes torch's global generator: {advice}")
    require((np.random.get_state()[1] == before[1]).all(), f"changes numpy's global generator: {advice}")  # type: ignore[index]
    require(random.getstate() == before[2], f"changes Python's global generator: {advice}")


def check_repeats_itself(subject: Subject) -> None:
    """The same seed gives the same result, whatever ran before on the same attack."""
    case, attack = linear_case(), subject.new()
    threat = case.threat(attack.norms[0])
    first = attacked(attack, case, threat, seed=3)
    torch.rand(7)  # a caller who draws in between changes nothing
    second = attacked(attack, case, threat, seed=3)
    same = torch.equal(first.adversarials, second.adversarials) and torch.equal(first.forwards, second.forwards)
    require(same, "a second run differs: draw from task.noise, and keep nothing on self between runs")


def check_does_not_depend_on_the_batch(subject: Subject) -> None:
    """A sample gets the same result alone and among others."""
    case = linear_case(dtype=torch.float64)  # where sums in another order do not turn a sign
    threat = case.threat(subject.new().norms[0])
    together = attacked(subject.new(), case, threat, early_end=False)
    options = Options(early_end=False)
    for i in range(3):
        rows = torch.tensor([i])
        single = make_problem(
            case.model,
            case.inputs[rows],
            case.labels[rows],
            threat,
            samples=rows,
            auxiliary=case.auxiliary,
            options=options,
        )
        result = run_attack(subject.new(), single)
        same = torch.allclose(result.adversarials[0], together.adversarials[i], rtol=0, atol=1e-6)
        alone, among = result.trace[:, 0], together.trace[:, i]
        same &= bool(among[len(alone) :].isnan().all())  # the others may search on when this one is done
        first = slice(0, min(len(alone), BEGINNING))
        same = same and torch.allclose(alone[first], among[first], rtol=0, atol=1e-3, equal_nan=True)
        require(same, "a sample alone ends elsewhere than in a batch: use per-sample norms and draw from task.noise")


def check_leaves_wrong_samples_alone(subject: Subject) -> None:
    """Samples that are wrong before the attack come back unchanged, marked as such, and cost nothing."""
    case = linear_case()
    wrong = torch.arange(len(case.labels)) % 2 == 0
    labels = torch.where(wrong, (case.labels + 1) % 4, case.labels)
    threat = case.threat(subject.new().norms[0])
    result = attacked(subject.new(), replace(case, labels=labels), threat)
    require(torch.equal(result.correct, ~wrong), "the result does not say which samples were wrong before the attack")
    require(torch.equal(result.adversarials[wrong], case.inputs[wrong]), "changes samples that were wrong already")
    require(not result.success[wrong].any(), "counts samples that were wrong already as successes")
    require(not result.forwards[wrong].any(), "spends queries on samples that were wrong already")


def check_returns_the_input_on_failure(subject: Subject) -> None:
    """A sample that it does not break comes back as it was."""
    case = linear_case()
    for norm in subject.new().norms:
        result = attacked(subject.new(), case, case.threat(norm, 1e-4))
        failed = ~result.success
        same = torch.equal(result.adversarials[failed], case.inputs[failed])
        require(same, f"{norm}: returns a changed input without success")


def check_success_is_true(subject: Subject) -> None:
    """What it reports as a success is misclassified by a fresh decision."""
    case = linear_case()
    for norm in subject.new().norms:
        result = attacked(subject.new(), case, case.threat(norm, 0.3))  # breaks some and not others
        with torch.no_grad():
            wrong = case.model(result.adversarials).argmax(1) != case.labels
        require(bool((wrong | ~result.success).all()), f"{norm}: reports successes that are classified correctly")


def check_reaches_targets(subject: Subject) -> None:
    """If it is tagged ``targeted``, it reaches given classes of a linear model."""
    if "targeted" not in subject.spec.tags:
        raise NotApplicable("not tagged targeted")
    case = linear_case()
    targets = (case.labels + 1) % 4
    norm = subject.new().norms[0]
    result = attacked(subject.new(), case, case.threat(norm, 3.0, targeted=True), targets=targets)
    reached = result.success.float().mean()
    require(
        reached >= 0.9, f"reaches {reached:.0%} of the targets of a linear model under a wide budget: descend the loss"
    )


def check_refuses_undefined_logits(subject: Subject) -> None:
    """A model that returns NaN during the search ends in NonFiniteLogits, never in a success."""
    case = NaNAway.case()
    try:
        attacked(subject.new(), case, case.threat(subject.new().norms[0]))
    except NonFiniteLogits:
        return
    raise AssertionError("NaN logits pass unnoticed: evaluate points through task, and do not mend its answers")


def check_counts_its_queries(subject: Subject) -> None:
    """``forwards`` covers every input that the model sees during the search."""
    case = linear_case()
    rows = count_rows(case.model)
    threat, count = case.threat(subject.new().norms[0]), len(case.labels)
    problem = make_problem(case.model, case.inputs, case.labels, threat, auxiliary=case.auxiliary)
    stages = subject.new().stages(problem)
    before = rows()  # what it costs to lay out the stages is no search
    result = attacked(subject.new(), case, threat, early_end=False)
    charged = int(result.forwards.sum())
    around = (1 if stages is None else len(stages)) * (2 * count + 1) + before  # engine: before, after, one to measure
    uncharged = rows() - before - charged - around
    require(charged > 0, "charges no query: ask the model through task.gradient, task.query or task.evaluate")
    require(uncharged <= 0, f"{uncharged} inputs went through the model uncharged: use task.query or task.charge")


def check_beats_random_noise(subject: Subject) -> None:
    """It breaks more samples of a linear model than random points of the same budget."""
    case = linear_case(32)
    for norm in subject.new().norms:
        threat = case.threat(norm)
        result = attacked(subject.new(), case, threat)
        epsilon = torch.full((32,), threat.epsilon or 0.0)
        noise = Noise.of(0, torch.arange(32), 0)
        points = random_start(norm, case.inputs, epsilon, noise, 1.0).clamp(*case.bounds)
        with torch.no_grad():
            lucky = float((case.model(points).argmax(1) != case.labels).float().mean())
        share = float(result.success.float().mean())
        require(share > lucky, f"{norm}: breaks {share:.0%}, random noise {lucky:.0%}: descend the loss")


def check_finds_small_perturbations(subject: Subject) -> None:
    """A minimum-norm attack comes within twice the least distance on a linear model."""
    if not subject.new().minimum_norm:
        raise NotApplicable("needs a budget")
    if "high-confidence" in subject.spec.tags:
        raise NotApplicable("tagged high-confidence: goes beyond the boundary")
    case = linear_case(classes=2)
    weight = next(case.model.parameters()).detach().double()
    push = weight[case.labels] - weight[1 - case.labels]
    flat = case.inputs.flatten(1).double()
    for norm in subject.new().norms:
        result = attacked(subject.new(), case, ThreatModel(norm, None))
        require(result.success.float().mean() >= 0.9, f"{norm}: breaks too few samples although nothing limits it")
        for i in result.success.nonzero().flatten().tolist():
            half = float(result.distance[i]) / 2
            change = largest_change(push[i : i + 1], flat[i : i + 1], norm, half, case.bounds)
            margin = (push[i] * flat[i]).sum()
            require(change[0] < margin, f"{norm}: half of its distance {2 * half:.3g} is enough: search closer")


def check_works_as_a_foolbox_attack(subject: Subject) -> None:
    """Called as Foolbox calls its own attacks it gives ``raw, clipped, success``."""
    try:
        from advplug.interop import as_foolbox_model
    except ModuleNotFoundError as error:
        raise NotApplicable(f"{error.name} is not installed") from error
    case, attack = linear_case(), subject.new()
    threat = case.threat(attack.norms[0])
    inputs, labels = case.inputs.clone(), case.labels.clone()
    options = {"epsilons": [threat.epsilon], "norm": threat.norm, "auxiliary": case.auxiliary}
    found = attack(as_foolbox_model(case.model), inputs, labels, **options)
    require(isinstance(found, tuple) and len(found) == 3, "gives no (raw, clipped, success): leave __call__ alone")
    points, clipped, success = found
    require(points[0].shape == clipped[0].shape == case.inputs.shape, "raw and clipped are not like the inputs")
    require(success.shape == (1, len(case.labels)), "success has no shape (budgets, samples)")
    free = replace(threat, epsilon=None) if attack.minimum_norm else threat  # Foolbox applies the budget afterwards
    result = attacked(subject.new(), case, free)
    expected = result.success
    if attack.minimum_norm:
        expected = expected & (result.distance <= (threat.epsilon or 0) * (1 + TOLERANCE))
    require(torch.equal(success[0], expected), "succeeds elsewhere than under advplug.run: leave __call__ alone")
