"""All tests of one circuit together."""

from __future__ import annotations

import json

from acdc.graphs.circuit import Circuit
from acdc.judges.equivalence import equivalence
from acdc.judges.necessity import partial_necessity
from acdc.judges.statistical_tests import statistical_tests
from acdc.problem import Problem


def test_each_test_is_that_of_its_judge_and_all_are_json(measurable: Problem) -> None:
    circuit = Circuit(measurable.graph, frozenset([*measurable.graph.edges()][::3])).pruned()
    found = statistical_tests(measurable, circuit, 1, draws=20)
    assert found.equivalence == equivalence(measurable, circuit, 1)
    assert found.necessity == partial_necessity(measurable, circuit, 1, draws=20)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(data) == {"equivalence", "independence", "minimality", "sufficiency", "necessity", "completeness"}
    assert data["sufficiency"]["uniform"]["of"] == 20


def test_the_whole_model_leaves_nothing_to_be_needed_more_than(measurable: Problem) -> None:
    found = statistical_tests(measurable, Circuit.full(measurable.graph), draws=5)
    assert found.necessity is None
    assert found.to_json()["necessity"] is None
