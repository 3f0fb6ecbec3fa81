"""Which samples sentences are chosen on, and which are held out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from searched_models import Behind, breakable, images, job_of, problem_of, rounded

from advplug.composition import Plan
from advplug.composition.run import Named, search
from advplug.composition.sequence import candidates, chosen_half, fell_before, left_by_suite
from advplug.data import Images
from advplug.engine.result import AttackResult

COUNT = 24
HALF = Plan(held_out=True)
QUICK = Plan(trials=12, sentences=1, steps=10, held_out=True)
NAMED = Named(model="toy", data="images", threat="linf:0.08")


def after_suite(standing: int, *, random: bool = False) -> AttackResult:
    """A result of two stages that leave the first so many samples."""
    stage = torch.where(torch.arange(COUNT) < standing, -1, torch.arange(COUNT) % 2)
    fallen = stage >= 0
    problem = problem_of(Behind(), images(COUNT))
    result = AttackResult.empty(problem.inputs, torch.ones(COUNT).bool(), torch.zeros(COUNT))
    rate = fallen.float().where(fallen, torch.tensor(0.6 if random else 0.0))
    rates = torch.stack((rate / 2, rate), 1) if random else None
    tried = problem.inputs if random else None
    given = {"success": rate > 0.5, "success_rate": rate, "stage": stage, "rates": rates, "tried": tried}
    return replace(result, stages=("apgd-ce", "square"), **given)


def after_sentence(result: AttackResult, broken: torch.Tensor) -> AttackResult:
    """The same after a sentence that broke the samples ``broken``."""
    rate = torch.where(broken, 1.0, result.success_rate)
    rates = None if result.rates is None else torch.cat((result.rates, rate[:, None]), 1)
    stage = torch.where(broken, 2, result.stage)
    changed = {"success": result.success | broken, "success_rate": rate, "stage": stage, "rates": rates}
    return replace(result, stages=(*result.stages, "search 1: pgd"), **changed)


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("standing", [0, 1, 2, 3, 8, COUNT])
def test_what_the_suite_leaves_is_shared_evenly_and_so_is_the_rest(standing: int, random: bool) -> None:
    problem, result = problem_of(Behind(), images(COUNT)), after_suite(standing, random=random)
    half = chosen_half(problem, result)
    assert int(left_by_suite(result).sum()) == standing
    assert int(half.sum()) == COUNT // 2
    assert int((half & left_by_suite(result)).sum()) == (standing + 1) // 2
    later = after_sentence(result, half & left_by_suite(result))
    assert torch.equal(chosen_half(problem, later), half), "what the search breaks changes nothing"
    other = replace(problem, options=replace(problem.options, seed=1))
    assert standing in (0, COUNT) or not torch.equal(chosen_half(other, result), half)


@pytest.mark.parametrize("random", [False, True])
def test_sentences_are_tried_on_standing_samples_of_the_half_and_then_on_those_it_had(random: bool) -> None:
    problem, result = problem_of(Behind(), images(COUNT)), after_suite(6, random=random)
    mine = left_by_suite(result) & chosen_half(problem, result)
    first = candidates(problem, result, HALF)
    assert torch.equal(first.sort().values, mine.nonzero().squeeze(1))
    one = after_sentence(result, torch.arange(COUNT) == first[0])
    assert candidates(problem, one, HALF).tolist() == first[1:].tolist()
    later = after_sentence(result, mine)
    assert candidates(problem, later, HALF).tolist() == first.tolist(), "others stand, which none of these shows"
    assert torch.equal(fell_before(later)[first], torch.full((3,), 0.6 if random else 0.0))
    everything = after_sentence(result, left_by_suite(result))
    assert len(candidates(problem, everything, HALF)) == 0
    assert len(candidates(problem, result, Plan())) == 6


def test_a_single_sample_is_chosen_on_and_the_verdict_says_that_none_is_held_out() -> None:
    data = images()
    can, _ = breakable(data)
    rows = torch.cat((can.nonzero().squeeze(1)[:1], torch.arange(COUNT)[~can][:5]))
    labels = data.labels[rows]
    labels[1:] = 1 - labels[1:]  # these are wrong beforehand
    composition = search(job_of(Behind(rounded), Images(data.inputs[rows], labels)), QUICK, named=NAMED)
    assert composition.chosen_on.samples == composition.held_out.samples == 3
    assert (composition.chosen_on.standard, composition.held_out.standard) == (pytest.approx(1 / 3), 0)
    assert composition.together.search == 0
    assert composition.remark == "standard leaves one sample, which the search chose on: none that it left is held out."
