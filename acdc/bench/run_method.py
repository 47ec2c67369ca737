"""Put a problem to a method and get what it says about the whole graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from typing_extensions import assert_never

from acdc.bench.answer import AbstractAnswer, Family, Ranking
from acdc.discovery.scored_search import ScoredSearch
from acdc.discovery.search import search
from acdc.discovery.threshold_sweep import ThresholdSweep
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.settings import KeptFaithfulness, Method

LOWEST = 1e-5
"""The lowest threshold that pruning is run at, as a part of what ablating the whole model costs."""

End = TypeVar("End")


def answer(problem: Problem, method: Method, *, thresholds: int = 17, seed: int = 0) -> AbstractAnswer:
    """A score for every edge where the method scores edges; where it prunes, its circuits at falling thresholds.

    There are as many `thresholds`, one times the next, from what ablating the whole model costs down to `LOWEST` of it.
    `seed` is for the methods that draw random numbers.

    Raises: UnmeasurableBehaviour; BadSetting when the method cannot use the metric.
    """
    plan = search(method, KeptFaithfulness(), seed)
    match plan:
        case ScoredSearch():
            return Ranking(drain(plan.scorer.walk(problem)))
        case ThresholdSweep():
            full, none = problem.bounds
            circuits: list[Circuit] = []
            for step in range(thresholds):
                threshold = abs(full - none) * LOWEST ** (step / max(1, thresholds - 1))
                pruned = drain(replace(plan.pruning, threshold=threshold).walk(problem))
                circuits.append(pruned.circuit.pruned())
            return Family(problem.graph, tuple(dict.fromkeys(circuits)))
        case _:
            assert_never(plan)
