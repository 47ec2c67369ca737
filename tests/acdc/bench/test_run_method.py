"""What methods say about a whole graph is one value per edge, or one circuit per threshold."""

from __future__ import annotations

import pytest

from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.bench.answer import Family, Ranking
from acdc.bench.run_method import LOWEST, answer
from acdc.methods import PRUNING, SCORING
from acdc.problem import Problem
from acdc.settings import Method
from acdc.tasks.metrics import LogitDifference
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour
from tests.native_bridges import native_model


@pytest.fixture(scope="module")
def small() -> Problem:
    """Two prompts on a model of two layers with two heads each."""
    model = native_model("relu", n_heads=2)
    return Problem(model, behaviour(model, (5, 5)), LogitDifference())


def test_a_scoring_method_answers_with_its_scores(small: Problem) -> None:
    said = answer(small, Method("exact"))
    assert isinstance(said, Ranking)
    assert said.scored.scores == ended(ExactPatching().walk(small)).scores


@pytest.mark.parametrize("name", SCORING)
def test_every_scoring_method_answers_with_a_ranking(small: Problem, name: str) -> None:
    assert isinstance(answer(small, Method(name)), Ranking)


@pytest.mark.parametrize("name", PRUNING)
def test_every_pruning_method_answers_with_a_family(small: Problem, name: str) -> None:
    said = answer(small, Method(name), thresholds=2)
    assert isinstance(said, Family)
    assert said.graph == small.graph


def test_a_pruning_method_answers_with_its_circuits_at_falling_thresholds(small: Problem) -> None:
    full, none = small.bounds
    said = answer(small, Method("acdc"), thresholds=3)
    assert isinstance(said, Family)
    circuits = []
    for part in (1.0, LOWEST**0.5, LOWEST):
        circuit = GreedyPruning((full - none) * part).discover(small).circuit.pruned()
        if circuit not in circuits:
            circuits.append(circuit)
    assert list(said.circuits) == circuits
    assert len(circuits) > 1
