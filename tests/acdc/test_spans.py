"""Prompts have spans that go by what stands there, and every method finds edges by position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from acdc import tasks
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.prices import Prices
from acdc.algorithms.scores import AbstractScorer
from acdc.batch import Batching
from acdc.discovery.search import algorithm_of
from acdc.errors import BadSetting
from acdc.graphs import computation
from acdc.graphs.ablation import UNLEARNED
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.methods import METHODS
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Method, Setup
from acdc.span_numbers import span_numbers
from acdc.spans import by_position
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import KLDivergence, LogitDifference
from acdc.tasks.pairs import ScoredPosition, TokenPair, Wording
from acdc.tasks.prompts import PromptPairs
from tests.acdc.algorithms.naive_greedy import naive_greedy
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import TEXT, behaviour
from tests.checkpoints import Checkpoints
from tests.graphs.test_hand_weighted import A, B, C, hand_weighted

SLOW = ("masks", "exact-redundant")
FEW = ("END-1", "END")
"""Two spans: all positions before the last two are counted to the first of these."""


def of_four(*rows: tuple[tuple[int, ...], tuple[int, ...], int, int]) -> PromptPairs:
    """Prompts of the hand-weighted model: clean, corrupt, the answer and what must not come."""
    scored = [(clean, corrupt, (ScoredPosition(3, (yes,), (no,)),)) for clean, corrupt, yes, no in rows]
    return PromptPairs(tuple(TokenPair(*parts, TEXT) for parts in scored))


NEAR = of_four(((C, A, B, A), (C, A, C, A), B, C), ((C, B, A, B), (C, B, C, B), A, C))
FAR = of_four(((A, B, C, A), (A, C, B, A), B, C), ((B, A, C, B), (B, C, A, B), A, C))


@pytest.fixture(scope="module")
def ioi() -> Problem:
    """Eight prompts of a shipped model, with edges by position."""
    return problems(tasks.get("ioi"), load_named("everyday-4l", Setup()), Setup(prompts=8, positions="slots"))[0]


@pytest.fixture(scope="module")
def small(checkpoints: Checkpoints) -> Problem:
    """Prompts of two lengths of a tiny model, with edges at two spans."""
    model = checkpoints.model("llama")
    return Problem(model.by_position(FEW), behaviour(model, (4, 7, 4, 7)), KLDivergence())


def named(problem: Problem, number: int) -> list[str]:
    """The spans of a prompt, position by position."""
    [batch] = problem.pairs.select([number]).batches()
    numbers = span_numbers(problem.model, problem.pairs.select([number]), batch)
    assert numbers is not None
    return [problem.graph.spans[each] for each in numbers[0].tolist()]


def test_spans_are_the_words_of_slots_and_the_text_before_each(ioi: Problem) -> None:
    for number, pair in enumerate(ioi.pairs.pairs):
        names = named(ioi, number)
        words = ioi.model.tokenizer.convert_ids_to_tokens(list(pair.clean))
        filling = dict(pair.text.wording.filling)
        assert names[0] == "first_token"
        assert names[pair.position] == "END"
        for slot in ("giver", "receiver", "object", "place"):
            assert words[names.index(slot)] == filling[slot]
        second = names.index("giver_2")
        assert words[second] == filling["giver"]
        assert second > names.index("giver")
        assert {*names[names.index("place") + 1 : second]} == {"before_giver_2"}
    assert ioi.graph.spans[-1] == "END"
    assert ioi.graph.spans[0] == "first_token"


def test_what_another_wording_has_besides_is_counted_to_the_span_before_it(ioi: Problem) -> None:
    known = ("first_token", "giver", "giver_2", "END")
    other = replace(ioi, model=ioi.model.by_position(known))
    for number in range(3):
        names, fewer = named(ioi, number), named(other, number)
        assert set(fewer) == {*known}
        for position, name in enumerate(names):
            assert fewer[position] == (name if name in known else fewer[position - 1])


def test_of_slots_only_those_asked_for_are_spans(ioi: Problem) -> None:
    pairs = [
        replace(pair, text=replace(pair.text, wording=replace(pair.text.wording, spans=("giver",))))
        for pair in ioi.pairs.pairs
    ]
    spans = by_position(ioi.model.by_position(()), [PromptPairs(tuple(pairs))]).graph.spans
    assert spans == ("first_token", "before_giver", "giver", "before_giver_2", "giver_2", "before_END", "END")


def test_prompts_without_slots_have_spans_by_how_far_they_are_from_the_scored_position(
    checkpoints: Checkpoints,
) -> None:
    model = checkpoints.model("llama")
    pairs = PromptPairs(tuple(TokenPair(t, t, (ScoredPosition(len(t) - 1, (5,), (6,)),), TEXT) for t in lengths(3, 19)))
    named_by = by_position(model, [pairs])
    assert named_by.graph.spans == ("earlier", *(f"END-{number}" for number in range(15, 0, -1)), "END")
    [batch] = pairs.select([0]).batches()
    numbers = span_numbers(named_by, pairs, batch)
    assert numbers is not None
    assert [named_by.graph.spans[each] for each in numbers[0]] == ["END-2", "END-1", "END"]


def lengths(*some: int) -> Iterable[tuple[int, ...]]:
    return (tuple(range(10, 10 + length)) for length in some)


def test_prompts_of_any_length_are_measured_alike_alone_and_together(small: Problem) -> None:
    edges = list(small.graph.edges())
    circuits = [Circuit(small.graph, frozenset(edges[start::3])) for start in range(3)]
    for ablation in UNLEARNED:
        together = replace(small, ablation=ablation)
        apart = replace(together, batching=Batching(1))
        assert len(together.prompt_batches) < len(apart.prompt_batches) == 4
        torch.testing.assert_close(apart.measure(circuits), together.measure(circuits), rtol=0, atol=1e-9)


def test_greedy_decides_by_position_as_one_run_per_edge_would(small: Problem) -> None:
    full, none = small.bounds
    small = replace(small, pairs=small.pairs.select([0, 1]))
    threshold = 0.05 * abs(full - none)
    wanted = naive_greedy(small, threshold)
    assert 10 < len(wanted) < small.graph.n_edges / 2
    at_one_span = {name for name in wanted if name.replace("@END-1", "@END") not in wanted or name.endswith("@END")}
    assert at_one_span, "an edge at one span only, or spans would say nothing"
    for algorithm in (GreedyPruning(threshold), GreedyPruning(threshold, batch=3)):
        found = algorithm.discover(small).circuit
        assert {edge.name: found.scores[edge] for edge in found} == pytest.approx(wanted, rel=0, abs=1e-9)


@pytest.mark.parametrize("name", [name for name, each in METHODS.items() if not each.prunes])
def test_every_scoring_method_scores_every_edge_at_every_span(small: Problem, name: str) -> None:
    problem = replace(small, metric=LogitDifference())
    if name in SLOW:
        problem = Problem(by_position(hand_weighted(), [NEAR]), NEAR, LogitDifference())
    algorithm = LearnedMasks(prices=Prices(20)) if name == "masks" else algorithm_of(Method(name))
    assert isinstance(algorithm, AbstractScorer)
    scored = ended(algorithm.walk(problem))
    assert scored.graph == problem.graph
    assert len(scored.scores) == problem.graph.n_edges
    assert len(set(scored.scores.values())) > 2


@pytest.mark.parametrize("name", ["eap", "eap-ig"])
def test_attribution_by_position_adds_up_to_attribution(small: Problem, name: str) -> None:
    problem = replace(small, metric=LogitDifference())
    plain = replace(problem, model=problem.model.by_position(()))
    algorithm = algorithm_of(Method(name))
    assert isinstance(algorithm, AbstractScorer)
    whole, parts = (ended(algorithm.walk(each)) for each in (plain, problem))
    sums: dict[Edge, float] = dict.fromkeys(whole.scores, 0.0)
    for edge, score in parts.scores.items():
        sums[edge.at_every_span] += score
    assert sums == pytest.approx(whole.scores, rel=1e-9, abs=1e-9)


def test_exact_effects_by_position_are_those_of_removing_one_edge(small: Problem) -> None:
    algorithm = algorithm_of(Method("exact"))
    assert isinstance(algorithm, AbstractScorer)
    scores = ended(algorithm.walk(small)).scores
    full = Circuit.full(small.graph)
    some = list(small.graph.edges())[::29]
    values = small.measure([full, *(full.without([edge]) for edge in some)])[0].mean(-1)
    costs = (values[0] - values[1:]) * small.metric.sign
    assert [scores[edge] for edge in some] == pytest.approx(costs.tolist(), rel=0, abs=1e-9)


@pytest.mark.parametrize("settings", [{"name": "coarse"}, {"name": "eap+acdc"}, {"name": "acdc", "refine": True}])
def test_every_pruning_method_finds_a_circuit_by_position(small: Problem, settings: dict[str, Any]) -> None:
    full, none = small.bounds
    algorithm: Any = replace(algorithm_of(Method(**settings)), threshold=0.02 * abs(full - none))  # type: ignore[type-var]
    circuit = ended(algorithm.walk(small)).circuit
    assert 0 < len(circuit) < small.graph.n_edges
    assert circuit.graph == small.graph


def test_a_head_that_does_the_same_at_two_places_is_told_apart_by_position_only() -> None:
    """The induction head fetches the answer from one place in the one behaviour and from another in the other."""
    model, found = hand_weighted(), {}
    for name, pairs in (("near", NEAR), ("far", FAR)):
        for each in (model, by_position(model, [pairs])):
            circuit = GreedyPruning(0.7).discover(Problem(each, pairs, LogitDifference())).circuit
            found[name, bool(each.graph.spans)] = {edge.name for edge in circuit}
    assert found["near", False] == found["far", False] == {"input->a1.h0<v>", "a1.h0->logits"}
    assert found["near", True] == {"input->a1.h0<v>@END-1", "a1.h0->logits"}
    assert found["far", True] == {"input->a1.h0<v>@END-2", "a1.h0->logits"}


def test_a_prompt_that_fills_no_slots_is_refused_where_spans_are_slots(ioi: Problem) -> None:
    """Counted to some span all the same, it would give a number that says nothing."""
    pair = ioi.pairs.pairs[0]
    bare = replace(pair, text=replace(pair.text, wording=Wording()))
    with pytest.raises(BadPrompts, match=r"does not say where the spans of the circuit are.*fills no slots"):
        ioi.on(PromptPairs((bare,))).measure([Circuit.full(ioi.graph)])


def test_too_many_edges_by_position_are_refused(ioi: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computation, "MOST_EDGES", 10_000)
    plain = replace(ioi.model, graph=replace(ioi.graph, spans=()))
    with pytest.raises(BadSetting, match="name fewer slots"):
        by_position(plain, [ioi.pairs])


def test_only_slots_or_none_can_be_asked_for() -> None:
    with pytest.raises(BadSetting, match=r"unknown positions 'all'; wanted none or slots \(--positions\)"):
        Setup(positions="all")
