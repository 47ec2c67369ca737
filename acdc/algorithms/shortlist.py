"""Attribution names the edges that could matter, and greedy pruning decides among them exactly.

The walk is that of `acdc.algorithms.greedy`. At each receiver all edges that are not on the shortlist go first, in one
measured step; where that costs the threshold or more they are taken apart. So every removal is measured, as ever, but
most of them together: a circuit of the whole graph for a part of the price.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning, Pruned, Step, Tried, WalkState
from acdc.algorithms.one_minimal import Swept
from acdc.algorithms.scores import ScoringStep
from acdc.drain import drain, translated
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem

PART = 1 / 10
"""Edges are on the shortlist whose estimated effect is at least this part of the threshold: estimates are rough."""
FEWEST, LARGEST = 500, 1 / 10
"""But so many at least, and this share of all edges at most."""


@dataclass(frozen=True)
class ShortlistPruning:
    """Greedy pruning among the edges that integrated gradients over the inputs (`steps` of them) rank highest.

    On the shortlist are the edges whose absolute score is at least a tenth of the threshold, 500 at least and a tenth
    of all at most. What goes untested one by one is measured together; what it cost in all is in `Pruned.shortlist`.
    All else is as for `GreedyPruning`.

    Raises: BadSetting when the threshold is not positive and finite or `batch` is negative.
    """

    threshold: float
    steps: int = 5
    batch: int = 0
    max_bytes: int = 1 << 30
    refine: bool = False

    def __post_init__(self) -> None:
        _ = self._greedy  # which checks what it is given

    @property
    def _greedy(self) -> GreedyPruning:
        return GreedyPruning(self.threshold, self.batch, self.max_bytes, self.refine)

    def discover(self, problem: Problem) -> Pruned:
        """The circuit left when every edge has been decided."""
        return drain(self.walk(problem))

    def ranking(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The scores that the shortlist is drawn from, whatever the threshold."""
        return IntegratedGradients("inputs", self.steps).walk(problem)

    def shortlist(self, scored: Circuit) -> Bool[Tensor, "receiver sender"]:
        """Which edges are tried one by one, by the scores of `ranking`."""
        sizes = sorted((abs(score) for score in scored.scores.values()), reverse=True)
        enough = sum(size >= PART * self.threshold for size in sizes)
        count = min(max(enough, FEWEST), max(FEWEST, math.ceil(LARGEST * len(sizes))), len(sizes))
        named = frozenset(edge for edge, score in scored.scores.items() if abs(score) >= sizes[count - 1])
        return torch.from_numpy(Circuit(scored.graph, named).mask())

    def walk(
        self,
        problem: Problem,
        start: WalkState | None = None,
        scored: Circuit | None = None,
    ) -> Generator[ScoringStep | Step | Swept, None, Pruned]:
        """The ranking, unless it is given, then receiver by receiver; the generator returns the `Pruned`."""
        walk = self.batches(problem, start, scored)
        steps: Generator[ScoringStep | Step | Swept, None, Pruned] = translated(
            walk, lambda step: None if isinstance(step, Tried) else step
        )
        return (yield from steps)

    def batches(
        self,
        problem: Problem,
        start: WalkState | None = None,
        scored: Circuit | None = None,
    ) -> Generator[ScoringStep | Tried | Step | Swept, None, Pruned]:
        """The same walk, which also tells of every batch of candidates within a receiver."""
        if scored is None:
            scored = yield from self.ranking(problem)
        return (yield from self._greedy.batches(problem, start, self.shortlist(scored)))
