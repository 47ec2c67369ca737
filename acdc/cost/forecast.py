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
from acdc.algorithms.coarse_to_fine import STAGES, CoarseToFine
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import Step, Tried
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.scores import AbstractScorer, ScoringStep
from acdc.discovery.pruning_runs import Pruning, prunes
from acdc.discovery.search import algorithm_of
from acdc.discovery.selection import Rule, Selection
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour
from acdc.footprint import MEMORY_FACTOR, Footprint
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS
from acdc.problem import Problem
from acdc.settings import Goal, Method, Minutes, Threshold

_IN_GROUPS = (GroupedPruning, CoarseToFine)
_BUDGET = 30.0
"""Seconds that a run is sampled for."""
_TYPICAL = 1 / 64  # of the whole effect: the threshold of the later, slower runs of a sweep


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
        return {"from": "sample", **asdict(self)}


def forecast(problem: Problem, method: Method, goal: Goal, *, budget: float = _BUDGET) -> Forecast:
    """Run a part of a discovery, for about `budget` seconds, and tell what all of it would cost.

    Raises: UnmeasurableBehaviour, and BadSetting where the method cannot use the metric.
    """
    full, none = problem.bounds
    graph, algorithm = problem.graph, algorithm_of(method)
    sample = _sample(problem, method.max_bytes)
    more = len(problem.pairs) / len(sample.pairs)
    longest = max(pair.length * len(pair.scored) for pair in problem.pairs.pairs)
    footprint = footprint_of(problem).batch(MEMORY_FACTOR * method.max_bytes, longest)
    trials = footprint.trials(method.max_bytes, vocabulary=problem.metric.needs_vocabulary)
    if not prunes(algorithm):
        seconds, passes, working = _scored(algorithm, sample, budget)
        slowest = seconds
        if isinstance(algorithm, ExactPatching):
            passes, working = graph.n_edges, trials
        elif isinstance(algorithm, LearnedMasks):
            working = algorithm.bytes_per_step(problem)
        else:
            working = int(working * footprint.tokens / footprint_of(sample).tokens)
        working = max(working, trials) if method.refine else working
    else:
        threshold = goal.value if isinstance(goal, Threshold) else abs(full - none) * _TYPICAL
        seconds, slowest = _pruned(replace(algorithm, threshold=threshold), sample, budget)
        passes, working = graph.n_edges, trials
    if isinstance(goal, Minutes):  # whatever one run takes, no further one is begun that would take longer
        seconds, slowest = 60 * goal.minutes / more, max(60 * goal.minutes / more, slowest)
    return Forecast(
        graph.n_edges, len(graph.receivers), passes, footprint.peak(working), seconds * more, slowest * more
    )


def _sample(problem: Problem, max_bytes: int) -> Problem:
    """The problem on the first of its prompts, as many as a batch of trials may take."""
    room = max(2, int(len(problem.pairs) * min(1.0, max_bytes / footprint_of(problem).runs)))
    return problem if room >= len(problem.pairs) else problem.on(problem.pairs.select(range(room)))


def _pruned(pruning: Pruning, problem: Problem, budget: float) -> tuple[float, float]:
    """The seconds that a run would likely take, and those if more of the model were reached, from its first part.

    The walk from the logits back tries the edges into what it has reached, at a steady pace; how many these will be is
    what attribution expects. What removes groups decides all edges.
    """
    began = time.perf_counter()
    tried, decided = 1, 0.0
    stages = STAGES[pruning.level] if isinstance(pruning, CoarseToFine) else ("",)
    for step in pruning.walk(problem) if isinstance(pruning, _IN_GROUPS) else pruning.batches(problem):
        match step:
            case Tried():
                tried = step.tested
            case Step():
                decided = step.done / step.total
            case Bisection():
                decided = (stages.index(step.stage) + step.decided / step.total) / len(stages)
            case ScoringStep():  # nothing is decided yet
                continue
        if time.perf_counter() - began > budget:
            break
    spent = time.perf_counter() - began
    if decided == 1 or isinstance(pruning, _IN_GROUPS):
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
        counts.append(sum(len(graph.may_read(receiver)) for receiver in graph.receivers if receiver.node in nodes))
    return counts[0], counts[1]


def _scored(scorer: AbstractScorer, problem: Problem, budget: float) -> tuple[float, int, int]:
    """The seconds that a scoring would take, its pieces of work, and the bytes that a gradient keeps."""
    walk = scorer.walk(problem)
    began = time.perf_counter()
    with _kept_for_gradients(problem.model) as kept:
        last = first = next(walk)
        ready = time.perf_counter()
        for step in walk:
            last = step
            if time.perf_counter() - began > budget:
                break
    pace = (time.perf_counter() - ready) / max(1, last.done - first.done)
    return ready - began + (last.total - first.done) * pace, last.total, max(kept, default=0)


@contextmanager
def _kept_for_gradients(model: Model) -> Iterator[list[int]]:
    """Inside, hear of the bytes that are kept for every backward pass, the model's own weights aside."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.bridge.original_model.parameters()}
    sizes: dict[int, int] = {}
    passes: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        passes[:] = [sum(sizes.values())]
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield passes


def footprint_of(problem: Problem) -> Footprint:
    """What is known of the memory of a problem from shapes."""
    pairs = problem.pairs.pairs
    return Footprint(
        problem.graph,
        problem.model.unembedding.weight.shape[0],
        torch.finfo(problem.model.dtype).bits // 8,
        sum(len(pair.scored) for pair in pairs),
        sum(pair.length * len(pair.scored) for pair in pairs),
        problem.ablation is Ablation.RESAMPLE,
    )
