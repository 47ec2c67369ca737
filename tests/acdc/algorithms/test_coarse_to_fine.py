"""Pruning from coarse to fine makes no removal that was not measured, and each level is what it says it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, get_args

import pytest

from acdc.algorithms.coarse_to_fine import STAGES, CoarseToFine, Level
from acdc.algorithms.greedy import Pruned
from acdc.algorithms.grouped import Bisection
from acdc.drain import drain
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge, Node
from acdc.ground_truth.known_models import known
from acdc.methods import LEVELS
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import AbstractMetric, KLDivergence, LogitDifference
from tests.acdc.algorithms.walks import ended, finished

EVERY_LEVEL: tuple[Level, ...] = get_args(Level)


def threshold_of(problem: Problem, fraction: float = 0.05) -> float:
    full, none = problem.bounds
    return abs(full - none) * fraction


@dataclass
class NaiveWalk:
    """The same decisions, by measuring every circuit alone, whatever is known of it, and asking what is to be asked."""

    problem: Problem
    threshold: float
    ranking: dict[Edge, float]
    circuit: Circuit = field(init=False)
    accepted: list[tuple[float, Circuit]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.circuit = Circuit.full(self.problem.graph)

    def cost(self, edges: Iterable[Edge]) -> float:
        before, after = (
            float(self.problem.measure([circuit])[0].mean()) for circuit in (self.circuit, self.circuit.without(edges))
        )
        return (before - after) * self.problem.metric.sign

    def remove(self, units: Sequence[frozenset[Edge]]) -> None:
        edges = frozenset[Edge]().union(*units)
        cost = self.cost(edges)
        assert cost < self.threshold
        self.circuit = self.circuit.without(edges).pruned()
        self.accepted.append((cost, self.circuit))

    def decide(self, units: Sequence[frozenset[Edge]]) -> dict[frozenset[Edge], float]:
        units = [unit for unit in units if unit & self.circuit.edges]
        if not units:
            return {}
        cost = self.cost(frozenset[Edge]().union(*units))
        if cost < self.threshold:
            self.remove(units)
            return {}
        if len(units) == 1:
            return {units[0]: cost}
        first, second = units[: len(units) // 2], units[len(units) // 2 :]
        one, other = (self.cost(frozenset[Edge]().union(*half)) for half in (first, second))
        if other < self.threshold <= one:
            first, second = second, first
        return {**self.decide(first), **self.decide(second)}

    def sorted(self, units: Iterable[frozenset[Edge]]) -> list[frozenset[Edge]]:
        met = [unit & self.circuit.edges for unit in units]
        return sorted(
            (unit for unit in met if unit), key=lambda unit: math.fsum(self.ranking[edge] for edge in sorted(unit))
        )

    def touching(self, nodes: Iterable[Node]) -> frozenset[Edge]:
        chosen = set(nodes)
        return frozenset(edge for edge in self.circuit.edges if {edge.sender, edge.receiver} & chosen)

    def ends(self, level: Level) -> dict[Edge, float]:
        """Walk to the end; the scores of the edges."""
        graph = self.problem.graph
        inner = [node for node in graph.senders if node != INPUT]
        kinds = sorted({(node.layer, node.kind) for node in inner})
        self.decide(self.sorted(self.touching(n for n in inner if (n.layer, n.kind) == kind) for kind in kinds))
        scores: dict[Edge, float] = {}
        for unit, cost in self.decide(self.sorted(self.touching([node]) for node in inner)).items():
            scores |= {edge: min(cost, scores.get(edge, math.inf)) for edge in unit}
        if level != "node":
            slots = product((node for node in inner if node.kind == "head"), SLOTS)
            into = [frozenset(e for e in graph.every_edge if (e.receiver, e.slot) == slot) for slot in slots]
            scores |= {edge: cost for unit, cost in self.decide(self.sorted(into)).items() for edge in unit}
        if level == "edge":
            scores |= {
                edge: cost
                for unit, cost in self.decide(self.sorted(frozenset([e]) for e in self.circuit.ordered())).items()
                for edge in unit
            }
        return {edge: scores[edge] for edge in self.circuit.edges if edge in scores}


@pytest.mark.parametrize("level", EVERY_LEVEL)
@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
@pytest.mark.parametrize("measured", [KLDivergence(), LogitDifference()], ids=["kl", "logit difference"])
def test_what_is_known_without_measuring_changes_no_decision_and_every_removal_costs_less_than_the_threshold(
    two_lengths: Problem, measured: AbstractMetric, ablation: Ablation, level: Level
) -> None:
    problem = replace(two_lengths, metric=measured, ablation=ablation)
    pruning = CoarseToFine(threshold_of(problem, 0.15), level)
    ranking = drain(pruning.ranking(problem))
    pruned = ended(pruning.walk(problem, ranking))
    naive = NaiveWalk(problem, pruning.threshold, dict(ranking))
    scores = naive.ends(level)
    assert naive.accepted
    assert max(cost for cost, _ in naive.accepted) < pruning.threshold
    assert pruned.circuit == naive.circuit
    assert dict(pruned.circuit.scores) == pytest.approx(scores, abs=1e-9)
    assert 0 < len(pruned.circuit) < problem.graph.n_edges
    assert min(scores.values()) >= pruning.threshold
    assert 0 < pruned.closest < math.inf


@pytest.fixture(scope="module")
def levels(single_batch: Problem) -> dict[Level, Pruned]:
    problem = replace(single_batch, metric=KLDivergence())
    return {level: CoarseToFine(threshold_of(problem, 0.1), level).discover(problem) for level in EVERY_LEVEL}


def test_a_circuit_of_nodes_has_all_edges_between_its_nodes_input_and_logits(levels: dict[Level, Pruned]) -> None:
    circuit = levels["node"].circuit
    nodes = {*circuit.nodes(), INPUT, LOGITS}
    assert 2 < len(nodes) <= len(circuit.graph.senders), "some go and some stay, or nothing is tested here"
    assert circuit.edges == {edge for edge in circuit.graph.edges() if {edge.sender, edge.receiver} <= nodes}


def test_a_circuit_of_slots_has_all_edges_into_its_slots_from_its_nodes(levels: dict[Level, Pruned]) -> None:
    circuit, of_nodes = levels["slot"].circuit, levels["node"].circuit
    targets, senders = {edge.target for edge in circuit}, {edge.sender for edge in circuit} | {INPUT}
    assert circuit.edges == {edge for edge in of_nodes if edge.target in targets and edge.sender in senders}


def test_each_level_is_within_the_one_before(levels: dict[Level, Pruned]) -> None:
    assert levels["edge"].circuit < levels["slot"].circuit <= levels["node"].circuit
    assert levels["edge"].circuit.pruned() == levels["edge"].circuit


def test_only_the_edge_from_input_to_logits_may_lack_a_score(levels: dict[Level, Pruned]) -> None:
    direct = Edge.parse("input->logits")
    for level, pruned in levels.items():
        assert set(pruned.circuit.scores) == pruned.circuit.edges - (set() if level == "edge" else {direct})


def test_steps_go_through_all_stages_and_all_units_of_each(single_batch: Problem) -> None:
    _, told = finished(CoarseToFine(threshold_of(single_batch)).walk(single_batch))
    steps = [step for step in told if isinstance(step, Bisection)]
    assert tuple(dict.fromkeys(step.stage for step in steps)) == STAGES["edge"]
    for stage in STAGES["edge"]:
        decided = [(step.decided, step.total) for step in steps if step.stage == stage]
        assert decided == sorted(set(decided))
        assert decided[-1][0] == decided[-1][1] > 0
    blocks = next(step.total for step in steps if step.stage == "blocks")
    assert blocks == single_batch.graph.n_layers * (1 + single_batch.graph.has_mlp)


@pytest.mark.parametrize("name", ["planted-chain", "planted-and", "siit-lookup-3l", "tracr-reverse"])
def test_the_true_nodes_and_edges_of_a_known_model_are_found(name: str) -> None:
    subject = known(name, 0)
    problem, _ = problems(subject.task, subject.model, Setup(prompts=8))
    true = Circuit(problem.graph, subject.truth(Ablation.RESAMPLE)[0])
    threshold = threshold_of(problem, 0.02)
    of_nodes, of_edges = (CoarseToFine(threshold, level).discover(problem).circuit for level in ("node", "edge"))  # type: ignore[arg-type]
    assert {*of_nodes.nodes(), INPUT, LOGITS} == {*true.nodes(), INPUT, LOGITS}
    assert of_edges == true


def test_refining_ends_one_minimal(single_batch: Problem) -> None:
    threshold = threshold_of(single_batch)
    plain, refined = (CoarseToFine(threshold, refine=refine).discover(single_batch) for refine in (False, True))
    assert refined.one_minimal
    assert not plain.one_minimal
    assert refined.circuit <= plain.circuit
    assert refined.evaluated > plain.evaluated


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        *(({"threshold": value}, "threshold") for value in (0.0, -1.0, math.nan, math.inf)),
        ({"threshold": 1.0, "level": "layer"}, "unknown level 'layer'; wanted one of node, slot, edge"),
        ({"threshold": 1.0, "level": "node", "refine": True}, "cannot be refined"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        CoarseToFine(**wrong)


def test_the_registry_knows_all_levels() -> None:
    assert tuple(LEVELS) == EVERY_LEVEL == tuple(STAGES)
