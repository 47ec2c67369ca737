"""How alike circuits are, worked out by hand."""

from __future__ import annotations

import json

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.nodes import Edge
from acdc.judges.stability import Agreement, jaccard, spearman, stability

GRAPH = ComputationalGraph(2, 1, 4)


def edge(sender: str) -> Edge:
    return Edge.parse(f"{sender}->logits")


def circuit(**scores: float) -> Circuit:
    known = {edge(sender): score for sender, score in scores.items()}
    return Circuit(GRAPH, frozenset(known), known)


ASKED = circuit(input=3.0, m0=2.0)
SAME, MORE, OTHER = circuit(input=3.5, m0=1.0), circuit(input=3.0, m0=2.0, m1=1.0), circuit(m1=1.0)


def test_jaccard_is_what_both_have_of_what_either_has() -> None:
    assert jaccard(SAME, MORE) == pytest.approx(2 / 3)
    assert jaccard(SAME, OTHER) == 0
    assert jaccard(Circuit.empty(GRAPH), Circuit.empty(GRAPH)) == 1


def test_spearman_ranks_signed_scores_and_counts_an_edge_left_out_as_0() -> None:
    assert spearman(ASKED, SAME) == pytest.approx(1)
    assert spearman(ASKED, circuit(input=1.0, m0=2.0)) == pytest.approx(-1)
    assert spearman(circuit(input=1.0, m0=-2.0), circuit(m0=-1.0)) == pytest.approx(1)
    assert spearman(MORE, circuit(m0=5.0, m1=1.0)) == pytest.approx(-0.5)  # ranks 3 2 1 against 1 3 2


def test_scores_that_do_not_differ_or_are_not_there_have_no_ranks() -> None:
    assert spearman(ASKED, circuit(input=1.0, m0=1.0)) is None
    assert spearman(ASKED, Circuit(GRAPH, ASKED.edges)) is None
    assert spearman(Circuit.empty(GRAPH), Circuit.empty(GRAPH)) is None


def test_agreement_is_a_mean_over_pairs_and_over_those_with_the_circuit() -> None:
    agreed = Agreement.of(ASKED, [SAME, MORE, OTHER])
    assert agreed.jaccard == pytest.approx((2 / 3 + 0 + 1 / 3) / 3)
    assert agreed.with_circuit == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (agreed.runs, agreed.fewest, agreed.most) == (3, 1, 3)


def test_one_discovery_has_no_pairs() -> None:
    assert Agreement.of(ASKED, [MORE]) == Agreement(1, None, 2 / 3, None, 3, 3)


def test_a_frequency_is_a_part_of_all_discoveries() -> None:
    found = stability(ASKED, [SAME, MORE, OTHER], [OTHER])
    assert found.frequencies == {edge("m1"): 0.75, edge("input"): 0.5, edge("m0"): 0.5}
    assert found.seeds == Agreement.of(ASKED, [OTHER])
    assert stability(ASKED, [SAME], []).seeds is None


def test_an_edge_never_found_again_has_frequency_0() -> None:
    assert stability(ASKED, [OTHER], []).frequencies == {edge("m1"): 1.0, edge("input"): 0.0, edge("m0"): 0.0}


def test_a_circuit_carries_its_own_edges_frequencies_and_is_told_of_others_found_often() -> None:
    asked = Circuit(GRAPH, ASKED.edges, ASKED.scores, {"task": "echo"})
    found = stability(asked, [SAME, MORE, OTHER, OTHER], [])
    noted = found.noted_in(asked)
    assert noted == asked
    assert noted.scores == asked.scores
    assert noted.frequencies == {edge("input"): 0.5, edge("m0"): 0.5}
    assert noted.provenance["task"] == "echo"
    assert noted.provenance["stability"]["found_often_outside"] == {"m1->logits": 0.75}
    assert noted.provenance["stability"]["resamples"]["runs"] == 4
    assert json.loads(json.dumps(found.to_json()))["frequencies"]["m1->logits"] == 0.75
