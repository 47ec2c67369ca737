"""What the circuits of a search keep of the model on the problem's own prompts, and whether a goal is reached."""

from __future__ import annotations

from typing_extensions import assert_never

from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import CurvePoint
from acdc.settings import KeptAccuracy, KeptFaithfulness, Level, MeanKL
from acdc.tasks.metrics import AbstractMetric, Accuracy, KLDivergence


def measured(problem: Problem, circuit: Circuit, threshold: float, tested: int = 0) -> CurvePoint:
    """The point of a circuit on the curve: its size, faithfulness, KL from the model, and accuracy."""
    value, kl, accuracy = problem.measure([circuit], [problem.metric, KLDivergence(), Accuracy()]).mean(-1)
    kept = float(problem.normalised(value)[0])
    return CurvePoint(threshold, len(circuit), kept, tested, float(kl[0]), float(accuracy[0]))


class LevelCheck:
    """What a level asks of every point of a curve."""

    def __init__(self, level: Level, problem: Problem) -> None:
        self._level, self._problem = level, problem
        self._right = 0.0
        if isinstance(level, KeptAccuracy):
            whole = problem.measure([Circuit.full(problem.graph)], [Accuracy()])
            self._right = float(whole.mean())
            if not self._right:
                raise UnreachableGoal(
                    "the model is right on none of the discovery prompts, so there is no accuracy to keep; "
                    "use a model that shows the behaviour (--model) or another goal (--kl)"
                )

    def reached(self, point: CurvePoint) -> bool:
        """Whether the circuit keeps enough."""
        match self._level:
            case KeptFaithfulness(fraction):
                return point.faithfulness >= fraction
            case MeanKL(nats):
                return point.kl is not None and point.kl <= nats
            case KeptAccuracy(fraction):
                return point.accuracy is not None and point.accuracy >= fraction * self._right
            case _:
                assert_never(self._level)

    def slack(self, point: CurvePoint) -> float:
        """By how much the mean of `metric` may get worse before the circuit keeps too little."""
        match self._level:
            case KeptFaithfulness(fraction):
                full, none = self._problem.bounds
                return (point.faithfulness - fraction) * abs(full - none)
            case MeanKL(nats):
                assert point.kl is not None
                return nats - point.kl
            case KeptAccuracy(fraction):
                assert point.accuracy is not None
                return point.accuracy - fraction * self._right
            case _:
                assert_never(self._level)

    @property
    def metric(self) -> AbstractMetric:
        """What the level is measured by."""
        match self._level:
            case KeptFaithfulness():
                return self._problem.metric
            case MeanKL():
                return KLDivergence()
            case KeptAccuracy():
                return Accuracy()
            case _:
                assert_never(self._level)

    def smallest(self, curve: tuple[CurvePoint, ...]) -> CurvePoint:
        """The point of fewest edges among those that reach the level.

        Raises: UnreachableGoal when none does.
        """
        fine = [point for point in curve if self.reached(point)]
        if fine:
            return min(fine, key=lambda point: (point.edges, -point.faithfulness))
        raise UnreachableGoal(
            f"no circuit {self._level}: got {self._best(curve)} down to a threshold of "
            f"{curve[-1].threshold:.2g}; ask for less or give --threshold{self._instead()}"
        )

    def _best(self, curve: tuple[CurvePoint, ...]) -> str:
        match self._level:
            case KeptFaithfulness():
                return f"at most {max(point.faithfulness for point in curve):.0%}"
            case MeanKL():
                return f"no nearer than {min(point.kl for point in curve if point.kl is not None):.3g} nats"
            case KeptAccuracy():
                best = max(point.accuracy for point in curve if point.accuracy is not None)
                return f"at most {best / self._right:.0%}"
            case _:
                assert_never(self._level)

    def _instead(self) -> str:
        return "" if isinstance(self._level, KeptFaithfulness) else ", or measure by KL (--metric kl)"
