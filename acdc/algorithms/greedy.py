"""Greedy pruning: the original ACDC, with its decisions and without its price.

Source: Conmy et al. 2023 (arXiv:2304.14997), Algorithm 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from acdc.algorithms.one_minimal import OneMinimalSweep, Swept
from acdc.algorithms.trials import Trials
from acdc.drain import drain, translated
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.nodes import Edge, Receiver
from acdc.problem import Problem


@dataclass(frozen=True)
class Tally:
    """What a walk has done so far.

    Candidates decided, circuits run for them, the most that a removal made and the least that one not made would cost,
    and what the edges cost that no shortlist names and that were removed together.
    """

    tested: int = 0
    evaluated: int = 0
    made: float = -math.inf
    refused: float = math.inf
    unlisted: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which thresholds all of it is decided alike."""
        return self.made, self.refused

    def holds(self, threshold: float) -> bool:
        """Whether all of it would have been decided alike at this threshold."""
        return self.made < threshold <= self.refused

    def closest(self, threshold: float) -> float:
        """How near the tightest decision came to the threshold."""
        return min(threshold - self.made, self.refused - threshold)


@dataclass(frozen=True)
class WalkState:
    """How far a walk is, and all it needs to go on from there: `scores` are those of the edges kept so far, by name."""

    decided: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    tally: Tally = Tally()
    size: int = 0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> WalkState:
        """The position that `dataclasses.asdict` made this data of."""
        return cls(data["decided"], data["scores"], Tally(**data["tally"]), data["size"])


@dataclass(frozen=True)
class Step:
    """One receiver decided: how many of its edges were tested and kept, and how many receivers are done of how many.

    `position` is where the walk could be taken up again.
    """

    receiver: Receiver
    tested: int
    kept: int
    done: int
    total: int
    position: WalkState


@dataclass(frozen=True)
class Tried:
    """A batch of a receiver's candidates decided; `tested` counts all those that the walk has decided by then."""

    tested: int


@dataclass(frozen=True)
class Shortlisted:
    """How many edges a shortlist named to be tried, and what removing all others cost, in the metric's units."""

    edges: int
    cost: float


@dataclass(frozen=True)
class Pruned:
    """What pruning leaves.

    `circuit` is what the walk kept, with each edge's score: how much the metric lost when the edge was removed from the
    circuit of that moment (positive: removing it weakens the behaviour). `tested` counts candidate removals,
    `evaluated` the circuits run for them, and `closest` how near the tightest decision came to the threshold (or at
    least that near, where a bound decided). `one_minimal` says that no single edge of it can be removed within the
    threshold.
    """

    circuit: Circuit
    tested: int
    evaluated: int
    closest: float
    one_minimal: bool = False
    shortlist: Shortlisted | None = None


@dataclass(frozen=True)
class GreedyPruning:
    """Walk the receivers from the logits back; drop each edge whose removal costs less than `threshold`.

    The cost of a removal is how much worse the mean metric gets, in the metric's units, counted from the circuit of the
    moment; an edge whose removal improves the metric is always dropped. A receiver's senders are tried from the last
    layer to the first, MLP before heads, heads from the last to the first. A receiver whose node reaches nothing loses
    all its edges untested. Candidates are tried `batch` at a time at most (0: as many as pays and as fit into
    `max_bytes`), each on top of those before it; the decisions are those of one at a time. With `refine`, the circuit
    is then swept until no single edge can be removed within the threshold.

    Raises: BadSetting when the threshold is not positive and finite or `batch` is negative.
    """

    threshold: float
    batch: int = 0
    max_bytes: int = 1 << 30
    refine: bool = False

    def __post_init__(self) -> None:
        require_threshold(self.threshold)
        if self.batch < 0:
            raise BadSetting(f"cannot try {self.batch} candidates at a time; wanted 1 or more, or 0 to leave it open")

    def discover(self, problem: Problem) -> Pruned:
        """The circuit left when every edge has been decided."""
        return drain(self.walk(problem))

    def walk(
        self,
        problem: Problem,
        start: WalkState | None = None,
        shortlist: Bool[Tensor, "receiver sender"] | None = None,
    ) -> Generator[Step | Swept, None, Pruned]:
        """The same, receiver by receiver, from the beginning or a position; the generator returns the `Pruned`.

        With a `shortlist`, only its edges are tried. Before them all others into a receiver go, in one measured step;
        where that costs the threshold or more they are halved, down to single edges, which are tried like the rest.
        """
        walk = self.batches(problem, start, shortlist)
        receivers: Generator[Step | Swept, None, Pruned] = translated(walk, _of_receivers)
        return (yield from receivers)

    def batches(
        self,
        problem: Problem,
        start: WalkState | None = None,
        shortlist: Bool[Tensor, "receiver sender"] | None = None,
    ) -> Generator[Tried | Step | Swept, None, Pruned]:
        """The same walk, which also tells of every batch of candidates within a receiver."""
        pruned = yield from self._walk(problem, start or WalkState(size=self.batch or 16), shortlist)
        if not self.refine:
            return pruned
        refined = yield from OneMinimalSweep(self.threshold, self.max_bytes).walk(problem, pruned.circuit)
        return replace(
            pruned,
            circuit=refined.circuit,
            tested=pruned.tested + refined.tested,
            evaluated=pruned.evaluated + refined.evaluated,
            one_minimal=True,
        )

    @torch.no_grad()
    def _walk(
        self, problem: Problem, start: WalkState, shortlist: Bool[Tensor, "receiver sender"] | None
    ) -> Generator[Tried | Step, None, Pruned]:
        with freed_memory_kept():
            return (yield from self._decide(problem, start, shortlist))

    @torch.no_grad()
    def _decide(
        self, problem: Problem, start: WalkState, shortlist: Bool[Tensor, "receiver sender"] | None
    ) -> Generator[Tried | Step, None, Pruned]:
        graph = problem.graph
        scores = {Edge.parse(name): score for name, score in start.scores.items()}
        kept = torch.from_numpy(Circuit(graph, frozenset(scores)).mask())
        trials = Trials(problem, self.max_bytes, kept, start.decided)
        times = Counter(graph.sender_index[edge.sender] for edge in scores)
        tally, size = start.tally, start.size
        for done, receiver in list(enumerate(reversed(graph.receivers), start=1))[start.decided :]:
            left = list(graph.may_read(receiver))[::-1] if trials.begin(receiver) else []
            tested_here, kept_before = len(left), len(scores)
            most = trials.worthwhile(receiver) if left else 0
            if shortlist is not None and left:
                left, tally = self._remove_unlisted(trials, receiver, left, shortlist, tally)
            while left:
                candidates = left[: self.batch or _until_likely_kept(left[: min(size, most)], times)]
                costs = trials.costs(receiver, candidates, enough=self.threshold)
                over_threshold = (costs >= self.threshold).nonzero()
                if len(costs) < len(candidates):
                    most = trials.worthwhile(receiver)  # memory did not suffice for all
                accepted = int(over_threshold[0]) if len(over_threshold) else len(costs)
                trials.accept(accepted)
                if len(over_threshold):
                    scores[Edge(graph.senders[left[accepted]], *receiver)] = float(costs[accepted])
                    times[left[accepted]] += 1
                decided = accepted + bool(len(over_threshold))
                tally = replace(
                    tally,
                    evaluated=tally.evaluated + len(costs),
                    made=max([tally.made, *costs[:accepted].tolist()]),
                    refused=min([tally.refused, *costs[accepted:decided].tolist()]),
                )
                left = left[decided:]
                if not self.batch:
                    if decided < len(costs):
                        size = max(4, size // 2)
                    elif not len(over_threshold):
                        size = min(max(most, size), size * 2)
                yield Tried(tally.tested + tested_here - len(left))
            tally = replace(tally, tested=tally.tested + tested_here)
            named = {edge.name: score for edge, score in scores.items()}
            position = WalkState(done, named, tally, size)
            yield Step(receiver, tested_here, len(scores) - kept_before, done, len(graph.receivers), position)
        listed = None if shortlist is None else Shortlisted(int(shortlist.sum()), tally.unlisted)
        circuit, closest = Circuit(graph, frozenset(scores), scores), tally.closest(self.threshold)
        return Pruned(circuit, tally.tested, tally.evaluated, closest, shortlist=listed)

    def _remove_unlisted(
        self,
        trials: Trials,
        receiver: Receiver,
        senders: list[int],
        shortlist: Bool[Tensor, "receiver sender"],
        tally: Tally,
    ) -> tuple[list[int], Tally]:
        """The senders that are left of a receiver's when the unlisted ones are gone, and the tally after that."""
        listed = shortlist[trials.receiver_index(receiver)]
        groups, left = [[sender for sender in senders if not listed[sender]]], set(senders)
        while groups:
            group = groups.pop()
            if not group:
                continue
            cost = trials.cost_of_removing(receiver, group)
            tally = replace(tally, evaluated=tally.evaluated + 1)
            if cost < self.threshold:
                trials.accept(1)
                left.difference_update(group)
                tally = replace(tally, made=max(tally.made, cost), unlisted=tally.unlisted + cost)
                continue
            tally = replace(tally, refused=min(tally.refused, cost))
            if len(group) > 1:
                middle = len(group) // 2
                groups += [group[middle:], group[:middle]]
        return [sender for sender in senders if sender in left], tally


def require_threshold(threshold: float) -> None:
    """Make sure that a threshold can be one.

    Raises: BadSetting.
    """
    if not 0 < threshold < math.inf:
        raise BadSetting(f"the threshold is {threshold}; wanted a positive number in the metric's units")


def _of_receivers(step: Tried | Step | Swept) -> Step | Swept | None:
    return None if isinstance(step, Tried) else step


def _until_likely_kept(candidates: Sequence[int], times: Mapping[int, int]) -> int:
    """How many of these senders to try at once: what comes after one that is kept would be tried in vain.

    One that two receivers have kept is likely to be kept again. This changes what is tried together, not what is kept.
    """
    return next(
        (index for index, sender in enumerate(candidates, start=1) if times.get(sender, 0) > 1), len(candidates)
    )
