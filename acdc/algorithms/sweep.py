"""Pruning at a falling series of thresholds, until a goal is met."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from typing_extensions import assert_never

from acdc.algorithms.greedy import GreedyPruning, Position, Pruned, Step
from acdc.algorithms.grouped import Bisection, GroupedPruning
from acdc.errors import UnreachableGoal
from acdc.goals import Edges, Goal, KeptFaithfulness, Threshold
from acdc.problem import Problem
from acdc.progress import Account, CurvePoint, Progress
from graphs.circuit import Circuit
from graphs.nodes import Edge

_HALVINGS = 24
_REFINEMENTS = 3
_NEGLIGIBLE = 1e-4  # of the whole effect: what costs less is no reason for a circuit to grow to the size asked for


@dataclass(frozen=True)
class Run:
    """One pruning run: its place on the curve, and what it left, freed of dead edges."""

    point: CurvePoint
    pruned: Pruned

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; `from_json` gives back exactly this run."""
        edges = {edge.name: self.pruned.circuit.scores[edge] for edge in self.pruned.circuit.ordered()}
        figures = {name: getattr(self.pruned, name) for name in ("tested", "evaluated", "closest", "one_minimal")}
        return {"point": asdict(self.point), "edges": edges, "figures": figures}

    @classmethod
    def from_json(cls, problem: Problem, data: Mapping[str, Any]) -> Run:
        """The run that `to_json` wrote."""
        scores = {Edge.parse(name): score for name, score in data["edges"].items()}
        circuit = Circuit(problem.graph, frozenset(scores), scores)
        return cls(CurvePoint(**data["point"]), Pruned(circuit, **data["figures"]))


@dataclass(frozen=True)
class ThresholdSweep:
    """Halve the threshold until the goal is met, then close in on the last step geometrically.

    The first threshold is half of what ablating the whole model costs. Sizes and faithfulness are those of circuits
    freed of dead edges, on the problem's own prompts. The threshold of `pruning` itself is never used.
    """

    goal: Goal
    pruning: GreedyPruning | GroupedPruning

    def walk(
        self, problem: Problem, state: Mapping[str, Any] | None = None
    ) -> Generator[Progress, None, tuple[Circuit, Account]]:
        """Every step of every run, from the beginning or from the state of an earlier progress.

        Raises: UnreachableGoal when no threshold meets the goal; UnmeasurableBehaviour.
        """
        full, none = problem.bounds
        state = state or {}
        runs = {data["point"]["threshold"]: Run.from_json(problem, data) for data in state.get("runs", ())}
        met: dict[float, Run] = {}

        def run(threshold: float) -> Generator[Progress, None, Run]:
            if threshold in runs:
                met[threshold] = runs[threshold]
            else:
                current = state.get("current") or {}
                start = current["position"] if current.get("threshold") == threshold else None
                met[threshold] = yield from self._run(problem, threshold, met, start)
            return met[threshold]

        if isinstance(self.goal, Threshold):
            yield from run(self.goal.value)
        else:
            above, below = math.inf, abs(full - none) / 2
            for _ in range(_HALVINGS):
                done = yield from run(below)
                exhausted = isinstance(self.goal, Edges) and below < _NEGLIGIBLE * abs(full - none)
                if self._is_fine_enough(done.point) or exhausted:
                    break
                above, below = below, below / 2
            bracketed = (
                below in met and math.isfinite(above) and not exhausted
            )  # else there is no last step to close in on
            for _ in range(_REFINEMENTS * bracketed):
                middle = math.sqrt(above * below)
                done = yield from run(middle)
                above, below = (above, middle) if self._is_fine_enough(done.point) else (middle, below)
        curve = tuple(met[threshold].point for threshold in sorted(met, reverse=True))
        chosen = self._choose(curve)
        pruned = met[chosen.threshold].pruned
        figures = {"tested": pruned.tested, "evaluated": pruned.evaluated, "closest_decision": pruned.closest}
        if pruned.one_minimal:
            figures["one_minimal"] = True
        return pruned.circuit, Account(chosen, curve, figures)

    def _run(
        self, problem: Problem, threshold: float, met: dict[float, Run], start: Mapping[str, Any] | None
    ) -> Generator[Progress, None, Run]:
        stage = f"run {len(met) + 1} · threshold {threshold:.3g}"
        earlier = [run.to_json() for run in met.values()]
        pruning = replace(self.pruning, threshold=threshold)
        if isinstance(pruning, GreedyPruning):
            walk: Generator[Step | Bisection, None, Pruned] = pruning.walk(
                problem, Position(**start) if start else None
            )
        else:
            walk = pruning.walk(problem)
        while True:
            try:
                step = next(walk)
            except StopIteration as stop:
                pruned: Pruned = stop.value
                break
            match step:
                case Step():
                    current = {"threshold": threshold, "position": asdict(step.position)}
                    state = {"runs": earlier, "current": current}
                    yield Progress(stage, step.done, step.total, len(step.position.scores), state)
                case Bisection():
                    yield Progress(stage, step.decided, step.total, step.kept, {"runs": earlier})
                case _:
                    assert_never(step)
        pruned = replace(pruned, circuit=pruned.circuit.pruned())
        value = float(problem.normalised(problem.measure([pruned.circuit])[0].mean(-1))[0])
        return Run(CurvePoint(threshold, len(pruned.circuit), value, pruned.tested), pruned)

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
                return smallest_that_keeps(fraction, curve)
            case Edges(count):
                small = [point for point in curve if 0 < point.edges <= count]
                if not small:
                    least = min((point.edges for point in curve if point.edges), default=0)
                    raise UnreachableGoal(
                        f"no circuit of at most {count} edges was found: the smallest has {least}; "
                        "ask for more edges (--edges)"
                    )
                return max(small, key=lambda point: (point.faithfulness, -point.edges))
            case Threshold():
                return curve[0]
            case _:
                assert_never(self.goal)


def smallest_that_keeps(fraction: float, curve: tuple[CurvePoint, ...]) -> CurvePoint:
    """The point of fewest edges among those that keep the fraction.

    Raises: UnreachableGoal when none does.
    """
    fine = [point for point in curve if point.faithfulness >= fraction]
    if not fine:
        best = max(point.faithfulness for point in curve)
        raise UnreachableGoal(
            f"no circuit keeps {fraction:.0%} of the behaviour: got at most {best:.0%} down to a threshold of "
            f"{curve[-1].threshold:.2g}; ask for less (--faithfulness) or give --threshold"
        )
    return min(fine, key=lambda point: (point.edges, -point.faithfulness))
