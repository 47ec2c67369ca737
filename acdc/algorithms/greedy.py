"""Greedy pruning: the original ACDC, with its decisions and without its price.

Source: Conmy et al. 2023 (arXiv:2304.14997), Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.errors import BadSetting
from acdc.problem import Batch, Problem
from graphs.circuit import Circuit
from graphs.incremental import IncrementalExecutor
from graphs.nodes import Edge, Receiver
from tasks.metrics import AbstractMetric


@dataclass(frozen=True)
class Step:
    """One receiver decided: how many of its edges were tested and kept, and how many receivers are done of how many."""

    receiver: Receiver
    tested: int
    kept: int
    done: int
    total: int


@dataclass(frozen=True)
class Pruned:
    """What greedy pruning leaves.

    `circuit` is what the walk kept, with each edge's score: how much the metric lost when the edge was removed from the
    circuit of that moment (positive: removing it weakens the behaviour). `tested` counts candidate removals,
    `evaluated` the circuits run for them, and `closest` how near the tightest decision came to the threshold.
    """

    circuit: Circuit
    tested: int
    evaluated: int
    closest: float


@dataclass(frozen=True)
class GreedyPruning:
    """Walk the receivers from the logits back; drop each edge whose removal costs less than `threshold`.

    The cost of a removal is how much worse the mean metric gets, in the metric's units, counted from the circuit of the
    moment; an edge whose removal improves the metric is always dropped. A receiver's senders are tried from the last
    layer to the first, MLP before heads, heads from the last to the first. A receiver whose node reaches nothing loses
    all its edges untested. Candidates are tried `batch` at a time at most (0: as many as pays and as fit into
    `max_bytes`), each on top of those before it; the decisions are those of one at a time.

    Raises: BadSetting when the threshold is not positive and finite or `batch` is negative.
    """

    threshold: float
    batch: int = 0
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if not 0 < self.threshold < math.inf:
            raise BadSetting(f"the threshold is {self.threshold}; wanted a positive number in the metric's units")
        if self.batch < 0:
            raise BadSetting(f"cannot try {self.batch} candidates at a time; wanted 1 or more, or 0 to leave it open")

    def discover(self, problem: Problem) -> Pruned:
        """The circuit left when every edge has been decided."""
        walk = self.walk(problem)
        while True:
            try:
                next(walk)
            except StopIteration as stop:
                pruned: Pruned = stop.value
                return pruned

    @torch.no_grad()
    def walk(self, problem: Problem) -> Generator[Step, None, Pruned]:
        """The same, receiver by receiver; the generator returns the `Pruned`."""
        graph, trials = problem.graph, [_Trials(batch, problem.metric) for batch in problem.batches]
        scores: dict[Edge, float] = {}
        tested, evaluated, closest, size = 0, 0, float("inf"), self.batch or 16
        for done, receiver in enumerate(reversed(graph.receivers), start=1):
            reaching = [trial.executor.begin(receiver) for trial in trials]  # each must begin, whatever the others say
            if not all(reaching):
                yield Step(receiver, 0, 0, done, len(graph.receivers))
                continue
            now = _mean(problem, [trial.current for trial in trials])[0]
            left = list(range(graph.reads(receiver)))[::-1]
            kept_before, tested_here = len(scores), len(left)
            limit = self._limit(receiver, trials)
            while left:
                candidates = left[: min(size, limit)]
                values = _mean(problem, [trial.run(receiver, candidates) for trial in trials])
                costs = (torch.cat((now[None], values[:-1])) - values) * problem.metric.sign
                verdicts = (costs < self.threshold).tolist()
                accepted = verdicts.index(False) if False in verdicts else len(candidates)
                decided = min(accepted + 1, len(candidates))
                closest = min(closest, float((costs[:decided] - self.threshold).abs().min()))
                evaluated += len(candidates)
                for trial in trials:
                    trial.executor.accept(accepted)
                if accepted:
                    now = values[accepted - 1]
                if accepted < len(candidates):
                    edge = Edge(graph.senders[candidates[accepted]], *receiver)
                    scores[edge] = float(costs[accepted])
                left = left[decided:]
                if not self.batch:
                    size = size * 2 if accepted == len(candidates) else max(4, size // 2)
            tested += tested_here
            yield Step(receiver, tested_here, len(scores) - kept_before, done, len(graph.receivers))
        return Pruned(Circuit(graph, frozenset(scores), scores), tested, evaluated, closest)

    def _limit(self, receiver: Receiver, trials: list[_Trials]) -> int:
        each = max(trial.executor.bytes_per_trial(receiver) for trial in trials)
        return max(1, self.max_bytes // each) if not self.batch else self.batch


class _Trials:
    """One batch of prompts: its incremental executor, and the logits of the last trial."""

    def __init__(self, batch: Batch, metric: AbstractMetric) -> None:
        columns, self.targets = batch.columns(metric)
        self.metric = metric
        self.executor = IncrementalExecutor(batch.runs, columns)

    @property
    def current(self) -> Float[Tensor, "1 prompt"]:
        """The metric of the circuit of the moment."""
        return self.metric(self.executor.logits[None], self.targets)

    def run(self, receiver: Receiver, senders: list[int]) -> Float[Tensor, "trial prompt"]:
        """The metric after each removal, each on top of those before it."""
        return self.metric(self.executor.try_removals(receiver, senders), self.targets)


def _mean(problem: Problem, values: list[Tensor]) -> Float[Tensor, " trial"]:
    """The mean over all prompts, in float64 so that it does not depend on the batches."""
    return torch.stack([value.double().sum(-1) for value in values]).sum(0).cpu() / len(problem.pairs)
