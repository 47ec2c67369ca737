"""The bound on KL holds wherever it is asked for, and decides as measuring would."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.algorithms import trials
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.screen import KLScreen
from acdc.problem import Problem
from graphs.incremental import IncrementalExecutor
from graphs.nodes import LOGITS, Receiver
from tasks.metrics import KLDivergence, LogitDifference


@pytest.fixture
def problem(measurable: Problem) -> Problem:
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
        assert (values - before <= screen.bounds(anchor, start, residuals) + 1e-12).all()


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
    bound = screen.bounds(anchor, executor.residual, executor.residual + step)
    assert float(bound[0]) == pytest.approx(float(rise), rel=0.05, abs=1e-9)


def test_decisions_and_scores_are_those_of_measuring_everything(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, none = problem.bounds
    screened = GreedyPruning(abs(full - none) / 50).discover(problem)
    monkeypatch.setattr(trials.KLScreen, "suits", staticmethod(lambda problem: False))
    measured = GreedyPruning(abs(full - none) / 50).discover(problem)
    assert screened.circuit == measured.circuit
    assert screened.tested == measured.tested
    assert dict(screened.circuit.scores) == pytest.approx(dict(measured.circuit.scores), rel=0, abs=1e-10)
    assert screened.closest <= measured.closest + 1e-12


def test_only_kl_is_screened(measurable: Problem, problem: Problem) -> None:
    assert KLScreen.suits(problem)
    assert not KLScreen.suits(replace(measurable, metric=LogitDifference()))
