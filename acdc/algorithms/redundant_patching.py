"""What every edge does alone, and what it does where another edge is gone: exact effects that see redundant parts.

Where either of two parts suffices, no single removal costs anything. What one of them is worth shows once the other is
gone; so effects are measured again with each edge gone that the behaviour can do without.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.scores import ScoringStep, score_graph
from acdc.algorithms.trials import Trials
from acdc.drain import translated
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.problem import Problem

Index = tuple[int, int]
"""Of an edge in a matrix of [receiver, sender]."""


@dataclass(frozen=True)
class RedundantPatching:
    """By how much the mean metric gets worse when an edge is removed, alone or where one other edge is gone already.

    An edge scores the largest of these effects, with its sign: positive helps. The others that go, one at a time, are
    those of the greedy circuit at a threshold of `part` of what ablating everything costs, and those that have an
    effect of that size themselves where another is gone; each only if the whole model keeps at least `keeps` of the
    behaviour without it, and `most` at the most. The scored graph says in its provenance how many went, `gone`.

    Two copies of a part are found, and what holds one of them down; of three copies none is missed by one removal.

    Raises: BadSetting when a setting is outside its range.
    """

    max_bytes: int = 1 << 30
    part: float = 0.05
    keeps: float = 0.5
    most: int = 16

    def __post_init__(self) -> None:
        if not (0 < self.part < 1 and 0 < self.keeps <= 1 and self.most >= 0):
            raise BadSetting(
                f"a part of {self.part}, {self.keeps} kept and {self.most} removals find nothing; wanted a part from 0 "
                "to 1, something above 0 to keep and no negative number"
            )

    def walk(self, problem: Problem) -> Generator[ScoringStep, None, Circuit]:
        """The whole graph with a score for every edge, one removal after the other."""
        full, none = problem.bounds
        level = self.part * abs(full - none)
        greedy = GreedyPruning(level, max_bytes=self.max_bytes).walk(problem)
        pruned = yield from translated(greedy, lambda step: ScoringStep(0, 1 + self.most))
        with freed_memory_kept():
            scores, gone = yield from self._score(problem, pruned.circuit, level)
        return replace(score_graph(problem, scores), provenance={"gone": gone})

    @torch.no_grad()
    def _score(
        self, problem: Problem, found: Circuit, level: float
    ) -> Generator[ScoringStep, None, tuple[Float[Tensor, "receiver sender"], int]]:
        graph, gone = problem.graph, 0
        alone = self._effects(problem, None)
        largest, known = alone.clone(), set[Index]()
        waiting = [graph.edge_indices[edge] for edge in found.strongest_first()]
        limit = (1 - self.keeps) * level / self.part
        while waiting and gone < self.most:
            index = waiting.pop(0)
            if index in known:
                continue
            known.add(index)
            if not float(alone[index]) <= limit:
                continue
            yield ScoringStep(1 + gone, 1 + self.most)
            effects, gone = self._effects(problem, index), gone + 1
            largest = torch.where(effects.abs() > largest.abs(), effects, largest)
            strong = (effects.abs() >= level).nonzero().tolist()
            waiting += [(row, sender) for row, sender in strong if (row, sender) not in known]
        yield ScoringStep(1 + self.most, 1 + self.most)
        return largest, gone

    def _effects(self, problem: Problem, removed: Index | None) -> Float[Tensor, "receiver sender"]:
        """What removing every edge alone costs in the whole model, or in what is left of it without one."""
        graph = problem.graph
        scores = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.float64)
        kept = torch.from_numpy(Circuit.full(graph).mask())
        if removed is not None:
            kept[removed] = False
        for row, sender, cost in _costs(problem, kept, self.max_bytes):
            scores[row, sender] = cost
        return scores


def _costs(problem: Problem, kept: Bool[Tensor, "receiver sender"], max_bytes: int) -> Iterator[tuple[int, int, float]]:
    """What removing every edge alone from a circuit costs, by the numbers of receiver and sender."""
    graph = problem.graph
    trials = Trials(problem, max_bytes, kept, len(graph.receivers))
    for receiver in reversed(graph.receivers):
        trials.begin(receiver)
        row = graph.receiver_index[receiver]
        left = trials.kept[row].nonzero().squeeze(1).tolist()
        while left:
            costs = trials.costs(receiver, left[: min(64, trials.room(receiver))], together=False)
            yield from ((row, sender, cost) for sender, cost in zip(left, costs.tolist(), strict=False))
            left = left[len(costs) :]
