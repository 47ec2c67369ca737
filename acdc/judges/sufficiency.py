"""Does the circuit do better than chance? Against random circuits of exactly the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.graphs.circuit import Circuit
from acdc.judges.distance import Watch, distances, rounding
from acdc.judges.random_circuits import Draw, random_circuits
from acdc.judges.rank_test import RankTest, rank_test

if TYPE_CHECKING:
    from acdc.problem import Problem

RANDOM = 1000
"""How many random circuits of each kind, at least, a claim rests on."""


@dataclass(frozen=True)
class Sufficiency:
    """How close to the whole model the circuit is, against random circuits of as many live edges.

    The numbers compared are minus the mean over prompts of |metric of the circuit - metric of the whole model|.
    """

    uniform: RankTest
    stratified: RankTest

    @property
    def p_value(self) -> float:
        """The larger of the two: small if the circuit is rarely matched by either kind."""
        return max(self.uniform.p_value, self.stratified.p_value)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"uniform": self.uniform.to_json(), "stratified": self.stratified.to_json(), "p_value": self.p_value}


def sufficiency(
    problem: Problem, circuit: Circuit, seed: int = 0, *, draws: int = RANDOM, watch: Watch | None = None
) -> Sufficiency:
    """Hold the circuit against `draws` random circuits of each kind.

    A random circuit that the first prompts alone put further from the model than this one is beaten, whatever the
    others say, and is not measured on them. `watch` hears how many have been measured.

    Raises: BadSetting when no edge of the circuit is live; UnmeasurableBehaviour, DifferentGraphs.
    Source: Shi et al. 2024 (arXiv:2410.13032), section 3, with both kinds of random circuits.
    """
    equal, model = rounding(problem), Circuit.full(problem.graph)
    own = float(distances(problem, model, [circuit])[0])

    def against(kind: Draw) -> RankTest:
        drawn = random_circuits(circuit, draws, kind, seed)
        words = f"sufficiency, {kind} random circuits"
        others = distances(problem, model, drawn, own + equal, stage=words, watch=watch)
        return rank_test(-own, -others, equal)

    return Sufficiency(against("uniform"), against("layer-stratified"))
