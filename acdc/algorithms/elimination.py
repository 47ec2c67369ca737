"""Order the edges of a small circuit: again and again those go without which what is left keeps most."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.algorithms.metric_gradient import gradient
from acdc.algorithms.scores import ScoringStep
from acdc.footprint import bytes_per_masked_prompt
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.graphs.nodes import Edge
from acdc.precision import finite
from acdc.problem import Problem

ROUNDS = 20
"""How often the least edges go."""
_SHARE = 0.85  # of the edges, which a round leaves at most
_POINTS = 2  # at which the gradient is taken


@dataclass(frozen=True)
class Elimination:
    """The order in which the edges of a circuit are worth having, the last to go first.

    What edges carry is integrated over the circuit: all edges open together from 0 to 1, and an edge carries the
    gradient at how far it is open, in the mean over the way. So it is told what an edge does beside those that are
    left, and what all carry adds up to what the circuit keeps. In each round about a seventh of the edges go, and those
    that are dead without these: the ones that carry least, harm being less than nothing, or the lowest of another
    ranking; or what is left gives way to as many of that ranking's highest, among them edges that are gone or never
    were there. That is done which is measured to keep most; the last only if what it gains is more than what circuits
    a little larger lose by it, which then are other ones too. After so many `seconds` no round begins; what is left is
    ordered as the last round had it, or by the first of the other rankings.

    Runs take at most about `max_bytes`.

    Source: Sundararajan et al. 2017 (arXiv:1703.01365) for the integral, here over gates; Guyon et al. 2002
    (doi:10.1023/A:1012487302797) for eliminating again and again.
    """

    max_bytes: int = 1 << 30
    seconds: float = math.inf

    def walk(
        self, problem: Problem, circuit: Circuit, *others: Mapping[Edge, float]
    ) -> Generator[ScoringStep, None, tuple[Edge, ...]]:
        """The circuit's edges without dead ones, and those exchanged for them, in their order, round by round.

        `others` are rankings by other scores, of these edges and of any more; an edge that one does not name has 0
        there. A round for which there are too few edges is empty.

        Raises: UnmeasurableBehaviour, NotFinite.
        """
        began, left, gone = time.monotonic(), circuit.pruned(), list[Edge]()
        ranked, (kept,) = _ranked(left, next(iter(others), {})), kept_by(problem, [left])
        for number in range(1, ROUNDS + 1):
            if len(left) > 1 and time.monotonic() - began < self.seconds:
                left, ranked, kept = self._round(problem, left, others, kept)
                gone = [edge for edge in (*gone, *ranked) if edge not in left]
                ranked = [edge for edge in ranked if edge in left]
            yield ScoringStep(number, ROUNDS)
        return tuple(reversed([*gone, *ranked]))

    def _round(
        self, problem: Problem, left: Circuit, others: Sequence[Mapping[Edge, float]], keeps: float
    ) -> tuple[Circuit, list[Edge], float]:
        """A smaller circuit than what is left and `keeps` so much, the edges of both, the least first, and its own."""
        carried = carried_by(problem, left, self.max_bytes)
        going = max(1, len(left) - int(_SHARE * len(left)))
        choices: dict[frozenset[Edge], list[Edge]] = {}  # by what would be left
        for scores in (carried, *others):
            ranked = _ranked(left, scores)
            choices.setdefault(left.without(ranked[:going]).pruned().edges, ranked)
        cuts, size = len(choices), max(map(len, choices))
        for scores in others:
            highest = beginning(problem, sorted(scores, key=scores.__getitem__, reverse=True), size)
            ranked = [edge for edge in _ranked(left, carried) if edge not in highest] + _ranked(highest, scores)
            if 2 * len(highest) >= size:
                choices.setdefault(highest.edges, ranked)
        circuits = [Circuit(problem.graph, edges) for edges in choices]
        kept = kept_by(problem, circuits)
        best, cut = (max(range(count), key=kept.__getitem__) for count in (len(circuits), cuts))
        if best >= cuts:
            between = beginning(problem, choices[circuits[best].edges][::-1], len(left))
            if kept[best] - kept[cut] <= keeps - kept_by(problem, [between])[0]:
                best = cut
        return circuits[best], choices[circuits[best].edges], kept[best]


def kept_by(problem: Problem, circuits: Sequence[Circuit]) -> list[float]:
    """The metric of circuits in the mean over prompts, with its sign: more is better."""
    kept: list[float] = (problem.metric.sign * problem.measure(circuits)[0].mean(-1)).tolist()
    return kept


def beginning(problem: Problem, order: Sequence[Edge], count: int) -> Circuit:
    """The longest beginning of an order of which at most so many edges are alive, less those that are dead."""

    def alive(number: int) -> Circuit:
        return Circuit(problem.graph, frozenset(order[:number])).pruned()

    return alive(bisect_right(range(len(order) + 1), count, key=lambda number: len(alive(number))) - 1)


def _ranked(circuit: Circuit, scores: Mapping[Edge, float]) -> list[Edge]:
    return sorted(circuit.ordered(), key=lambda edge: scores.get(edge, 0.0))


def carried_by(problem: Problem, circuit: Circuit, max_bytes: int = 1 << 30) -> dict[Edge, float]:
    """What each edge carries of the metric, in its units, in the mean over prompts; positive helps.

    Raises: NotFinite.
    """
    graph, metric, device = problem.graph, problem.metric, problem.model.device
    mask = torch.from_numpy(circuit.mask()).to(device, problem.model.dtype)
    total: Float[Tensor, "receiver sender"] = torch.zeros(mask.shape, dtype=torch.float64)
    for batch in problem.batches:
        for part in batch.parts(_prompts_at_once(problem, circuit, max_bytes)):
            columns, targets = part.columns(metric)
            for point in range(_POINTS):
                run = MaskedRun(part.runs, mask * ((point + 0.5) / _POINTS), columns=columns)
                slope = gradient(metric, run.logits, targets) * metric.sign
                total += run.edge_gradient(slope).double().cpu() / (_POINTS * len(problem.pairs))
        del batch  # streamed, only one has room
    finite(total, "what the edges of a circuit carry")
    return {edge: float(total[graph.edge_indices[edge]]) for edge in circuit.edges}


def _prompts_at_once(problem: Problem, circuit: Circuit, max_bytes: int) -> int:
    """As many as fit, since only a circuit's own nodes are run."""
    longest = max(pair.length * len(pair.scored) for pair in problem.pairs.pairs)
    itemsize = torch.finfo(problem.model.dtype).bits // 8
    of_all = bytes_per_masked_prompt(problem.graph, longest, itemsize)
    return max(1, max_bytes * len(problem.graph.senders) // (of_all * max(1, len(circuit.nodes()))))
