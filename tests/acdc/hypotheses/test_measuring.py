"""Each claim's value is what its judge says, and its interval holds the value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acdc.errors import BadHypothesisFile, UnmeasurableBehaviour
from acdc.graphs.circuit import Circuit
from acdc.hypotheses.hypothesis import Hypothesis
from acdc.hypotheses.measuring import MeasuredClaim, measure
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import load
from acdc.hypotheses.verdict import judge
from acdc.judges.completeness import completeness
from acdc.judges.faithfulness import faithfulness
from acdc.judges.minimality import minimality
from acdc.judges.necessity import necessity
from acdc.problem import Problem
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import tokenise
from tests.acdc.hypotheses.files import EDGES, changed, untrained, write

Made = Callable[..., Hypothesis]


def measured(hypothesis: Hypothesis, model_cache: ModelCache) -> MeasuredClaim:
    [claim] = hypothesis.claims
    return measure(hypothesis, claim, model_cache)


@pytest.fixture
def problem(hypothesis: Made, model_cache: ModelCache) -> Problem:
    return model_cache.problem(hypothesis("  size: {at_most: 6}\n").subject)


@pytest.fixture
def circuit(problem: Problem) -> Circuit:
    return Circuit.from_names(problem.graph, EDGES)


def test_values_are_those_of_the_judges(
    hypothesis: Made, model_cache: ModelCache, problem: Problem, circuit: Circuit
) -> None:
    judged = faithfulness(problem, circuit)

    def of(kind: str) -> MeasuredClaim:
        return measured(hypothesis(f"  {kind}: {{at_least: 0}}\n"), model_cache)

    assert of("behaviour").value == judged.accuracy.full
    assert of("faithfulness").interval == judged.normalised
    assert of("kl").value == pytest.approx(judged.kl.circuit, rel=1e-6)
    assert of("completeness").value == completeness(problem, circuit).worst.size
    assert of("size").value == 6


@pytest.mark.parametrize("kind", ["behaviour", "faithfulness", "kl"])
def test_an_estimate_lies_in_its_interval(hypothesis: Made, model_cache: ModelCache, kind: str) -> None:
    found = measured(hypothesis(f"  {kind}: {{at_least: 0}}\n"), model_cache)
    assert found.interval is not None
    assert found.interval.low <= found.value == found.interval.value <= found.interval.high
    assert found.interval.low < found.interval.high


def test_likeness_is_the_jaccard_index(
    hypothesis: Made, model_cache: ModelCache, circuit: Circuit, tmp_path: Path
) -> None:
    other = Circuit.from_names(circuit.graph, [*EDGES[:4], "input->logits"])
    other.save(tmp_path / "other.json")
    found = measured(hypothesis("  edges: {against: other.json, at_least: 1}\n"), model_cache)
    assert found.value == 4 / 7
    assert [(s.edge, s.words) for s in found.influential(True)] == [
        ("input->logits", "lost"),
        ("a0.h0->a1.h0<v>", "gained"),
        ("a1.h0->logits", "gained"),
    ]


def test_specificity_is_faithfulness_to_the_other_task(hypothesis: Made, model_cache: ModelCache) -> None:
    same = measured(hypothesis("  specificity:\n    periodic: {at_most: 1}\n"), model_cache)
    assert same.interval == measured(hypothesis("  faithfulness: {at_most: 1}\n"), model_cache).interval


def test_minimality_counts_the_useless_edges_and_names_them(
    hypothesis: Made, model_cache: ModelCache, problem: Problem
) -> None:
    larger = [*EDGES, "input->m1", "m1->logits"]
    found = measured(hypothesis("  minimality: {at_most: 0}\n", json.dumps(larger)), model_cache)
    useless = minimality(problem, Circuit.from_names(problem.graph, larger)).useless
    assert found.value == len(useless) > 0
    assert [(s.edge, s.words) for s in found.influential(False)] == [(edge.name, "useless") for edge in useless]


def test_necessity_is_what_is_kept_without_the_circuit(
    hypothesis: Made, model_cache: ModelCache, problem: Problem, circuit: Circuit
) -> None:
    found = measured(hypothesis("  necessity: {at_most: 0}\n"), model_cache)
    assert found.interval == necessity(problem, circuit).kept
    assert all(edge.edge not in EDGES for edge in found.influential(False) if edge.words.startswith("without"))


COUNTEREXAMPLES = """\
  counterexamples:
    at_most: 0.5
    prompts:
      - {clean: "A B A B A", corrupt: "P Q P Q P", answer: " B", distractor: " Q"}
      - {clean: "C D C D C D C", corrupt: "P Q P Q P Q P", answer: [" D"], distractor: [" Q"], position: -1}
"""


def test_counterexamples_are_as_bad_as_the_worst_of_them(
    hypothesis: Made, model_cache: ModelCache, problem: Problem, circuit: Circuit
) -> None:
    claimed = hypothesis(COUNTEREXAMPLES)
    (claim,) = claimed.claims
    assert claim.prompts is not None
    pairs = [tokenise(text, problem.model.tokenizer)[0] for text in claim.prompts.texts]
    chosen = replace(problem, pairs=PromptPairs(tuple(pair for pair in pairs if pair)), carried_from=problem.pairs)
    each = chosen.measure([circuit], [KLDivergence()])[0, 0]
    assert len(each) == 2
    assert measured(claimed, model_cache).value == float(each.max()) > float(each.min())


def test_a_counterexample_fails_until_the_circuit_is_repaired_and_the_missing_edge_is_named(
    hypothesis: Made, model_cache: ModelCache
) -> None:
    for missing in (EDGES[1], EDGES[5]):
        broken = hypothesis(COUNTEREXAMPLES, json.dumps([edge for edge in EDGES if edge != missing]))
        verdict = judge(broken, broken.claims[0], model_cache)
        assert not verdict.passed
        assert verdict.influential[0].words.startswith("with")
    assert verdict.influential[0].edge == EDGES[5]
    repaired = hypothesis(COUNTEREXAMPLES)
    assert judge(repaired, repaired.claims[0], model_cache).passed


def test_a_counterexample_that_the_tokenizer_cannot_express_is_told_with_its_line(
    hypothesis: Made, model_cache: ModelCache
) -> None:
    odd = hypothesis(COUNTEREXAMPLES.replace('"C D', '"Supercalifragilistic D'))
    with pytest.raises(BadPrompts, match=r"test_periodic\.acdc\.yaml:11: the clean prompt has a word that the"):
        measured(odd, model_cache)


def test_the_missing_edge_is_the_most_influential(hypothesis: Made, model_cache: ModelCache) -> None:
    for kind, too_low in (("faithfulness", True), ("kl", False)):
        broken = hypothesis(
            f"  {kind}: {{at_least: 0}}\n", f'["{EDGES[0]}", "{EDGES[2]}", "{EDGES[4]}", "a1.h0->logits"]'
        )
        found = measured(broken, model_cache)
        whole = hypothesis(
            f"  {kind}: {{at_least: 0}}\n", "[" + ", ".join(f'"{e}"' for e in EDGES if e != EDGES[1]) + "]"
        )
        first = measured(whole, model_cache).influential(too_low)[0]
        assert (first.edge, first.words.split()[:2]) == (EDGES[1], ["with", "it"])
        assert all(edge.edge for edge in found.influential(too_low))


def test_what_shows_too_much_is_put_down_to_edges_of_the_circuit(hypothesis: Made, model_cache: ModelCache) -> None:
    influential = measured(hypothesis("  specificity:\n    periodic: {at_most: 0}\n"), model_cache).influential(False)
    assert {edge.edge for edge in influential} <= {*EDGES}
    assert all(edge.words.startswith("without it") for edge in influential)


def test_a_circuit_that_is_too_large_is_blamed_on_what_it_loses_least_without(
    hypothesis: Made, model_cache: ModelCache
) -> None:
    larger = "[" + ", ".join(f'"{edge}"' for edge in (*EDGES, "input->m1")) + "]"
    found = measured(hypothesis("  size: {at_most: 6}\n", larger), model_cache)
    assert found.value == 7
    assert found.influential(False)[0].edge == "input->m1"
    assert found.influential(True) == ()


def test_wildcards_are_expanded_in_the_models_graph(hypothesis: Made, model_cache: ModelCache) -> None:
    assert measured(hypothesis("  size: {at_most: 6}\n", '["a1.*->logits", "m0"]'), model_cache).value == 4 + 3


def test_what_the_models_graph_lacks_is_told_when_it_is_known(model_cache: ModelCache, tmp_path: Path) -> None:
    """A compiled model has no configuration to look at before."""
    text = changed("model: periodic-2l", "model: planted:0").replace("task: periodic", "task: planted_hops")
    hypothesis = load(write(tmp_path, text.replace("a1.h0->logits", "a9.h0->logits")))
    with pytest.raises(BadHypothesisFile, match=r":4: 'a9\.h0->logits' is no edge of this model"):
        measure(hypothesis, hypothesis.claims[2], model_cache)


def test_a_model_that_does_not_show_the_behaviour_cannot_be_measured(model_cache: ModelCache, tmp_path: Path) -> None:
    hypothesis = load(write(tmp_path), str(untrained(tmp_path / "untrained")))
    with pytest.raises(UnmeasurableBehaviour):
        measure(hypothesis, hypothesis.claims[1], model_cache)
    behaviour = measure(hypothesis, hypothesis.claims[0], model_cache)
    assert behaviour.value < 0.5
    assert behaviour.influential(True) is not None


@pytest.mark.parametrize(
    ("circuit", "size", "counted"),
    [
        (None, 6, "edges; nodes: 3, a0.h0, a0.h2, a1.h0"),
        ('["input->a1.h0<v>", "a1.h0->logits"]', 2, "edges; nodes: 1, a1.h0"),
        (
            '["a0.h0->m1", m0]',
            4,
            "edges; nodes: 3, a0.h0, m0, m1; "
            "3 of the edges are those between the nodes that are listed, input and logits",
        ),
    ],
)
def test_size_counts_edges_and_names_nodes_beside_them(
    hypothesis: Made, model_cache: ModelCache, circuit: str | None, size: int, counted: str
) -> None:
    made = hypothesis("  size: {at_most: 9}\n", circuit)
    found = measured(made, model_cache)
    assert (found.value, found.counted) == (size, counted)
    assert len(made.circuit_in(model_cache.problem(made.subject).graph)) == size
    assert judge(made, made.claims[0], model_cache).value == f"{size} {counted}"


def test_a_role_is_the_one_that_explain_finds_and_another_says_what_was_found(
    hypothesis: Made, model_cache: ModelCache
) -> None:
    both = hypothesis("  roles:\n    a0.h2: fixed offset (2 back)\n    a0.h0: induction\n")
    right, wrong = (judge(both, claim, model_cache) for claim in both.claims)
    assert (right.claim.name, right.passed) == ("roles[a0.h2]", True)
    assert not wrong.passed
    message = wrong.message()
    assert "measured  previous token: attention to 1 back 0." in message
    assert "claimed   induction" in message


def test_a_role_of_a_head_outside_the_circuit_is_refused(hypothesis: Made, model_cache: ModelCache) -> None:
    with pytest.raises(
        BadHypothesisFile, match=r"a1\.h3 is no head of the circuit; wanted one of a0\.h0, a0\.h2, a1\.h0"
    ):
        measured(hypothesis("  roles: {a1.h3: induction}\n"), model_cache)
