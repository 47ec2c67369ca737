"""How circuits change from model to model, and which model is the first to show the behaviour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.sweep.change import courses, first_shown
from acdc.sweep.results import CellResult, SweepResults

GRAPH = ComputationalGraph(1, 1, 4, True)
EDGES = ("input->m0", "m0->logits", "input->logits", "a0.h0->logits")


def cell(
    model: str, edges: tuple[int, ...] | None, *, full: float = 1.0, graph: ComputationalGraph = GRAPH
) -> CellResult:
    settings = {"task": {"name": "t"}, "model": {"name": model}, "method": {"name": "m"}, "setup": {"seed": 0}}
    accuracy = {"full": full, "circuit": full, "none": 0.25}
    record: dict[str, Any] = {"status": "refused", "message": "no"}
    if edges is not None:
        record = {"status": "done", "figures": {"faithfulness": {"accuracy": accuracy}}}
    made = CellResult(model, settings, record, Path("nowhere"))
    named = {edge.name: edge for edge in graph.every_edge}
    vars(made)["circuit"] = None if edges is None else Circuit(graph, frozenset(named[EDGES[one]] for one in edges))
    return made


def of(*cells: CellResult) -> SweepResults:
    return SweepResults(Path("nowhere"), "grid.yaml", cells)


def test_a_circuit_is_compared_with_that_of_the_nearest_model_before_that_has_one() -> None:
    (course,) = courses(of(cell("a", (0, 1)), cell("b", None), cell("c", (1, 2, 3)), cell("d", (1, 2, 3))))
    first, refused, third, last = course.steps
    assert (first.change, refused.change) == (None, None)
    assert third.change is not None
    assert (third.change.before, third.change.jaccard) == ("a", 0.25)
    assert {edge.name for edge in third.change.gained} == {EDGES[2], EDGES[3]}
    assert [edge.name for edge in third.change.lost] == [EDGES[0]]
    assert last.change is not None
    assert (last.change.jaccard, last.change.gained, last.change.lost) == (1.0, (), ())


def test_models_of_another_shape_are_compared_by_what_circuits_are_made_of_and_not_by_names() -> None:
    other = ComputationalGraph(2, 1, 4, True)
    (course,) = courses(of(cell("a", (0, 1)), cell("b", (0, 1), graph=other), cell("c", (0,), graph=other)))
    assert [step.change is None for step in course.steps] == [True, True, False]
    assert course.steps[0].makeup is None
    second = course.steps[1].makeup
    assert second is not None
    assert (second.before, second.overlap, second.now.by) == ("a", 1.0, "kind"), "m0 is in the first fifth of both"
    third = course.steps[2].makeup
    assert third is not None
    assert third.overlap == pytest.approx(0.75), "of a fourth for the logits nothing is left"


def test_the_first_model_to_show_the_behaviour_is_right_on_half_and_more_often_than_without_edges() -> None:
    early, chance, late = cell("a", (0,), full=0.4), cell("b", (0,), full=0.25), cell("c", (0,), full=0.5)
    assert first_shown(of(early, cell("r", None), chance, late), "t") == "c"
    assert first_shown(of(early, chance), "t") is None
    assert first_shown(of(), "t") is None


def test_seeds_are_courses_of_their_own(swept: Path) -> None:
    results = SweepResults.read(swept)
    assert results is not None
    over = list(courses(results))
    assert [(course.seed, len(course.steps)) for course in over] == [(0, 3), (1, 3)]
    assert first_shown(results, "periodic") == "ck/step2"
    assert first_shown(replace(results, cells=results.cells[:2]), "periodic") is None


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "acdc.sweep/0"}', '{"schema": "acdc.sweep/1", "cells": [1]}'])
def test_a_damaged_list_of_cells_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"sweep.json is damaged: .*run `acdc sweep` again, which keeps all cells"):
        SweepResults.read(tmp_path)
