"""Attacks: sound ones, and for every check one that fails it. ``BAD`` has them by the name of the check."""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import torch
from advplug_attack_pgd import PGD

from advplug.attack import Attack
from advplug.engine.task import Task
from advplug.numerics.tensors import raw, wrap

State = Any  # of PGD


class Good(PGD):
    """Few steps of projected gradient descent under linf."""

    norms = ("linf",)

    def __init__(self, *, steps: int = 10) -> None:
        super().__init__(steps=steps, random_start=False)


class GoodMinimumNorm(Attack):
    """Ever longer steps along the sign of the gradient, until the label changes."""

    norms = ("linf",)
    minimum_norm = True

    def run(self, task: Task) -> None:
        direction = raw(task.gradient(task.inputs)).sign()
        for length in torch.logspace(-3, 0, 40).tolist():
            task.evaluate(task.project(wrap(raw(task.inputs) - length * direction)))


class NeedsArgument(Good):
    def __init__(self, steps: int) -> None:
        super().__init__(steps=steps)


class NotAnAttack:
    pass


class ForgetsParameter(Good):
    def __init__(self, *, steps: int = 10) -> None:
        super().__init__(steps=steps + 1)


class HoldsLambda(Good):
    def __init__(self, *, steps: int = 10) -> None:
        super().__init__(steps=steps)
        self.decay = lambda t: 1 / (t + 1)


class WantsImages(Good):
    def init(self, task: Task) -> State:
        _, _, _, _ = task.inputs.shape
        return super().init(task)


class LeavesTheBox(Good):
    def run(self, task: Task) -> None:
        task.evaluate(
            task.inputs - 0.9 * ep.astensor(task.epsilon).reshape((-1, 1, 1, 1)) if _image(task) else task.inputs
        )
        super().run(task)


class Overshoots(Good):
    def run(self, task: Task) -> None:
        if _image(task):
            far = raw(task.inputs) + 1.5 * raw(task.epsilon).view(-1, 1, 1, 1)
            task.evaluate(wrap(far.clamp(*task.threat.bounds)))
        super().run(task)


class ReadsTheThreatModel(Good):
    def step(self, task: Task, state: State) -> State:
        state = super().step(task, state)
        epsilon, delta = task.threat.epsilon or 0.0, raw(state.x) - raw(task.inputs)
        return state._replace(x=task.project(wrap(raw(task.inputs) + delta.clamp(-epsilon, epsilon))))


class ClipsToUnitRange(Good):
    def step(self, task: Task, state: State) -> State:
        state = super().step(task, state)
        return state._replace(x=state.x.clip(0, 1))


class DividesByEpsilon(Good):
    def step(self, task: Task, state: State) -> State:
        state = super().step(task, state)
        epsilon = raw(task.epsilon).view(-1, *(1,) * (state.x.ndim - 1))
        share = (raw(state.x) - raw(task.inputs)) / epsilon
        return state._replace(x=task.project(wrap(raw(task.inputs) + share * epsilon)))


class FillsGrad(Good):
    def run(self, task: Task) -> None:
        for parameter in task.problem.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        super().run(task)


class WritesToLabels(Good):
    def run(self, task: Task) -> None:
        super().run(task)
        task.problem.labels.zero_()


class SeedsTheWorld(Good):
    def __init__(self, *, steps: int = 10) -> None:
        super().__init__(steps=steps)
        torch.manual_seed(0)


class Remembers(Good):
    """Starts the second run elsewhere than the first."""

    def __init__(self, *, steps: int = 10) -> None:
        super().__init__(steps=steps)
        self.runs = 0

    def init(self, task: Task) -> State:
        self.runs += 1
        state = super().init(task)
        return state if self.runs == 1 else state._replace(x=task.random_start())


class DrawsForTheBatch(Good):
    def init(self, task: Task) -> State:
        x = raw(task.inputs)
        noise = (2 * torch.rand(x.shape) - 1).to(x)
        return super().init(task)._replace(x=task.project(wrap(x + noise)))


class ChargesEverybody(Good):
    def run(self, task: Task) -> None:
        absent = torch.ones_like(task._counter.forwards)
        absent[raw(task.samples)] = 0
        task._counter.forwards += absent
        super().run(task)


class KeepsFailures(Good):
    """Leaves its last point in the result, broken or not."""

    def step(self, task: Task, state: State) -> State:
        state = super().step(task, state)
        _result(task).adversarials[raw(task.samples)] = raw(state.x).to(_result(task).adversarials)
        return state


class ClaimsEverything(Good):
    def run(self, task: Task) -> None:
        samples = raw(task.samples)
        super().run(task)
        _result(task).success[samples] = True


class IgnoresTargets(Good):
    def run(self, task: Task) -> None:
        if task.targets is None:
            super().run(task)
        else:
            task.evaluate(task.inputs)


class HidesNaN(Good):
    def run(self, task: Task) -> None:
        super().run(task)
        task.best_points.rows.finite.fill_(True)


class AsksInSecret(Good):
    def run(self, task: Task) -> None:
        with torch.no_grad():
            for _ in range(10):
                task.problem.model(raw(task.inputs))
        super().run(task)


class AscendsUnderL2(Good):
    norms = ("linf", "l2")

    def step(self, task: Task, state: State) -> State:
        step = super().step(task, state)
        return step if task.threat.norm == "linf" else step._replace(x=task.project(2 * state.x - step.x))


class JumpsToTheCorner(Attack):
    norms = ("linf",)
    minimum_norm = True

    def run(self, task: Task) -> None:
        up = task.gradient(task.inputs) > 0
        task.evaluate(ep.where(up, task.lower, task.upper))


class AnswersFoolboxOtherwise(Good):
    def __call__(self, model: Any, inputs: Any, criterion: Any, *, epsilons: Any, **options: Any) -> Any:
        return super().__call__(model, inputs, criterion, epsilons=epsilons, **options)[1]


def _image(task: Task) -> bool:
    return bool(task.inputs.ndim == 4)


def _result(task: Task) -> Any:
    """The result under construction, which is no business of an attack."""
    run: Any = task.tick
    return run.__self__.result


BAD = {
    "norms_are_declared": Good,  # with the tag l1
    "shows_its_parameters": ForgetsParameter,
    "is_picklable": HoldsLambda,
    "keeps_shape_dtype_and_type": WantsImages,
    "stays_in_bounds": LeavesTheBox,
    "respects_epsilon": Overshoots,
    "takes_a_budget_for_each_sample": ReadsTheThreatModel,
    "respects_other_bounds": ClipsToUnitRange,
    "does_nothing_without_a_budget": DividesByEpsilon,
    "leaves_the_model_alone": FillsGrad,
    "leaves_the_inputs_alone": WritesToLabels,
    "leaves_random_generators_alone": SeedsTheWorld,
    "repeats_itself": Remembers,
    "does_not_depend_on_the_batch": DrawsForTheBatch,
    "leaves_wrong_samples_alone": ChargesEverybody,
    "returns_the_input_on_failure": KeepsFailures,
    "success_is_true": ClaimsEverything,
    "reaches_targets": IgnoresTargets,
    "refuses_undefined_logits": HidesNaN,
    "counts_its_queries": AsksInSecret,
    "beats_random_noise": AscendsUnderL2,
    "finds_small_perturbations": JumpsToTheCorner,
    "works_as_a_foolbox_attack": AnswersFoolboxOtherwise,
}
TAGS = {"norms_are_declared": {"l1"}, "reaches_targets": {"targeted"}}
