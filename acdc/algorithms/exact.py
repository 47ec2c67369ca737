"""The exact effect of every single edge: each removed alone from the whole model (path patching, edge by edge)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from acdc.algorithms.scores import Scored, score_graph
from acdc.problem import Problem
from graphs.circuit import Circuit
from graphs.incremental import IncrementalExecutor


@dataclass(frozen=True)
class ExactPatching:
    """By how much the mean metric gets worse when one edge carries what a missing edge does; all edges, exactly.

    Positive means that the edge helps the behaviour. As many edges of a receiver run together as fit into `max_bytes`.

    Source: Goldowsky-Dill et al. 2023 (arXiv:2304.05969), for single edges.
    """

    max_bytes: int = 1 << 30

    def walk(self, problem: Problem) -> Generator[Scored, None, Circuit]:
        """The whole graph with a score for every edge, receiver by receiver."""
        graph = problem.graph
        total = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        work, done = len(graph.receivers) * len(problem.batches), 0
        for batch in problem.batches:
            columns, targets = batch.columns(problem.metric)
            with torch.no_grad():
                executor = IncrementalExecutor(batch.runs, columns)
                whole = problem.metric(executor.logits[None], targets).double().sum(-1)
            for receiver in reversed(graph.receivers):
                with torch.no_grad():
                    executor.begin(receiver)
                    size = max(1, min(64, self.max_bytes // executor.bytes_per_trial(receiver)))
                    senders = list(range(graph.reads(receiver)))
                    for start in range(0, len(senders), size):
                        chunk = senders[start : start + size]
                        logits = executor.try_removals(receiver, chunk, together=False)
                        values = problem.metric(logits, targets).double().sum(-1)
                        total[graph.receiver_index[receiver], chunk] += (whole - values).cpu()
                done += 1
                yield Scored(done, work)
        return score_graph(problem, problem.metric.sign * total / len(problem.pairs))
