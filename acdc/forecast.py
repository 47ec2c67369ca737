"""What a discovery would cost, before it is run: edges, forward passes, memory, and time measured on a few edges."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.masks import LearnedMasks
from acdc.algorithms.scores import AbstractScorer
from acdc.algorithms.sizing import ScoredSearch
from acdc.algorithms.trials import Trials
from acdc.discovery import search
from acdc.goals import KeptFaithfulness
from acdc.method import Method
from acdc.problem import Problem

_PROBES = 6


@dataclass(frozen=True)
class Forecast:
    """The cost of one run: of pruning at one threshold, or of scoring all edges.

    `passes` are the candidate removals of a pruning run at most, or the runs of the model that scoring takes; `bytes`
    the memory above the loaded model; `seconds` the time of them all where nothing has been pruned yet, so a bound:
    what is pruned costs nothing any more. A goal other than a threshold takes several runs.
    """

    edges: int
    receivers: int
    passes: int
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def forecast(problem: Problem, method: Method) -> Forecast:
    """Measure a few edges, spread over the layers, and add up what all would cost.

    Raises: UnmeasurableBehaviour, and BadSetting where the method cannot use the metric.
    """
    _ = problem.bounds
    graph = problem.graph
    plan = search(method, KeptFaithfulness())
    if isinstance(plan, ScoredSearch) and not isinstance(plan.scorer, ExactPatching):
        seconds, passes = _timed(plan.scorer, problem)
        room = plan.scorer.bytes_per_step(problem) if isinstance(plan.scorer, LearnedMasks) else 0
    else:
        seconds, room = _probed(problem, method)
        passes = graph.n_edges
    held = sum(
        tensor.numel() * tensor.element_size()
        for batch in problem.batches
        for tensor in (batch.runs.delta, batch.runs.floor.outputs, *batch.runs.floor.residuals.values())
    )
    return Forecast(graph.n_edges, len(graph.receivers), passes, held + room, seconds)


def _timed(scorer: AbstractScorer, problem: Problem) -> tuple[float, int]:
    """The seconds that a scoring would take, and its pieces of work; the first also gets everything ready."""
    walk = scorer.walk(problem)
    began = time.perf_counter()
    total = next(walk).total
    ready = time.perf_counter()
    more = max(1, total // 50) if total > 1 else 0
    for _ in range(more):
        next(walk)
    return ready - began + (total - 1) * (time.perf_counter() - ready) / max(1, more), total


@torch.no_grad()
def _probed(problem: Problem, method: Method) -> tuple[float, int]:
    """The seconds that testing every edge of the whole model would take, and the bytes of the largest batch."""
    graph = problem.graph
    trials = Trials(problem, method.max_bytes)
    last = len(graph.receivers) - 1
    probed = {round(last * step / (_PROBES - 1)) for step in range(_PROBES)}
    seconds, largest, untimed, pace = 0.0, 0, 0, 0.0
    for place, receiver in enumerate(reversed(graph.receivers)):
        trials.begin(receiver)
        reads = graph.reads(receiver)
        untimed += reads
        if place in probed:
            senders = list(range(min(16, reads, trials.room(receiver))))
            largest = max(largest, method.max_bytes // trials.room(receiver) * len(senders))
            began = time.perf_counter()
            trials.costs(receiver, senders)
            pace = (time.perf_counter() - began) / len(senders)
            seconds, untimed = seconds + pace * untimed, 0
    return seconds + pace * untimed, largest
