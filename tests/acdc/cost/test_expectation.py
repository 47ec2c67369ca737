"""What pruning is expected to meet is within a factor of three of what runs on real models met."""

from __future__ import annotations

import itertools

import pytest

from acdc.cost.expectation import EFFECTS, expected, threshold_of
from acdc.graphs.computation import ComputationalGraph
from acdc.tasks.known_metrics import metric_names

SMOLLM2, GEMMA3, EVERYDAY = (
    ComputationalGraph(30, 9, 576),
    ComputationalGraph(18, 4, 640),
    ComputationalGraph(4, 8, 128),
)


@pytest.mark.parametrize(
    ("graph", "threshold", "kept", "tried"),
    [
        (SMOLLM2, 0.1 / 2.5, 26, 9_430),
        (SMOLLM2, 0.02 / 2.5, 112, 19_767),
        (GEMMA3, 0.05 / 2.5, 54, 3_381),
        (EVERYDAY, 0.054 / 13.6, 60, 538),
    ],
)
def test_greedy_pruning_meets_about_as_much(graph: ComputationalGraph, threshold: float, kept: int, tried: int) -> None:
    told = expected(graph, threshold)
    assert kept / 3 < told.kept < 3 * kept
    assert tried / 3 < told.tried < 3 * tried
    assert told.run == told.tried


@pytest.mark.parametrize(("threshold", "kept", "run"), [(0.02, 110, 1_627), (0.006, 278, 2_235)])
def test_a_shortlist_runs_about_as_many_circuits(threshold: float, kept: int, run: int) -> None:
    told = expected(SMOLLM2, threshold / 2.5, shortlist=True)
    assert kept / 2 < told.kept < 2 * kept
    assert run / 2 < told.run < 2 * run
    assert told.run < expected(SMOLLM2, threshold / 2.5).run


@pytest.mark.parametrize("graph", [SMOLLM2, GEMMA3, EVERYDAY])
def test_a_lower_threshold_meets_more_but_never_more_than_there_is(graph: ComputationalGraph) -> None:
    met = [expected(graph, 0.5 / 4**fall) for fall in range(12)]
    for one, other in itertools.pairwise(met):
        assert one.kept <= other.kept
        assert one.tried <= other.tried
    assert 1 <= met[0].kept < met[-1].kept <= graph.n_edges
    assert met[-1].tried <= graph.n_edges


def test_the_threshold_of_a_size_is_that_at_which_it_is_kept() -> None:
    assert expected(SMOLLM2, threshold_of(200, SMOLLM2)).kept == pytest.approx(200)
    assert threshold_of(1, SMOLLM2) == 0.5


def test_every_metric_has_a_usual_effect() -> None:
    assert set(EFFECTS) == set(metric_names())
