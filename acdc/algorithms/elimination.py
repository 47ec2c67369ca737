"""Order the edges of a small circuit: again and again those go without which what is left keeps most."""

from __future__ import annotations

import math
import time
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
    that are dead without these: the ones that carry least, harm being less than nothing, or those of the circuit's
    lowest scores, if it has scores and what is left then is measured to keep more. After so many `seconds` no round
    begins; what is left is ordered as the last round had it, or by the scores.

    Runs take at most about `max_bytes`.

    Source: Sundararajan et al. 2017 (arXiv:1703.01365) for the integral, here over gates; Guyon et al. 2002
    (doi:10.1023/A:1012487302797) for eliminating again and again.
    """

    max_bytes: int = 1 << 30
    seconds: float = math.inf

    def walk(
        self, problem: Problem, circuit: Circuit, *others: Mapping[Edge, float]
    ) -> Generator[ScoringStep, None, tuple[Edge, ...]]:
        """The circuit's edges without dead ones, round by round; a round for which there are too few edges is empty.

        `others` are rankings by other scores; an edge that one does not name has 0 there.

        Raises: UnmeasurableBehaviour, NotFinite.
        """
        began, left, gone = time.monotonic(), circuit.pruned(), list[Edge]()
        ranked = _ranked(left, next(iter(others), {}))
        for number in range(1, ROUNDS + 1):
            if len(left) > 1 and time.monotonic() - began < self.seconds:
                left, ranked = self._round(problem, left, others)
                gone += [edge for edge in ranked if edge not in left]
                ranked = [edge for edge in ranked if edge in left]
            yield ScoringStep(number, ROUNDS)
        return tuple(reversed([*gone, *ranked]))

    def _round(
        self, problem: Problem, left: Circuit, others: Sequence[Mapping[Edge, float]]
    ) -> tuple[Circuit, list[Edge]]:
        """The circuit without its least edges, and its edges before that, the least first."""
        rankings = [_ranked(left, scores) for scores in (carried_by(problem, left, self.max_bytes), *others)]
        going = max(1, len(left) - int(_SHARE * len(left)))
        shrunk: dict[frozenset[Edge], tuple[Circuit, list[Edge]]] = {}
        for ranked in rankings:
            smaller = left.without(ranked[:going]).pruned()
            shrunk.setdefault(smaller.edges, (smaller, ranked))
        choices = list(shrunk.values())
        if len(choices) == 1:
            return choices[0]
        kept = (problem.metric.sign * problem.measure([smaller for smaller, _ in choices])[0].mean(-1)).tolist()
        return choices[max(range(len(choices)), key=kept.__getitem__)]


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
