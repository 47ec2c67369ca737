"""What a discovery would cost, before it is run: passes, memory, and time, from a small part of the run itself.

A removal costs what its receiver can still reach, and that depends on what is pruned before it. So pruning is begun in
earnest, on as many prompts as fit into the memory of a batch of trials, and broken off after a while; attribution says
how much of the model the rest of it would reach.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import Step, Tried
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.algorithms.masks import LearnedMasks
from acdc.algorithms.scores import AbstractScorer, ScoringStep
from acdc.discovery.pruning_runs import Pruning, prunes
from acdc.discovery.search import algorithm_of
from acdc.discovery.selection import Rule, Selection
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.nodes import LOGITS
from acdc.problem import Problem
from acdc.settings import Goal, Method, Minutes, Threshold

_BUDGET = 30.0
"""Seconds that a run is sampled for."""
_TYPICAL = 1 / 64  # of the whole effect: the threshold of the later, slower runs of a sweep
_COPIES = 5  # of the logits of all circuits that a metric holds at once, KL the most
_TRIALS, _CACHE = 8, 1 << 23  # 16 trials run together at least, of about half of the model; more, if they are small
_JUDGED = 3  # circuits that are measured together in the end


@dataclass(frozen=True)
class Forecast:
    """The cost of one run: of pruning at one threshold, or of scoring all edges.

    `passes` are the candidate removals of a pruning run at most, or the runs of the model that scoring takes; `bytes`
    the memory above the loaded model; `seconds` the time of them all, most likely, and `slowest` where more of the
    model is reached than attribution expects. A goal other than a threshold takes several pruning runs.
    """

    edges: int
    receivers: int
    passes: int
    bytes: int
    seconds: float
    slowest: float

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def forecast(problem: Problem, method: Method, goal: Goal, *, budget: float = _BUDGET) -> Forecast:
    """Run a part of a discovery, for about `budget` seconds, and tell what all of it would cost.

    Raises: UnmeasurableBehaviour, and BadSetting where the method cannot use the metric.
    """
    full, none = problem.bounds
    graph, algorithm = problem.graph, algorithm_of(method)
    sample = _sample(problem, method.max_bytes)
    more = len(problem.pairs) / len(sample.pairs)
    memory = _Memory.of(problem, method)
    if not prunes(algorithm):
        seconds, passes, working = _scored(algorithm, sample, budget)
        slowest = seconds
        if isinstance(algorithm, ExactPatching):
            passes, working = graph.n_edges, memory.trials
        elif isinstance(algorithm, LearnedMasks):
            working = algorithm.bytes_per_step(problem)
        else:
            working = int(working * more)
    else:
        threshold = goal.value if isinstance(goal, Threshold) else abs(full - none) * _TYPICAL
        seconds, slowest = _pruned(replace(algorithm, threshold=threshold), sample, budget)
        passes, working = graph.n_edges, memory.trials
    if isinstance(goal, Minutes):  # whatever one run takes, no further one is begun that would take longer
        seconds, slowest = 60 * goal.minutes / more, max(60 * goal.minutes / more, slowest)
    return Forecast(graph.n_edges, len(graph.receivers), passes, memory.peak(working), seconds * more, slowest * more)


def _sample(problem: Problem, max_bytes: int) -> Problem:
    """The problem on the first of its prompts, as many as a batch of trials may take."""
    room = max(2, int(len(problem.pairs) * min(1.0, max_bytes / _Memory.of_runs(problem))))
    return problem if room >= len(problem.pairs) else problem.on(problem.pairs.select(range(room)))


def _pruned(pruning: Pruning, problem: Problem, budget: float) -> tuple[float, float]:
    """The seconds that a run would likely take, and those if more of the model were reached, from its first part.

    The walk from the logits back tries the edges into what it has reached, at a steady pace; how many these will be is
    what attribution expects. What removes groups decides all edges.
    """
    began = time.perf_counter()
    tried, decided = 1, 0.0
    for step in pruning.walk(problem) if isinstance(pruning, GroupedPruning) else pruning.batches(problem):
        match step:
            case Tried():
                tried = step.tested
            case Step():
                decided = step.done / step.total
            case Bisection():
                decided = step.decided / step.total
            case ScoringStep():  # nothing is decided yet
                continue
        if time.perf_counter() - began > budget:
            break
    spent = time.perf_counter() - began
    if decided == 1 or isinstance(pruning, GroupedPruning):
        return spent / max(decided, 1 / problem.graph.n_edges), spent / max(decided, 1 / problem.graph.n_edges)
    expected, more = (max(tried, count) for count in _reached(problem, pruning.threshold))
    return spent * expected / tried, spent * more / tried


def _reached(problem: Problem, threshold: float) -> tuple[int, int]:
    """How many edges end where a circuit reaches: that of attribution at the threshold, and at a quarter of it.

    All of them, where the metric has no gradient.
    """
    graph, every = problem.graph, (problem.graph.n_edges, problem.graph.n_edges)
    if not problem.metric.differentiable:
        return every
    try:
        scored = drain(IntegratedGradients(tolerance=math.inf).walk(problem))
    except UnmeasurableBehaviour:
        return every
    selection = Selection.of(scored, Rule.TOP)
    counts = []
    for least in (threshold, threshold / 4):
        nodes = {LOGITS, *selection.above(least).nodes()}
        counts.append(sum(graph.reads(receiver) for receiver in graph.receivers if receiver.node in nodes))
    return counts[0], counts[1]


def _scored(scorer: AbstractScorer, problem: Problem, budget: float) -> tuple[float, int, int]:
    """The seconds that a scoring would take, its pieces of work, and the bytes that a gradient keeps."""
    walk = scorer.walk(problem)
    began = time.perf_counter()
    with _kept_for_gradients() as kept:
        last = first = next(walk)
        ready = time.perf_counter()
        for step in walk:
            last = step
            if time.perf_counter() - began > budget:
                break
    pace = (time.perf_counter() - ready) / max(1, last.done - first.done)
    return ready - began + (last.total - first.done) * pace, last.total, max(kept, default=0)


@contextmanager
def _kept_for_gradients() -> Iterator[list[int]]:
    """Inside, hear of the bytes that are kept for every backward pass."""
    sizes: dict[int, int] = {}
    passes: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        passes[:] = [sum(sizes.values())]
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield passes


@dataclass(frozen=True)
class _Memory:
    """What the parts of a discovery hold: the runs, logits of the model, a batch of trials, and measured circuits."""

    runs: int
    logits: int
    trials: int
    measuring: int

    @classmethod
    def of(cls, problem: Problem, method: Method) -> _Memory:
        """The bytes of each, from one batch of the problem."""
        batch = next(iter(problem.batches))
        vocabulary = problem.model.unembedding.weight.shape[0]
        wide = torch.finfo(problem.model.dtype).bits // 8
        prompts, graph = len(problem.pairs), problem.graph
        whole, row = batch.runs.delta.nbytes, batch.runs.delta[0].nbytes
        circuit = (len(graph.senders) + 5 * graph.n_heads + 10) * row
        return cls(
            cls.of_runs(problem),
            prompts * vocabulary * wide,
            min(method.max_bytes, max(_TRIALS * whole, _CACHE)) + whole,
            min(_JUDGED * circuit, 1 << 30) + _JUDGED * _COPIES * len(batch.prompts) * vocabulary * wide,
        )

    @staticmethod
    def of_runs(problem: Problem) -> int:
        """The bytes of the clean and ablated runs of all prompts."""
        tokens = sum(pair.length * len(pair.scored) for pair in problem.pairs.pairs)
        batch = next(iter(problem.batches))
        residuals = 2 * list(batch.runs.ablated.residuals.values())  # and the clean run's
        held = [batch.runs.delta, batch.runs.ablated.outputs, *residuals]
        return sum(tensor.nbytes for tensor in held) * tokens // max(1, batch.prompts.clean.numel())

    def peak(self, working: int) -> int:
        """The most that is held at once: while searching, or while judging on as many prompts again."""
        return max(
            self.runs + self.logits + max(working, self.measuring), 2 * (self.runs + self.logits) + self.measuring
        )
