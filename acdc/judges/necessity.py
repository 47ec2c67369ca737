"""Is the circuit needed? What the rest of the model does without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from acdc.graphs.circuit import Circuit
from acdc.judges.distance import Watch, distances, rounding
from acdc.judges.faithfulness import Interval, ratio_of_means
from acdc.judges.random_circuits import random_circuits
from acdc.judges.rank_test import RankTest, rank_test
from acdc.judges.sufficiency import RANDOM

if TYPE_CHECKING:
    from acdc.problem import Problem


@dataclass(frozen=True)
class Necessity:
    """What the model keeps of the behaviour without the circuit's edges: 0 nothing, 1 all; over the prompts."""

    kept: Interval

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)


def necessity(problem: Problem, circuit: Circuit, seed: int = 0) -> Necessity:
    """The normalised faithfulness of the complement alone; `seed` is the bootstrap's.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    full, rest, none = problem.measure([Circuit.full(problem.graph), ~circuit, Circuit.empty(problem.graph)])[0].numpy()
    return Necessity(ratio_of_means(full, rest, none, seed))


def partial_necessity(
    problem: Problem, circuit: Circuit, seed: int = 0, *, draws: int = RANDOM, watch: Watch | None = None
) -> RankTest:
    """Whether the model is hurt more without the circuit than without others of as many live edges.

    Hurt is the mean over prompts of |metric without - metric of the whole model|. The random circuits are uniform ones
    that share no edge with the circuit: one that holds a part of it may hurt as much, which speaks for the circuit.
    One whose absence hurts more on the first prompts alone than the circuit's on all is not measured on the others.

    Raises: NoRoomBeside; BadSetting when no edge of the circuit is live; UnmeasurableBehaviour, DifferentGraphs.
    Source: Shi et al. 2024 (arXiv:2410.13032), section 3.
    """
    equal, model = rounding(problem), Circuit.full(problem.graph)
    without = [~other for other in random_circuits(circuit, draws, "uniform", seed, outside=True)]
    own = float(distances(problem, model, [~circuit])[0])
    words = "necessity, the model without random circuits"
    return rank_test(own, distances(problem, model, without, own + equal, stage=words, watch=watch), equal)
