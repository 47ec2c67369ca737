"""A curve from few edges to many, as far as the time allows, and the circuit at its knee."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.scores import AbstractScorer
from acdc.discovery.levels import measured
from acdc.discovery.pruning_runs import Pruning, PruningRuns, prunes
from acdc.discovery.selection import Rule, Selection
from acdc.drain import translated
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import Minutes

_SEARCHING = 0.8
"""The part of the minutes that the search takes; loading, judging and drawing take the rest."""
_TRAINING, _MEASURING = 0.75, 60.0
"""The part of what is left that masks are learned in, to be measured in the rest; and the seconds that measuring may
take once somebody has interrupted the learning.
"""
_FIRST, _FALL = 1 / 32, 4.0
"""The first threshold as a part of the whole effect, and by what the next is lower; with less time left, by less."""
_LEAST_FALL, _GROWTH = 1.5, 4.0
"""A next run nearer than this would say little; and how many times as long it is expected to take at first."""
_HALF = 0.5  # a circuit that keeps less than that of a behaviour leaves most of it unexplained
_NEGLIGIBLE = 1e-4  # of the whole effect
_OWED = 300  # up to this size circuits that may be the answer are measured though the time is up: they take little
_CLOSE = 20  # the size that keeps enough is found to this part of it
_SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


@dataclass(frozen=True)
class TimedSearch:
    """Search until the goal's minutes are up, a circuit keeps its fraction, or somebody interrupts.

    Methods that prune do so at falling thresholds, each run measured exactly, the next only begun where it is likely to
    end in time. If they rank edges first, circuits of the highest ranked are measured too, at sizes about three times
    apart, which say how many edges the fraction would take; only where no run has ended is one of these the answer, and
    then without scores, since estimates are not what removals cost. Methods that score have these sizes only. After an
    interrupt the best so far is taken, if there is anything. `clock` tells the seconds; some were `spent` before.

    Source of the knee: Satopää et al. 2011 (Kneedle), on the logarithm of the size.
    """

    goal: Minutes
    algorithm: Pruning | AbstractScorer
    rule: Rule = Rule.TOP
    spent: float = field(default=0.0, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, SearchSummary]]:
        """Every step of every run, from the beginning or from the state of an earlier progress.

        Raises: UnmeasurableBehaviour.
        """
        end = self.clock() + 60 * _SEARCHING * self.goal.minutes - self.spent
        curve = _Curve(problem, self.goal, end, self.clock)
        _ = problem.bounds
        try:
            if prunes(self.algorithm):
                runs = PruningRuns(self.algorithm, problem, state)
                try:
                    yield from runs.ranked()
                    if isinstance(runs.ranking, Circuit):  # first, so that there soon is something to end with
                        yield from curve.sized(Selection.of(runs.ranking, Rule.TOP), with_scores=False)
                    yield from curve.pruned(runs)
                finally:
                    curve.joining = runs.joining
            else:
                scorer = self.algorithm
                if isinstance(scorer, LearnedMasks):
                    scorer = replace(scorer, seconds=max(1.0, _TRAINING * curve.left))
                scored = yield from translated(
                    scorer.walk(problem), lambda step: Progress("scoring all edges", step.done, step.total)
                )
                curve.figures |= {"selection": self.rule.value, **scored.provenance}
                if "stopped" in scored.provenance:  # whoever interrupted it wants what there is
                    curve.end = min(curve.end, self.clock() + _MEASURING)
                selection = Selection.of(scored, self.rule)
                curve.joining = {edge: scored.scores[edge] for edge in selection.order}
                yield from curve.sized(selection, with_scores=True)
        except KeyboardInterrupt:
            if not curve.met:
                raise
            curve.figures["stopped"] = "interrupted"
        return curve.chosen()


class _Curve:
    """The circuits met so far, by size, and how much time is left."""

    def __init__(self, problem: Problem, goal: Minutes, end: float, clock: Callable[[], float]) -> None:
        self.problem, self.goal, self.end, self.clock = problem, goal, end, clock
        self.met: dict[int, tuple[CurvePoint, Circuit, dict[str, Any]]] = {}
        self.figures: dict[str, Any] = {}
        self.joining: dict[Edge, float | None] = {}

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.end - self.clock()

    def pruned(self, runs: PruningRuns) -> Generator[Progress, None, None]:
        """Runs at falling thresholds until one keeps enough, or the next would take too long."""
        full, none = self.problem.bounds
        effect = abs(full - none)
        threshold, growth, before = _FIRST * effect, _GROWTH, 0.0
        while True:
            began = self.clock()
            run = yield from runs.at(threshold)
            spent = self.clock() - began
            self._meet(run.point, run.pruned.circuit, run.figures)
            if self._enough(run.point) or threshold <= _NEGLIGIBLE * effect:
                return
            growth = min(max(spent / before, 1.5), 2 * _GROWTH) if before else growth
            before = spent
            # the time grows as a power of how far the threshold falls
            allowed = max(self.left, 0.0) / spent if spent > 0 else math.inf
            fall = _FALL if allowed >= growth else _FALL ** (math.log(max(allowed, 1.0)) / math.log(growth))
            if fall < _LEAST_FALL:
                self.figures["stopped"] = "time"
                return
            threshold /= fall

    def sized(self, selection: Selection, *, with_scores: bool) -> Generator[Progress, None, None]:
        """Circuits of the highest scores, larger and larger, until one keeps enough or a quarter of the time is up.

        Where these are the answer themselves, all of it, but small ones are measured however late it is, and the size
        that keeps enough is closed in on.
        """
        every, spent = len(selection.order), 0.0
        until = self.clock() + self.left / (1 if with_scores else 4)
        below = 0
        for size in (*(size for size in _SIZES if size < every), every):
            owed = with_scores and size <= _OWED
            if any(self.met) and not owed and spent > until - self.clock():
                return
            spent, enough = yield from self._size(selection, size, with_scores)
            if enough:
                break
            below = size
        else:
            return
        above = size
        while with_scores and above - below > max(1, above // _CLOSE) and spent < until - self.clock():
            middle = round(math.sqrt(max(1, below) * above))
            spent, enough = yield from self._size(selection, middle, with_scores)
            below, above = (below, middle) if enough else (middle, above)

    def _size(
        self, selection: Selection, size: int, with_scores: bool
    ) -> Generator[Progress, None, tuple[float, bool]]:
        """Measure the circuit of so many of the highest scores; how long that took, and whether it keeps enough."""
        yield Progress(f"how much the {size:,} highest scores keep", size, len(selection.order))
        began = self.clock()
        circuit = selection.first(size)
        lowest = min((abs(score) for score in circuit.scores.values()), default=0.0)
        point = measured(self.problem, circuit, lowest)
        self._meet(point, circuit if with_scores else Circuit(circuit.graph, circuit.edges), {})
        return self.clock() - began, self._enough(point)

    def chosen(self) -> tuple[Circuit, SearchSummary]:
        """The smallest circuit that keeps enough, if it is small, and else the one at the knee.

        That is of those that keep half of the behaviour, if there are any.
        """
        points = tuple(self.met[size][0] for size in sorted(self.met))
        measured_by_edge = [point for point in points if point.tested and point.edges]
        candidates = measured_by_edge or [point for point in points if point.edges] or [points[0]]
        if enough := [point.edges for point in points if self._enough(point)]:
            self.figures["edges_for_fraction"] = enough[0]
        small = [point for point in candidates if self._enough(point) and point.edges <= self.goal.few]
        half = [point for point in candidates if point.faithfulness >= _HALF]
        chosen = small[0] if small else knee(half or candidates)
        if not small:
            self.figures["knee"] = True
        _, circuit, figures = self.met[chosen.edges]
        return circuit, SearchSummary(chosen, points, {**figures, **self.figures}, self.joining)

    def _meet(self, point: CurvePoint, circuit: Circuit, figures: dict[str, Any]) -> None:
        if point.tested or point.edges not in self.met:  # what was measured edge by edge goes before estimates
            self.met[point.edges] = point, circuit, figures

    def _enough(self, point: CurvePoint) -> bool:
        return point.faithfulness >= self.goal.fraction


def knee(points: list[CurvePoint]) -> CurvePoint:
    """The point, of some by rising size, furthest above the line from the first to the last, sizes by logarithm."""
    first, last = points[0], points[-1]
    if len(points) < 3 or last.edges == first.edges:
        return max(points, key=lambda point: point.faithfulness)
    width = math.log(last.edges / first.edges)
    rise = last.faithfulness - first.faithfulness

    def above(point: CurvePoint) -> float:
        return point.faithfulness - first.faithfulness - rise * math.log(point.edges / first.edges) / width

    return max(points, key=lambda point: (above(point), point.faithfulness))
