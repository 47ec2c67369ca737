"""A measured number that is NaN or infinite decides nothing: it is refused, with what produced it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.grouped import GroupedPruning
from acdc.algorithms.one_minimal import OneMinimalSweep
from acdc.errors import NotFinite
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.problem import Effect, Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference, ProbabilityDifference


def broken(problem: Problem) -> Problem:
    """The same on a model in which one word's logit is no number."""
    unembedding = problem.model.unembedding
    weight = unembedding.weight.clone()
    weight[:, 0] = torch.inf
    model: Model = replace(problem.model, unembedding=replace(unembedding, weight=weight))
    return replace(problem, model=model)


@pytest.mark.parametrize("metric", [KLDivergence(), LogitDifference(), ProbabilityDifference()], ids=lambda m: m.name)
def test_measuring_refuses_what_is_not_finite(measurable: Problem, metric: KLDivergence) -> None:
    problem = replace(broken(measurable), metric=metric)
    with pytest.raises(NotFinite, match=rf"the {metric.name} of <Model .*float64> cannot be judged: got .*--dtype"):
        problem.measure([Circuit.full(problem.graph)])
    with pytest.raises(NotFinite):
        _ = problem.bounds


def test_no_algorithm_decides_by_it(measurable: Problem) -> None:
    problem = broken(measurable)
    for run in (
        lambda: GreedyPruning(0.1).discover(problem),
        lambda: GreedyPruning(0.1).discover(replace(problem, metric=KLDivergence())),
        lambda: OneMinimalSweep(0.1).refine(problem, Circuit.full(problem.graph)),
        lambda: [*GroupedPruning(0.1).walk(problem)],
    ):
        with pytest.raises(NotFinite):
            run()


def test_the_least_effect_that_shows_depends_on_the_precision() -> None:
    full, none = torch.full((4,), 3.0, dtype=torch.float64), torch.full((4,), 2.99, dtype=torch.float64)
    shows = [Effect.of(LogitDifference(), full, none, dtype).shows for dtype in (torch.float32, torch.bfloat16)]
    assert shows == [True, False]
