"""Greedy pruning at a falling series of thresholds, until a goal is met."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import assert_never

from acdc.errors import UnreachableGoal
from acdc.goals import Edges, Goal, KeptFaithfulness, Threshold

if TYPE_CHECKING:
    from acdc.algorithms.greedy import Pruned
    from acdc.problem import Problem
    from graphs.circuit import Circuit

_HALVINGS = 24
_REFINEMENTS = 3


@dataclass(frozen=True)
class Progress:
    """How far a discovery is: receivers decided in the run of this number (from 1) at this threshold."""

    run: int
    threshold: float
    done: int
    total: int
    tested: int
    kept: int


@dataclass(frozen=True)
class CurvePoint:
    """One pruning run: threshold, size of its circuit, how faithful that is on the discovery prompts, edges tested."""

    threshold: float
    edges: int
    faithfulness: float
    tested: int


@dataclass(frozen=True)
class Swept:
    """The run that meets the goal, with its circuit freed of dead edges, and every run in the order of thresholds."""

    chosen: CurvePoint
    circuit: Circuit
    pruned: Pruned
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class ThresholdSweep:
    """Halve the threshold until the goal is met, then close in on the last step geometrically.

    The first threshold is half of what ablating the whole model costs. Sizes and faithfulness are those of circuits
    freed of dead edges, on the problem's own prompts.
    """

    goal: Goal

    def walk(self, problem: Problem) -> Generator[Progress, None, Swept]:
        """Every receiver of every run; the generator returns the `Swept`.

        Raises: UnreachableGoal when no threshold meets the goal; UnmeasurableBehaviour.
        """
        full, none = problem.bounds
        runs: dict[float, tuple[CurvePoint, Circuit, Pruned]] = {}
        if isinstance(self.goal, Threshold):
            runs[self.goal.value] = yield from _run(problem, self.goal.value, 1)
        else:
            above, below = math.inf, abs(full - none) / 2
            for number in range(1, _HALVINGS + 1):
                runs[below] = yield from _run(problem, below, number)
                if self._is_fine_enough(runs[below][0]):
                    break
                above, below = below, below / 2
            bracketed = below in runs and math.isfinite(above)  # else there is no last step to close in on
            for number in range(len(runs) + 1, len(runs) + 1 + _REFINEMENTS * bracketed):
                middle = math.sqrt(above * below)
                runs[middle] = yield from _run(problem, middle, number)
                above, below = (above, middle) if self._is_fine_enough(runs[middle][0]) else (middle, below)
        curve = tuple(runs[threshold][0] for threshold in sorted(runs, reverse=True))
        chosen = self._choose(curve)
        return Swept(chosen, *runs[chosen.threshold][1:], curve)

    def _is_fine_enough(self, point: CurvePoint) -> bool:
        match self.goal:
            case KeptFaithfulness(fraction):
                return point.faithfulness >= fraction
            case Edges(count):
                return point.edges > count
            case Threshold():
                return True
            case _:
                assert_never(self.goal)

    def _choose(self, curve: tuple[CurvePoint, ...]) -> CurvePoint:
        match self.goal:
            case KeptFaithfulness(fraction):
                fine = [point for point in curve if point.faithfulness >= fraction]
                if not fine:
                    best = max(point.faithfulness for point in curve)
                    raise UnreachableGoal(
                        f"no circuit keeps {fraction:.0%} of the behaviour: got at most {best:.0%} down to a threshold "
                        f"of {curve[-1].threshold:.2g}; ask for less (--faithfulness) or give --threshold"
                    )
                return min(fine, key=lambda point: (point.edges, -point.faithfulness))
            case Edges(count):
                small = [point for point in curve if 0 < point.edges <= count]
                if not small:
                    raise UnreachableGoal(
                        f"no circuit of at most {count} edges was found: the smallest has "
                        f"{min(point.edges for point in curve if point.edges)}; ask for more edges (--edges)"
                    )
                return max(small, key=lambda point: (point.faithfulness, -point.edges))
            case Threshold():
                return curve[0]
            case _:
                assert_never(self.goal)


def _run(
    problem: Problem, threshold: float, number: int
) -> Generator[Progress, None, tuple[CurvePoint, Circuit, Pruned]]:
    from acdc.algorithms.greedy import GreedyPruning

    walk, tested, kept = GreedyPruning(threshold).walk(problem), 0, 0
    while True:
        try:
            step = next(walk)
        except StopIteration as stop:
            pruned: Pruned = stop.value
            break
        tested, kept = tested + step.tested, kept + step.kept
        yield Progress(number, threshold, step.done, step.total, tested, kept)
    circuit = pruned.circuit.pruned(problem.ablation)
    value = float(problem.normalised(problem.measure([circuit])[0].mean(-1))[0])
    return CurvePoint(threshold, len(circuit), value, pruned.tested), circuit, pruned
