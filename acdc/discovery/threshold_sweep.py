"""Pruning at a falling series of thresholds, until a goal is met."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_never

from acdc.discovery.levels import LevelCheck
from acdc.discovery.pruning_runs import Pruning, PruningRuns, RunsElsewhere
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.settings import Edges, Threshold, UntimedGoal

_HALVINGS = 24
_REFINEMENTS = 3
_NEGLIGIBLE = 1e-4  # of the whole effect: what costs less is no reason for a circuit to grow to the size asked for


@dataclass(frozen=True)
class ThresholdSweep:
    """Halve the threshold until the goal is met, then close in on the last step geometrically.

    The first threshold is half of what ablating the whole model costs. Sizes and faithfulness are those of circuits
    freed of dead edges, on the problem's own prompts. The threshold of `pruning` itself is never used. With somewhere
    `elsewhere`, runs are made there ahead of being asked for; what is found is the same.
    """

    goal: UntimedGoal
    pruning: Pruning
    elsewhere: RunsElsewhere | None = None

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, SearchSummary]]:
        """Every step of every run, from the beginning or from the state of an earlier progress.

        Raises: UnreachableGoal when no threshold meets the goal; UnmeasurableBehaviour.
        """
        full, none = problem.bounds
        runs = PruningRuns(self.pruning, problem, state, self.elsewhere)
        goal = self.goal if isinstance(self.goal, (Threshold, Edges)) else LevelCheck(self.goal, problem)
        if isinstance(goal, Threshold):
            yield from runs.at(goal.value)
        else:
            above, below = math.inf, abs(full - none) / 2
            for halving in range(_HALVINGS):
                yield from runs.ahead([below / 2**more for more in range(_HALVINGS - halving)])
                done = yield from runs.at(below)
                exhausted = isinstance(goal, Edges) and below < _NEGLIGIBLE * abs(full - none)
                if _is_fine_enough(goal, done.point) or exhausted:
                    break
                above, below = below, below / 2
            bracketed = (
                below in runs.met and math.isfinite(above) and not exhausted
            )  # else there is no last step to close in on
            for refinement in range(_REFINEMENTS * bracketed):
                middle = math.sqrt(above * below)
                yield from runs.ahead(_middles(above, below, _REFINEMENTS - refinement))
                done = yield from runs.at(middle)
                above, below = (above, middle) if _is_fine_enough(goal, done.point) else (middle, below)
        return runs.summary(_choose(goal, runs.curve))


def _middles(above: float, below: float, depth: int) -> list[float]:
    """All thresholds that closing in on a step may come to ask for, those asked for first in front."""
    found, between = list[float](), [(above, below)]
    for _ in range(depth):
        middles = [math.sqrt(high * low) for high, low in between]
        found += middles
        between = [
            half
            for (high, low), middle in zip(between, middles, strict=True)
            for half in ((high, middle), (middle, low))
        ]
    return found


def _is_fine_enough(goal: Edges | LevelCheck, point: CurvePoint) -> bool:
    match goal:
        case Edges(count):
            return point.edges > count
        case LevelCheck():
            return goal.reached(point)
        case _:
            assert_never(goal)


def _choose(goal: Threshold | Edges | LevelCheck, curve: tuple[CurvePoint, ...]) -> CurvePoint:
    match goal:
        case Threshold():
            return curve[0]
        case Edges(count):
            small = [point for point in curve if 0 < point.edges <= count]
            if not small:
                least = min((point.edges for point in curve if point.edges), default=0)
                raise UnreachableGoal(
                    f"no circuit of at most {count} edges was found: the smallest has {least}; "
                    "ask for more edges (--edges)"
                )
            return max(small, key=lambda point: (point.faithfulness, -point.edges))
        case LevelCheck():
            return goal.smallest(curve)
        case _:
            assert_never(goal)
