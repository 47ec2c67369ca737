"""A circuit in a notebook is its picture, and its name where none can be drawn."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.drawing.notebook import SHOWN, picture

GRAPH = ComputationalGraph(2, 2, 8)
NAMED = {"task": {"name": "<b>ioi</b>"}, "model": {"name": "gpt2"}}


def words(svg: str | None) -> str:
    assert svg is not None
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_a_circuit_shows_itself_with_its_name() -> None:
    svg = replace(Circuit.from_names(GRAPH, ["input->m0", "m0->logits"]), provenance=NAMED)._repr_svg_()
    assert svg is not None
    assert svg.startswith("<svg")
    assert "<b>ioi</b> on gpt2" in words(svg)
    assert "input->m0" in words(svg)


def test_a_large_circuit_shows_its_strongest_edges_and_says_so() -> None:
    graph = ComputationalGraph(3, 4, 8)
    assert f"the {SHOWN} strongest of {graph.n_edges} edges" in words(picture(Circuit.full(graph)))


def test_where_nothing_can_be_drawn_the_name_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    assert picture(Circuit.empty(GRAPH)) is None
    monkeypatch.setattr("acdc.graphs.drawing.graphviz_process.engines", lambda form: [])
    assert picture(Circuit.full(GRAPH)) is None
