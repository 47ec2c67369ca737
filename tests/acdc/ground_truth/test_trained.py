"""The trained models do what their truth says, edge by edge."""

from __future__ import annotations

from functools import cache

import pytest

from acdc import tasks
from acdc.algorithms.exact import ExactPatching
from acdc.errors import AcdcError
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.trained import known, names
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended

NAMES = ("siit-lookup-3l", "siit-pick-3l")


@cache
def loaded(name: str) -> Known:
    return known(name)


@cache
def effects(name: str) -> dict[Edge, float]:
    """By how much the logit difference falls when one edge alone is removed, in parts of what it falls without any."""
    problem, _ = problems(loaded(name).task, loaded(name).model, Setup(prompts=32, seed=3))
    full, none = problem.bounds
    return {edge: score / (full - none) for edge, score in ended(ExactPatching().walk(problem)).scores.items()}


def test_two_shipped_models_have_a_truth() -> None:
    assert names() == NAMES


@pytest.mark.parametrize(("name", "count"), [("siit-lookup-3l", 6), ("siit-pick-3l", 7)])
def test_the_truth_is_a_connected_circuit_of_the_models_graph(name: str, count: int) -> None:
    edges, made_under = loaded(name).truth(Ablation.RESAMPLE)
    assert made_under is Ablation.RESAMPLE
    assert len(edges) == count
    assert len(Circuit(loaded(name).model.graph, edges).pruned()) == count


@pytest.mark.parametrize("name", NAMES)
def test_the_task_is_the_models_own(name: str) -> None:
    assert loaded(name).task.model == name


@pytest.mark.parametrize("name", NAMES)
def test_every_true_edge_alone_matters_and_no_other_does(name: str) -> None:
    edges, _ = loaded(name).truth(Ablation.RESAMPLE)
    true = [effect for edge, effect in effects(name).items() if edge in edges]
    others = [abs(effect) for edge, effect in effects(name).items() if edge not in edges]
    assert min(true) > 0.3
    assert max(others) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_the_true_edges_alone_do_the_task(name: str) -> None:
    edges, _ = loaded(name).truth(Ablation.RESAMPLE)
    problem, _ = problems(loaded(name).task, loaded(name).model, Setup(prompts=64, seed=4))
    circuit = Circuit(loaded(name).model.graph, edges)
    difference, right = problem.measure([circuit], [metric("logit_difference"), metric("accuracy")])[:, 0]
    assert float(problem.normalised(difference.mean())) == pytest.approx(1.0, abs=0.1)
    assert right.mean() >= 0.99


def test_a_model_without_a_truth_is_refused() -> None:
    with pytest.raises(AcdcError, match="true edges of periodic-2l are not known; wanted one of siit-lookup-3l"):
        known("periodic-2l")


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(tasks.UnknownShippedModel):
        known("siit-lookup-9l")
