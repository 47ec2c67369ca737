"""What methods say about a whole graph is one value per edge, or one circuit per threshold."""

from __future__ import annotations

import pytest

from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.answering import LOWEST, answer
from acdc.judges.answer import Family, Ranking
from acdc.method import PRUNING, SCORING, Method
from acdc.problem import Problem
from tests.acdc.algorithms.walks import ended


def test_a_scoring_method_answers_with_its_scores(measurable: Problem) -> None:
    said = answer(measurable, Method("exact"))
    assert isinstance(said, Ranking)
    assert said.scored.scores == ended(ExactPatching().walk(measurable)).scores


@pytest.mark.parametrize("name", SCORING)
def test_every_scoring_method_answers_with_a_ranking(measurable: Problem, name: str) -> None:
    assert isinstance(answer(measurable, Method(name)), Ranking)


@pytest.mark.parametrize("name", PRUNING)
def test_every_pruning_method_answers_with_a_family(measurable: Problem, name: str) -> None:
    said = answer(measurable, Method(name), thresholds=2)
    assert isinstance(said, Family)
    assert said.graph == measurable.graph


def test_a_pruning_method_answers_with_its_circuits_at_falling_thresholds(measurable: Problem) -> None:
    full, none = measurable.bounds
    said = answer(measurable, Method("acdc"), thresholds=3)
    assert isinstance(said, Family)
    circuits = []
    for part in (1.0, LOWEST**0.5, LOWEST):
        circuit = GreedyPruning((full - none) * part).discover(measurable).circuit.pruned()
        if circuit not in circuits:
            circuits.append(circuit)
    assert list(said.circuits) == circuits
    assert len(circuits) > 1
