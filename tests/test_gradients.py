from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug.engine.gateway import Gateway
from advplug.engine.objective import Objective
from advplug.engine.query_counter import QueryCounter
from advplug.errors import AdvplugError, InvalidInput
from advplug.gradients import BPDA, EOT, Exact, FiniteDifference, GradientEstimator, Smoothed
from advplug.losses import Margin
from advplug.model import DefendedModel, PlainModel
from advplug.numerics.random_numbers import Noise


def _objective(model: DefendedModel, n: int = 4, max_rows: int = 1000, width: int = 6) -> Objective:
    counter = QueryCounter(n, torch.device("cpu"))
    gateway = Gateway(model, torch.zeros(1, width), max_rows=max_rows)
    return Objective(gateway, Margin(), torch.zeros(n).long(), None, torch.arange(n), counter)


def _noise(n: int = 4) -> Noise:
    return Noise.of(0, torch.arange(n), 0)


def _smooth() -> DefendedModel:
    torch.manual_seed(0)
    return PlainModel(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)).double(), 2)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a.flatten(1), b.flatten(1))


def test_exact_is_autograd_and_costs_one_pass_each() -> None:
    model, x = _smooth(), torch.randn(4, 6).double()
    objective = _objective(model)
    estimate = Exact()(objective, x, _noise(), 0)
    z = x.clone().requires_grad_()
    logits = model(z)
    (expected,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), z)
    torch.testing.assert_close(estimate.gradient, expected)
    torch.testing.assert_close(estimate.logits, logits.detach())
    assert objective.counter.forwards.tolist() == [1] * 4 == objective.counter.backwards.tolist()


@pytest.mark.parametrize("max_rows", [1, 7, 1000])
def test_finite_differences_approach_the_gradient_whatever_the_chunks(max_rows: int) -> None:
    model, x = _smooth(), 0.1 + 0.8 * torch.rand(4, 6).double()
    exact = Exact()(_objective(model), x, _noise(), 0).gradient
    objective = _objective(model, max_rows=max_rows)
    estimate = FiniteDifference(1e-3, 4000)(objective, x, _noise(), 0)
    assert (_cosine(estimate.gradient, exact) > 0.99).all()
    ratio = estimate.gradient.norm(dim=1) / exact.norm(dim=1)
    assert ((ratio - 1).abs() < 0.1).all(), "the estimate is of the gradient, not only of its direction"
    assert objective.counter.forwards.tolist() == [4001] * 4
    assert objective.counter.backwards.tolist() == [0] * 4


@pytest.mark.parametrize("estimator", [FiniteDifference(0.3, 20), Smoothed(0.3, 20, of=FiniteDifference(0.3, 4))])
def test_noise_stays_within_the_bounds(estimator: GradientEstimator) -> None:
    """A model may be defined there alone, such as a table that it looks pixels up in."""

    class Table(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            levels = torch.linspace(0, 1, 11).to(x)[(x * 10).round().long()]
            return torch.stack((levels.sum(1), levels[:, 0]), 1)

    x = torch.rand(4, 6).double()
    assert estimator(_objective(Table(2)), x, _noise(), 0).gradient.isfinite().all()


def test_the_query_schedule_follows_the_steps() -> None:
    estimator = FiniteDifference(0.1, ((0, 10), (3, 40), (5, 100)))
    assert [estimator.pairs(step) for step in (0, 2, 3, 4, 5, 50)] == [5, 5, 20, 20, 50, 50]


@pytest.mark.parametrize("queries", [1, (), ((1, 10),), ((0, 10), (0, 20)), ((0, 10), (5, 1))])
def test_a_bad_schedule_is_refused(queries: int | tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InvalidInput, match="queries"):
        FiniteDifference(0.1, queries)


def test_smoothing_averages_over_the_noise_and_judges_the_point_itself() -> None:
    """The smoothed gradient of a step function is where autograd sees nothing but zeros."""

    class Stairs(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            slope = x.sum(1, keepdim=True)
            return torch.cat((slope.round() + 0.1 * slope, torch.zeros_like(slope)), 1)

    model, x = Stairs(2), torch.randn(4, 6).double()
    estimate = Smoothed(0.5, 64, clip=False)(_objective(model), x, _noise(), 0)
    torch.testing.assert_close(estimate.gradient, torch.full_like(x, 0.1))
    torch.testing.assert_close(estimate.logits, model(x))
    differences = FiniteDifference(0.5, ((0, 4000),), clip=False)(_objective(model), x, _noise(), 0)
    assert (_cosine(differences.gradient, torch.ones_like(x)) > 0.97).all()
    assert ((differences.gradient.mean(1) - 1.1).abs() < 0.15).all(), "the stairs rise by 1 per unit"


def test_smoothing_may_clip_its_noise_and_join_the_point_itself() -> None:
    """On squares, whose gradient 2 x shows where it was taken: half of the noise at a bound is cut to it."""

    class Squares(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((x.square().sum(1, keepdim=True), x.new_zeros(len(x), 1)), 1)

    model, x, sigma = Squares(2), torch.zeros(4, 6).double(), 0.1
    mean = sigma / (2 * torch.pi) ** 0.5  # of the positive part of the noise
    free, cut, joined = (
        Smoothed(sigma, 4000, **options)(_objective(model), x, _noise(), 0).gradient.mean().item()
        for options in ({"clip": False}, {}, {"centre": True})
    )
    assert abs(free) < 0.05 * mean
    assert cut == pytest.approx(2 * mean, rel=0.05)
    assert joined == pytest.approx(cut * 4000 / 4001, rel=1e-6)
    counter = (objective := _objective(model)).counter
    Smoothed(sigma, 3, centre=True)(objective, x, _noise(), 0)
    assert counter.forwards.tolist() == [4] * 4 == counter.backwards.tolist()


class _Noisy(DefendedModel):
    stochastic = True

    def forward(self, x: Tensor) -> Tensor:
        push = torch.randn(len(x), 1, dtype=x.dtype)
        return torch.cat((x.sum(1, keepdim=True) * (1 + push), torch.zeros(len(x), 1, dtype=x.dtype)), 1)


def test_eot_averages_gradients_and_keeps_every_draw() -> None:
    torch.manual_seed(0)
    objective = _objective(_Noisy(2), max_rows=40)
    estimate = EOT(2000)(objective, torch.ones(4, 6).double(), _noise(), 0)
    assert ((estimate.gradient - 1).abs() < 0.15).all()
    assert estimate.logits.shape == (2000, 4, 2)
    assert estimate.logits[:, 0, 0].std() > 1, "copies of one input see different draws"
    assert objective.counter.backwards.tolist() == [2000] * 4


class _Quantised(DefendedModel):
    def forward(self, x: Tensor) -> Tensor:
        return self.surrogate((x * 4).round() / 4)

    def surrogate(self, x: Tensor) -> Tensor:
        total = x.square().sum(1, keepdim=True)
        return torch.cat((total, torch.zeros_like(total)), 1)


def test_bpda_has_the_value_of_the_defense_and_the_gradient_of_its_surrogate() -> None:
    model, x = _Quantised(2), torch.rand(4, 6).double()
    estimate = BPDA()(_objective(model), x, _noise(), 0)
    torch.testing.assert_close(estimate.logits, model(x))
    torch.testing.assert_close(estimate.gradient, 2 * x)
    assert (Exact()(_objective(model), x, _noise(), 0).gradient == 0).all(), "without it there is nothing to follow"


@pytest.mark.parametrize(
    "estimator",
    [EOT(3, of=BPDA()), BPDA(of=Smoothed(0.05, 3)), EOT(2, of=FiniteDifference(0.1)), EOT(2, of=EOT(2, of=BPDA()))],
)
def test_estimators_compose(estimator: GradientEstimator) -> None:
    estimate = estimator(_objective(_Quantised(2), max_rows=5), torch.rand(4, 6).double() + 0.2, _noise(), 0)
    assert estimate.gradient.shape == (4, 6)
    assert (_cosine(estimate.gradient, torch.ones(4, 6)) > 0.5).all()


def test_a_gradient_that_does_not_reach_the_input_is_missing() -> None:
    class Detached(DefendedModel):
        def __init__(self) -> None:
            super().__init__(2)
            self.__dict__["scale"] = torch.ones(2, requires_grad=True)  # not registered, and so not frozen

        def forward(self, x: Tensor) -> Tensor:
            return x.detach()[:, :2] * self.__dict__["scale"]

    with pytest.raises(AdvplugError, match=r"Detached gives no gradient: .* FiniteDifference"):
        Exact()(_objective(Detached()), torch.rand(4, 6), _noise(), 0)


def test_missing_gradients_and_surrogates_are_named() -> None:
    class Blind(DefendedModel):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(2)[torch.zeros(len(x)).long()].double()

    with pytest.raises(AdvplugError, match="FiniteDifference"):
        Exact()(_objective(Blind(2)), torch.rand(4, 6), _noise(), 0)
    with pytest.raises(InvalidInput, match="surrogate"):
        BPDA()(_objective(_smooth()), torch.rand(4, 6).double(), _noise(), 0)
    with pytest.raises(InvalidInput, match="draws"):
        EOT(0)
    with pytest.raises(InvalidInput, match="sigma"):
        FiniteDifference(0.0)


class _Shifted(DefendedModel):
    """Shifts its inputs by a random number of places, one for the whole pass or one for each input."""

    stochastic = True

    def __init__(self, each: bool) -> None:
        super().__init__(3)
        torch.manual_seed(0)
        self.each, self.linear = each, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.randint(0, 8, (len(x) if self.each else 1,)).expand(len(x))
        shifted = torch.stack([row.roll(int(place)) for row, place in zip(x, places, strict=True)])
        return self.linear(shifted)  # type: ignore[no-any-return]


@pytest.mark.parametrize("each", [True, False])
def test_eot_averages_independent_draws_however_the_model_draws(each: bool) -> None:
    model, x = _Shifted(each), torch.rand(2, 8)

    def spread(draws: int) -> float:
        found = []
        for seed in range(60):
            torch.manual_seed(seed)
            found.append(EOT(draws)(_objective(model, 2, width=8), x, _noise(2), 0).gradient)
        return float(torch.stack(found).std(0).mean())

    assert spread(1) / spread(16) == pytest.approx(4, rel=0.25)


def test_the_probe_of_draws_leaves_the_generators_alone() -> None:
    for each in (True, False):
        gateway = Gateway(_Shifted(each), torch.rand(1, 8))
        torch.manual_seed(5)
        before = torch.get_rng_state()
        assert gateway.draws_per_sample == each
        assert torch.equal(torch.get_rng_state(), before)
    assert Gateway(_smooth(), torch.rand(1, 6)).draws_per_sample
