"""Does the circuit do better than chance? Against random circuits of exactly the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.judges.contest import Contest, contest
from acdc.random_circuits import Draw, random_circuits

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    from acdc.problem import Problem
    from graphs.circuit import Circuit

RANDOM = 1000
"""How many random circuits of each kind, at least, a claim rests on."""


@dataclass(frozen=True)
class Sufficiency:
    """How close to the whole model the circuit is, against random circuits of as many live edges.

    The numbers compared are minus the mean over prompts of |metric of the circuit - metric of the whole model|.
    """

    uniform: Contest
    stratified: Contest

    @property
    def p_value(self) -> float:
        """The larger of the two: small if the circuit is rarely matched by either kind."""
        return max(self.uniform.p_value, self.stratified.p_value)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"uniform": self.uniform.to_json(), "stratified": self.stratified.to_json(), "p_value": self.p_value}


def sufficiency(problem: Problem, circuit: Circuit, seed: int = 0, *, draws: int = RANDOM) -> Sufficiency:
    """Hold the circuit against `draws` random circuits of each kind.

    Raises: BadSetting when no edge of the circuit is live; UnmeasurableBehaviour, DifferentGraphs.
    Source: Shi et al. 2024 (arXiv:2410.13032), section 3, with both kinds of random circuits.
    """
    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch

    def against(kind: Draw) -> Contest:
        drawn = random_circuits(circuit, draws, kind, seed)
        near = -distances(problem, [circuit, *drawn])
        return contest(float(near[0]), near[1:])

    return Sufficiency(against("uniform"), against("layer-stratified"))


def distances(problem: Problem, circuits: list[Circuit]) -> numpy.typing.NDArray[numpy.float64]:
    """The mean over prompts of |metric of the circuit - metric of the whole model|, of each circuit."""
    from graphs.circuit import Circuit

    values = problem.measure([Circuit.full(problem.graph), *circuits])[0]
    far: numpy.typing.NDArray[numpy.float64] = (values[1:] - values[0]).abs().mean(-1).numpy()
    return far
