"""What edges carry adds up to what their circuit keeps, and those go first that carry least of it."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest
import torch

import acdc
from acdc.algorithms import elimination
from acdc.algorithms.elimination import ROUNDS, Elimination, carried_by
from acdc.algorithms.scores import ScoringStep
from acdc.discovery.levels import measured
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.masked_run import MaskedRun
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.known_subjects import TRUE


@lru_cache
def of_periodic(name: str) -> Problem:
    setup = acdc.Setup(metric=name, prompts=8)
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)[0]


@pytest.mark.parametrize("name", ["logit_difference", "kl"])
def test_what_edges_carry_adds_up_to_what_the_circuit_keeps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elimination, "_POINTS", 60)
    problem = of_periodic(name)
    circuit = Circuit(problem.graph, TRUE)
    full, none = problem.bounds
    kept = measured(problem, circuit, 0.0).faithfulness * abs(full - none)
    assert sum(carried_by(problem, circuit).values()) == pytest.approx(kept, rel=1e-3)


def test_what_an_edge_carries_is_how_the_metric_changes_as_it_opens_beside_the_others() -> None:
    """By finite differences of the run whose gates are half-way open at the two points."""
    problem = of_periodic("logit_difference")
    circuit = Circuit(problem.graph, TRUE)
    carried, edge = carried_by(problem, circuit), min(TRUE)
    mask = torch.from_numpy(circuit.mask()).to(problem.model.dtype)

    def value(parts: torch.Tensor) -> float:
        total = 0.0
        for batch in problem.batches:
            columns, targets = batch.columns(problem.metric)
            run = MaskedRun(batch.runs, parts, columns=columns)
            total += float(problem.metric(run.logits, targets).sum())
        return problem.metric.sign * total / len(problem.pairs)

    change = torch.zeros_like(mask)
    change[problem.graph.edge_indices[edge]] = 1e-2
    slopes = [(value(mask * at + change) - value(mask * at - change)) / 2e-2 for at in (0.25, 0.75)]
    assert carried[edge] == pytest.approx(sum(slopes) / 2, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("name", ["logit_difference", "kl"])
def test_the_edges_that_carry_the_behaviour_stay_to_the_end(name: str) -> None:
    problem = of_periodic(name)
    every = Circuit.full(problem.graph)
    order, told = finished(Elimination().walk(problem, every))
    assert told == [ScoringStep(number, ROUNDS) for number in range(1, ROUNDS + 1)]
    assert set(order) == set(every.pruned().edges)
    assert set(order[: len(TRUE)]) == set(TRUE)


def test_every_beginning_is_a_circuit_without_dead_edges_where_rounds_end() -> None:
    problem = of_periodic("kl")
    order = ended(Elimination().walk(problem, Circuit.full(problem.graph)))
    sizes = [
        size
        for size in range(1, len(order) + 1)
        if len(Circuit(problem.graph, frozenset(order[:size])).pruned()) == size
    ]
    assert len(sizes) >= ROUNDS - 2
    assert all(larger / smaller < 1.8 for smaller, larger in pairwise(size for size in sizes if size > 5))


def test_another_ranking_is_followed_where_what_is_left_keeps_more() -> None:
    """Of true rankings the last go, of false ones those that carry least: whichever they are, no order is the worse."""
    problem = of_periodic("kl")
    every = Circuit.full(problem.graph)
    carried = carried_by(problem, every)
    false = {edge: -carried[edge] for edge in every.pruned().edges}
    true = {edge: float(edge in TRUE) - 1e-3 * carried[edge] for edge in every.edges}
    for rankings in ((false,), (true,), (false, true)):
        order = ended(Elimination().walk(problem, every, *rankings))
        assert set(order[: len(TRUE)]) == set(TRUE)


def test_what_is_left_gives_way_to_the_highest_of_a_ranking_that_keep_more() -> None:
    """An edge that the circuit lacks comes with the ranking that has it; without that ranking it stays away."""
    problem = of_periodic("kl")
    lacking = Circuit.full(problem.graph).without(sorted(TRUE)[:1])
    assert not set(ended(Elimination().walk(problem, lacking))) >= TRUE
    scores = {edge: float(number) for number, edge in enumerate(sorted(TRUE), start=1)}
    order = ended(Elimination().walk(problem, lacking, scores))
    assert set(order[: len(TRUE)]) == set(TRUE)
    assert len(order) == len(set(order))


def test_where_there_is_no_time_edges_keep_the_order_of_the_first_other_ranking() -> None:
    problem = of_periodic("kl")
    scores = {edge: float(number * 7 % 11) for number, edge in enumerate(sorted(TRUE))}
    walk = Elimination(seconds=0.0).walk(problem, Circuit(problem.graph, TRUE), scores, dict.fromkeys(TRUE, 1.0))
    order, told = finished(walk)
    assert [scores[edge] for edge in order] == sorted(scores.values(), reverse=True)
    assert len(told) == ROUNDS


def test_how_many_prompts_fit_does_not_matter() -> None:
    problem = of_periodic("logit_difference")
    circuit = Circuit(problem.graph, TRUE)
    together, apart = carried_by(problem, circuit), carried_by(problem, circuit, max_bytes=1)
    assert apart == pytest.approx(together, abs=1e-5)
