"""Put a problem to a method and get what it says about the whole graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from acdc.bench.answer import AbstractAnswer, Family, Ranking
from acdc.discovery.pruning_runs import prunes
from acdc.discovery.search import algorithm_of
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.settings import Method

LOWEST = 1e-5
"""The lowest threshold that pruning is run at, as a part of what ablating the whole model costs."""

End = TypeVar("End")


def answer(problem: Problem, method: Method, *, thresholds: int = 17, seed: int = 0) -> AbstractAnswer:
    """A score for every edge where the method scores edges; where it prunes, its circuits at falling thresholds.

    There are as many `thresholds`, one times the next, from what ablating the whole model costs down to `LOWEST` of it.
    `seed` is for the methods that draw random numbers.

    Raises: UnmeasurableBehaviour; BadSetting when the method cannot use the metric.
    """
    algorithm = algorithm_of(method, seed)
    if not prunes(algorithm):
        return Ranking(drain(algorithm.walk(problem)))
    full, none = problem.bounds
    circuits: list[Circuit] = []
    for step in range(thresholds):
        threshold = abs(full - none) * LOWEST ** (step / max(1, thresholds - 1))
        pruned = drain(replace(algorithm, threshold=threshold).walk(problem))
        circuits.append(pruned.circuit.pruned())
    return Family(problem.graph, tuple(dict.fromkeys(circuits)))
