"""A scored search ends in what its goal promises, whatever scored the edges."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.discovery.scored_search import ScoredSearch, sized
from acdc.discovery.selection import Rule, Selection
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.problem import Problem
from acdc.progress import CurvePoint
from acdc.settings import Edges, KeptFaithfulness, Threshold
from tests.acdc.algorithms.walks import ended, finished

Scorer = Attribution | IntegratedGradients | ExactPatching
SCORERS: tuple[Scorer, ...] = (Attribution(), IntegratedGradients("inputs", 2), ExactPatching())
every_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=["eap", "eap-ig", "exact"])
every_rule = pytest.mark.parametrize("rule", [Rule.TOP, Rule.GREEDY])


def kept_by(problem: Problem, circuit: Circuit) -> float:
    full, none = problem.bounds
    return (float(problem.measure([circuit]).mean()) - none) / (full - none)


@every_rule
@every_scorer
@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN])
def test_so_many_edges_are_chosen_or_fewer_that_keep_clearly_more(
    measurable: Problem, scorer: Scorer, rule: Rule, ablation: Ablation
) -> None:
    problem = replace(measurable, ablation=ablation)
    circuit, summary = ended(ScoredSearch(Edges(25), scorer, rule).walk(problem))
    selection = Selection.of(ended(scorer.walk(problem)), rule)
    off = {size: abs(1 - kept_by(problem, selection.of_size(size))) for size in (25, 22, 18, 15, 13)}
    closest = min(off, key=off.__getitem__)
    assert len(circuit) == summary.chosen.edges == (closest if off[closest] < off[25] - 0.01 else 25)
    assert circuit == circuit.pruned() == selection.of_size(len(circuit))
    assert {point.edges for point in summary.curve} == set(off)
    assert summary.chosen in summary.curve
    assert summary.chosen.faithfulness == pytest.approx(kept_by(problem, circuit), abs=1e-9)
    assert summary.chosen.threshold == min(map(abs, circuit.scores.values()))
    more = {"steps_taken", "missed"} if isinstance(scorer, IntegratedGradients) else set()
    assert set(summary.figures) == {"selection", *more}
    assert summary.figures["selection"] == rule.value


@pytest.mark.parametrize(("kept", "edges"), [((0.6, 0.605, 0.5, 0.4, 0.3), 20), ((0.6, 0.5, 0.4, 0.8, 0.7), 12)])
def test_fewer_edges_are_taken_only_where_they_keep_clearly_more(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch, kept: tuple[float, ...], edges: int
) -> None:
    by_size = dict(zip((20, 17, 14, 12, 10), kept, strict=True))

    def known(problem: Problem, circuit: Circuit, threshold: float) -> CurvePoint:
        return CurvePoint(threshold, len(circuit), by_size[len(circuit)], 0)

    monkeypatch.setattr("acdc.discovery.scored_search.measured", known)
    selection = Selection.of(ended(Attribution().walk(measurable)), Rule.TOP)
    chosen, _ = ended(sized(measurable, selection, Edges(20)))
    assert chosen.edges == edges
    exactly, met = ended(sized(measurable, selection, Edges(20), exactly=True))
    assert exactly.edges == 20
    assert set(met) == {20}


@every_scorer
def test_a_threshold_takes_the_edges_whose_score_reaches_it(measurable: Problem, scorer: Scorer) -> None:
    scored = ended(scorer.walk(measurable))
    value = sorted(map(abs, scored.scores.values()))[-30]
    circuit, summary = ended(ScoredSearch(Threshold(value), scorer, Rule.TOP).walk(measurable))
    high = {edge: score for edge, score in scored.scores.items() if abs(score) >= value}
    assert circuit == Circuit(scored.graph, frozenset(high)).pruned()
    assert circuit.scores == {edge: high[edge] for edge in circuit.edges}
    assert 0 < summary.chosen.edges <= 30
    assert summary.chosen.threshold >= value


@every_rule
@every_scorer
@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_the_fraction_is_kept_and_one_edge_less_in_the_order_does_not_keep_it(
    measurable: Problem, scorer: Scorer, rule: Rule, fraction: float
) -> None:
    circuit, summary = ended(ScoredSearch(KeptFaithfulness(fraction), scorer, rule).walk(measurable))
    assert kept_by(measurable, circuit) == pytest.approx(summary.chosen.faithfulness, abs=1e-9)
    assert summary.chosen.faithfulness >= fraction
    assert 0 < len(circuit) < measurable.graph.n_edges
    selection = Selection.of(ended(scorer.walk(measurable)), rule)
    beginnings = [selection.first(count) for count in range(len(selection.order) + 1)]
    number = beginnings.index(circuit)
    assert kept_by(measurable, beginnings[number - 1]) < fraction


def test_the_curve_holds_every_circuit_met_by_size(measurable: Problem) -> None:
    search = ScoredSearch(KeptFaithfulness(0.9), Attribution(), Rule.GREEDY)
    (_, summary), told = finished(search.walk(measurable))
    sizes = [point.edges for point in summary.curve]
    assert sizes == sorted(set(sizes))
    assert len(sizes) > 5
    assert summary.chosen in summary.curve
    smaller = [point for point in summary.curve if point.edges < summary.chosen.edges]
    assert all(point.faithfulness < 0.9 for point in smaller)
    assert {progress.state for progress in told} == {None}
    assert [p.done for p in told if p.stage == "scoring all edges"] == [1, 2]


@pytest.mark.parametrize("steepness", [0.3, 1.0, 4.0])
def test_a_size_is_found_to_a_hundredth_by_few_measurements(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch, steepness: float
) -> None:
    """What circuits keep grows with their size like on real models; halving would take a dozen of large ones."""
    graph = ComputationalGraph(12, 12, 8)
    edges = list(graph.edges())
    chosen_by: dict[int, float] = {}

    def first(selection: Selection, count: int) -> Circuit:
        chosen_by[count] = (math.log(count + 1) / math.log(graph.n_edges + 1)) ** steepness
        return Circuit(graph, frozenset(edges[:count]))

    def kept(problem: Problem, circuit: Circuit, threshold: float) -> CurvePoint:
        return CurvePoint(threshold, len(circuit), chosen_by[len(circuit)], 0)

    monkeypatch.setattr("acdc.discovery.scored_search.measured", kept)
    monkeypatch.setattr(Selection, "first", first)
    wanted = 0.8**steepness
    chosen, _ = ended(sized(measurable, Selection(Circuit.empty(graph), tuple(edges)), KeptFaithfulness(wanted)))
    below = max(count for count, part in chosen_by.items() if part < wanted)
    assert chosen_by[chosen.edges] >= wanted
    assert below < chosen.edges <= below * 1.02
    assert sum(count > 3_000 for count in chosen_by) <= 5


def test_all_of_the_behaviour_is_kept_by_no_more_than_the_whole_model(measurable: Problem) -> None:
    circuit, summary = ended(ScoredSearch(KeptFaithfulness(1.0), Attribution(), Rule.TOP).walk(measurable))
    assert summary.chosen.faithfulness >= 1
    assert len(circuit) <= measurable.graph.n_edges


def test_one_edge_is_that_from_input_to_logits(measurable: Problem) -> None:
    circuit, _ = ended(ScoredSearch(Edges(1), Attribution(), Rule.TOP).walk(measurable))
    assert [edge.name for edge in circuit.edges] == ["input->logits"]


def test_a_behaviour_that_ablation_does_not_touch_is_refused_before_scoring(measurable: Problem) -> None:
    pairs = tuple(replace(pair, corrupt=pair.clean) for pair in measurable.pairs.pairs)
    blind = replace(measurable, pairs=replace(measurable.pairs, pairs=pairs))
    with pytest.raises(UnmeasurableBehaviour, match="no circuit can be told from none"):
        next(ScoredSearch(Edges(5), Attribution(), Rule.TOP).walk(blind))
