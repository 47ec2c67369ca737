"""ACDC as it was published: one edge at a time, and for each one ordinary run of the whole circuit.

Source: Conmy et al. 2023 (arXiv:2304.14997), Algorithm 1, and the code that came with it.
"""

from __future__ import annotations

import torch

from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.execution.runs import mean_outputs
from acdc.problem import Problem
from acdc.span_numbers import span_numbers
from acdc.tasks.metrics import Targets


def naive_greedy(problem: Problem, threshold: float) -> dict[str, float]:
    """The names of the edges that are kept, with what removing each would have cost."""
    graph, meter = problem.graph, Meter(problem)
    kept = {edge.name for edge in graph.edges()}
    scores: dict[str, float] = {}
    now = meter.loss(kept)
    for receiver in reversed(graph.receivers):
        incoming = [f"{sender.name}->{receiver.name}" for sender in reversed(graph.senders)]
        incoming = [name for name in incoming if name in kept]
        has_children = any(writes(receiver.node.name, name.split("->")[0]) for name in kept)
        if receiver.name != "logits" and not has_children:
            kept -= set(incoming)
            continue
        for name in incoming:
            without = meter.loss(kept - {name})
            if without - now < threshold:
                kept.remove(name)
                now = without
            else:
                scores[name] = without - now
    assert set(scores) == kept
    return scores


def writes(reader: str, sender: str) -> bool:
    """Whether a sender writes something of what a node reads: it is that, a part of it, or one of its attention."""
    attention = reader.split(".")[0] if ".h" in reader and ".h" not in sender else reader
    return sender == reader or sender.startswith(f"{attention}.")


class Meter:
    """The problem's metric as something to minimise, over all its prompts, one length at a time."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        batches = problem.pairs.batches()
        means = mean_outputs(problem.model, [batch.corrupt for batch in batches], problem.ablation)
        self.parts = []
        for batch in batches:
            tokens = (batch.clean, batch.corrupt, batch.scored_positions)
            spans = span_numbers(problem.model, problem.pairs, batch)
            executor = Executor(problem.model, *tokens, problem.ablation, means, spans)
            with torch.no_grad():
                logits = problem.model.logits(batch.clean)
            reference = logits[torch.arange(len(batch)), batch.scored_positions]
            self.parts.append((executor, Targets(batch.answers, batch.distractors, reference)))

    def loss(self, edges: set[str]) -> float:
        circuit = Circuit.from_names(self.problem.graph, edges)
        metric = self.problem.metric
        values = [metric(executor.run([circuit])[0], targets) for executor, targets in self.parts]
        return -metric.sign * float(torch.cat(values).mean())
