"""The bound on KL holds wherever it is asked for, and decides as measuring would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acdc import tasks
from acdc.algorithms import greedy, kl_bounds, rough_logits, trials
from acdc.algorithms.greedy import GreedyPruning, Pruned
from acdc.algorithms.kl_bounds import Anchor, KLScreen
from acdc.algorithms.trials import Trials
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.model.parts import Norm
from acdc.graphs.model.unembedding import Unembedding
from acdc.graphs.nodes import LOGITS, Receiver
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import KLDivergence, LogitDifference, Targets
from acdc.tasks.pairs import ScoredPosition
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import TextPair, TokenPair
from tests.graphs.test_hand_weighted import CLEAN, CORRUPT, hand_weighted


@pytest.fixture(params=[False, True], ids=["bounded", "rough"])
def rough(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the sum over the rest is also worked out roughly, whatever this processor is good at."""
    asked: bool = request.param
    monkeypatch.setattr(rough_logits, "suits", lambda device, dtype, width: asked)
    return asked


def bounded(screen: KLScreen, anchor: Anchor, start: Tensor, states: Tensor, rough: Tensor | None = None) -> Tensor:
    """By how much KL rises at most from `start` to the first state and on, by rough logits for some steps if asked."""
    path = screen.path(anchor, start, states)
    return screen.bounds(path) if rough is None else screen.rough_bounds(path, rough)


@pytest.fixture
def problem(measurable: Problem, rough: bool) -> Problem:  # which sums are worked out
    return replace(measurable, metric=KLDivergence())


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 10.0])
def test_no_rise_is_above_its_bound(problem: Problem, scale: float) -> None:
    for batch in problem.batches:
        executor = IncrementalExecutor(batch.runs)
        executor.try_removals(Receiver(LOGITS), [3, 1])
        executor.accept(2)
        screen = KLScreen(problem.model.unembedding, batch.targets)
        anchor = screen.anchor(executor.residual, executor.logits)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(20, *executor.residual.shape, generator=generator, dtype=torch.float64)
        start = executor.residual + scale * noise[0]
        residuals = executor.residual + scale * noise[1:]
        values = problem.metric(executor.unembed(residuals), batch.targets).sum(-1)
        before = torch.cat((problem.metric(executor.unembed(start[None]), batch.targets).sum(-1), values[:-1]))
        for roughly in (None, torch.ones(len(residuals), dtype=torch.bool))[: 1 + screen.has_rough]:
            assert (values - before <= bounded(screen, anchor, start, residuals, roughly) + 1e-12).all()


def test_a_bound_tells_small_steps_from_nothing_at_all(problem: Problem) -> None:
    batch = problem.batches[0]  # type: ignore[index]  # held, since nothing limits it
    executor = IncrementalExecutor(batch.runs)
    executor.try_removals(Receiver(LOGITS), [1])
    executor.accept(1)
    screen = KLScreen(problem.model.unembedding, batch.targets)
    anchor = screen.anchor(executor.residual, executor.logits)
    step = torch.zeros(1, *executor.residual.shape, dtype=torch.float64)
    step[..., 0] = 1e-4
    rise = problem.metric(executor.unembed(executor.residual + step), batch.targets).sum()
    rise = rise - problem.metric(executor.logits, batch.targets).sum()
    bound = bounded(screen, anchor, executor.residual, executor.residual + step)
    assert float(bound[0]) == pytest.approx(float(rise), rel=0.05, abs=1e-9)


def test_what_a_bound_adds_falls_with_the_square_of_a_step(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tokens are not worked out, but the gradient of their sum is."""
    monkeypatch.setattr(kl_bounds, "_PART", 1 << 30)
    batch = problem.batches[0]  # type: ignore[index]  # held, since nothing limits it
    executor = IncrementalExecutor(batch.runs)
    screen, now = KLScreen(problem.model.unembedding, batch.targets), executor.residual
    anchor = screen.anchor(now, executor.logits)
    assert anchor.log_shares.shape[-1] < executor.logits.shape[-1] / 2
    step = torch.randn(now.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def added(size: float) -> float:
        values = problem.metric(executor.unembed(torch.stack((now, now + size * step))), batch.targets).sum(-1)
        return float(bounded(screen, anchor, now, (now + size * step)[None])[0] - (values[1] - values[0]))

    assert added(1e-3) > 1e-9
    assert added(5e-4) == pytest.approx(added(1e-3) / 4, rel=0.1)


def test_the_ratio_of_sums_is_bounded_wherever_in_its_bounds_the_rest_lies() -> None:
    """It rises by a tenth at most and to e^2 times as much at most: between, where both say the same, it is largest."""
    least, most, rise, likely = 1e-6, 0.5, 0.1, 0.01
    one = torch.ones(1, dtype=torch.float64)
    rest = kl_bounds._Rest(least * one, most * one, rise * one[None], 0 * one, 1e-12 * one, 2.0)
    moved, log_likely = torch.stack((0 * one, one))[..., None], (likely * one).log().expand(2, 1)
    anchor = Anchor(0 * one[None], one[None], one[None], rest, kl_bounds._FromModel(one, one))
    bound = float(kl_bounds._log_ratio(kl_bounds.ResidualPath(anchor, moved, one.expand(2, 1), log_likely)))
    possible = torch.linspace(math.log(least), math.log(most), 1000, dtype=torch.float64).exp()
    ratios = (likely + torch.minimum(possible + rise, possible * math.exp(2))) / (likely + possible)
    assert float(ratios.max()) > max(float(ratios[0]), float(ratios[-1])) + 1
    assert bound >= float(ratios.max().log())


def test_decisions_and_scores_are_those_of_measuring_everything(problem: Problem) -> None:
    full, none = problem.bounds
    screened, measured = with_and_without_bounds(problem, abs(full - none) / 50)
    assert screened.circuit == measured.circuit
    assert screened.tested == measured.tested
    assert dict(screened.circuit.scores) == pytest.approx(dict(measured.circuit.scores), rel=0, abs=1e-10)
    assert screened.closest <= measured.closest + 1e-12


def with_and_without_bounds(problem: Problem, threshold: float) -> tuple[Pruned, Pruned]:
    screened = GreedyPruning(threshold).discover(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials.KLScreen, "suits", staticmethod(lambda problem: False))
        return screened, GreedyPruning(threshold).discover(problem)


SCALES = (1.0, 1.5, 3.0, 10.0, 30.0)
"""Of the unembedding: at the last ones the softmax is one-hot to any precision."""
TASKS = ("agreement", "periodic", "siit_lookup", "siit_pick", "planted_hops", "tracr_reverse")
"""On every model that is shipped, a planted and a compiled one."""


@pytest.mark.usefixtures("rough")
@pytest.mark.parametrize(
    ("task", "dtype"), [*((task, torch.float32) for task in TASKS), *((task, torch.float64) for task in TASKS[-3:])]
)
def test_bounds_never_decide_otherwise_than_measuring_does_however_confident_the_model(
    task: str, dtype: torch.dtype
) -> None:
    setup = Setup(prompts=2, metric="kl").on(dtype=str(dtype).removeprefix("torch."))
    model = load_named(tasks.get(task).model, setup)
    assert_same_decisions(problems(tasks.get(task), model, setup)[0])


@pytest.mark.usefixtures("rough")
@pytest.mark.parametrize("finer", [{"positions": "slots"}, {"split": "m0"}], ids=str)
def test_nor_where_edges_are_by_position_or_mlps_are_split(finer: dict[str, str]) -> None:
    setup = Setup(prompts=2, metric="kl", **finer)
    model = load_named(tasks.get("periodic").model, setup)
    assert_same_decisions(problems(tasks.get("periodic"), model, setup)[0])


@pytest.mark.usefixtures("rough")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nor_on_the_model_weighted_by_hand(dtype: torch.dtype) -> None:
    model = hand_weighted(dtype)
    text = TextPair("c a b a", "a b c b", ("b",), ("c",))
    pair = TokenPair(tuple(CLEAN[0].tolist()), tuple(CORRUPT[0].tolist()), (ScoredPosition(3, (1,), (2,)),), text)
    assert_same_decisions(Problem(model, PromptPairs((pair,)), KLDivergence()))


class Both(Trials):
    """Trials that measure all that they bound, and compare what would be decided."""

    bounded = 0

    def _screened(self, receiver: Receiver, senders: Sequence[int], enough: float) -> Tensor:
        before = self.now
        costs = super()._screened(receiver, senders, enough)
        values = self._mean([executor.unembed(executor.residuals) for executor in self._executors])
        measured = torch.diff(values, prepend=torch.tensor([before], dtype=values.dtype))
        assert first(~(costs < enough)) == first(~(measured < enough)), (receiver.name, enough, costs, measured)
        type(self).bounded += int(self._values is not None and self._values.isnan().sum())
        return costs


class Remembering(IncrementalExecutor):
    """What the last removals tried would make of the final residuals."""

    def try_residuals(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True, at_once: int | None = None
    ) -> Tensor:
        self.residuals = super().try_residuals(receiver, senders, together=together, at_once=at_once)
        return self.residuals


def first(which: Tensor) -> int | None:
    return next(iter(which.nonzero().flatten().tolist()), None)


def assert_same_decisions(problem: Problem) -> None:
    """At every scale and three thresholds each; not below what rounding alone may be, by which anything may differ."""
    weight = problem.model.unembedding.weight
    original, found, bounded = weight.clone(), 0, Both.bounded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "Trials", Both)
        patch.setattr(trials, "IncrementalExecutor", Remembering)
        patch.setattr(kl_bounds, "_PART_ROUGH", 1 << 30)
        patch.setattr(kl_bounds, "_PART", 1 << 30)  # so that most of these small vocabularies is bounded
        patch.setattr(kl_bounds, "_FEWEST", 4)
        for scale in SCALES:
            weight.copy_(original * scale)
            scaled = replace(problem)
            full, none = scaled.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0].mean(-1)
            for part in (0.2, 0.05, 0.01):
                circuit = GreedyPruning(max(part * float(none - full), 1e-3)).discover(scaled).circuit
                found += len(circuit) > 0
    assert found >= 6, "circuits of nothing would be the same under any bound"
    assert Both.bounded > bounded, "bounds decided something"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_half_precision_everything_is_measured(dtype: torch.dtype) -> None:
    setup = Setup(prompts=8, metric="kl").on(dtype=str(dtype).removeprefix("torch."))
    problem = problems(tasks.get("agreement"), load_named("everyday-4l", setup), setup)[0]
    assert not KLScreen.suits(problem)
    assert 15 < len(GreedyPruning(1e-3).discover(problem).circuit) < 60, "float32 keeps 33"


@given(
    seed=st.integers(0, 2**31),
    vocabulary=st.integers(2, 40),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    scale=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 30.0, 1e3]),
    distance=st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1.0, 100.0]),
    offset=st.sampled_from([0.0, 1.0, 1e5]),
    at_its_best=st.booleans(),
    prompts=st.integers(1, 3),
    likely=st.sampled_from([1, 5, 40]),
    rough=st.booleans(),
)
@settings(max_examples=600)
def test_no_measured_rise_is_above_its_bound_whatever_the_logits(
    seed: int,
    vocabulary: int,
    dtype: torch.dtype,
    scale: float,
    distance: float,
    offset: float,
    at_its_best: bool,
    prompts: int,
    likely: int,
    rough: bool,
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    unembedding = Unembedding(Norm("none"), scale * drawn(vocabulary, 4), drawn(vocabulary), None)
    residual = offset + drawn(prompts, 4)
    reference = unembedding(residual if at_its_best else residual + drawn(prompts, 4))
    columns = torch.zeros(prompts, 1, dtype=torch.long)
    targets = Targets(columns, columns, reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rough_logits, "suits", lambda device, dtype, width: rough)
        screen = KLScreen(unembedding, targets)
    states = residual + distance * drawn(6, prompts, 4).cumsum(0)
    measured = KLDivergence()(unembedding(torch.cat((residual[None], states))), targets).double().sum(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kl_bounds, "_PART", 1 << 30)
        patch.setattr(kl_bounds, "_FEWEST", likely)
        patch.setattr(kl_bounds, "_PART_ROUGH", 1 << 30)
        patch.setattr(kl_bounds, "_UNLIKELY", math.inf)
        patch.setattr(kl_bounds, "_UNLIKELY_ROUGH", math.inf)
        anchor = screen.anchor(residual, unembedding(residual))
        elsewhere = screen.anchor(states[2], unembedding(states[2]))
    assert torch.equal(anchor.rows, elsewhere.rows), "tokens that may not be the likeliest there any more"
    for known in (anchor, elsewhere):
        bounds = bounded(screen, known, residual, states, torch.ones(len(states)).bool() if rough else None)
        assert not (torch.diff(measured) > bounds).any(), (torch.diff(measured), bounds)
    bounds = bounded(screen, anchor, residual, states)
    assert not (torch.diff(measured) > bounds).any(), (torch.diff(measured), bounds)
    assert not (torch.diff(measured) > bounded(screen, elsewhere, residual, states)).any()
    if scale and distance and measured.isfinite().all():
        assert (~(bounds <= 0) | (torch.diff(measured) <= 0)).all(), "a bound is 0 only where nothing rises"


def test_only_kl_is_screened(measurable: Problem, problem: Problem) -> None:
    assert KLScreen.suits(problem)
    assert not KLScreen.suits(replace(measurable, metric=LogitDifference()))


@pytest.mark.parametrize("size", [1.0, 4.0, 16.0])
def test_what_bfloat16_rounds_most_is_within_the_bound(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and steps whose every number lies just below the middle of two that bfloat16 has: all are rounded down."""
    monkeypatch.setattr(rough_logits, "suits", lambda device, dtype, width: True)
    width, worst = 256, 1 + 0.999 * 2.0**-8
    rows = torch.cat((torch.full((1024, width), worst), torch.full((1024, width), -worst)))
    unembedding = Unembedding(Norm("none"), rows, None, None)
    step = torch.full((1, width), worst * 2.0 ** round(math.log2(size / width)))
    states = torch.stack((torch.zeros(1, width), step))
    logits = unembedding(states)
    column = torch.zeros(1, 1, dtype=torch.long)
    targets = Targets(column, column, logits[0])
    screen = KLScreen(unembedding, targets)
    rise = KLDivergence()(logits, targets).double().diff(dim=0).sum()
    bound = bounded(screen, screen.anchor(states[0], logits[0]), states[0], states[1:], torch.tensor([True]))
    assert float(rise) > 0.1 * size
    assert float(rise) <= float(bound[0]) < 1.2 * float(rise)
