"""All hypothesis tests of one circuit: equivalence, independence, minimality, sufficiency, necessity, completeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.errors import NoRoomBeside
from acdc.judges.completeness import completeness
from acdc.judges.equivalence import Equivalence, equivalence
from acdc.judges.independence import Independence, independence
from acdc.judges.minimality import Minimality, minimality
from acdc.judges.necessity import partial_necessity
from acdc.judges.rank_test import RankTest
from acdc.judges.sufficiency import RANDOM, Sufficiency, sufficiency

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.judges.completeness import Completeness
    from acdc.judges.distance import Watch
    from acdc.problem import Problem


@dataclass(frozen=True)
class StatisticalTests:
    """What each test says of the circuit.

    `necessity` is whether the model needs it more than random circuits outside it, None where none fits there.
    """

    equivalence: Equivalence
    independence: Independence
    minimality: Minimality
    sufficiency: Sufficiency
    necessity: RankTest | None
    completeness: Completeness

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: test and test.to_json() for name, test in found.items()}


def statistical_tests(
    problem: Problem, circuit: Circuit, seed: int = 0, *, draws: int = RANDOM, watch: Watch | None = None
) -> StatisticalTests:
    """Test the circuit, holding it against `draws` random circuits and edges; `watch` hears how many are measured.

    Raises: BadSetting when no edge of the circuit is live; UnmeasurableBehaviour, DifferentGraphs.
    """
    enough = sufficiency(problem, circuit, seed, draws=draws, watch=watch)
    try:
        needed = partial_necessity(problem, circuit, seed, draws=draws, watch=watch)
    except NoRoomBeside:
        needed = None
    return StatisticalTests(
        equivalence(problem, circuit, seed),
        independence(problem, circuit, seed),
        minimality(problem, circuit, seed, added=draws, watch=watch),
        enough,
        needed,
        completeness(problem, circuit),
    )
