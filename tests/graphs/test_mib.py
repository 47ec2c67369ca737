"""Circuits survive MIB's JSON, which names every node and edge of the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from graphs.circuit import Circuit
from graphs.computation import ComputationalGraph
from graphs.errors import BadCircuitFile
from graphs.mib import from_mib, to_mib
from graphs.nodes import Edge
from tests.graphs.recipes import Recipe, recipes

TINY = ComputationalGraph(n_layers=1, n_heads=1, d_model=4)


def test_the_file_reads_as_mib_writes_it() -> None:
    circuit = Circuit(
        TINY,
        frozenset(map(Edge.parse, ("input->a0.h0<v>", "a0.h0->logits"))),
        {Edge.parse("input->a0.h0<v>"): -0.25},
    )
    assert to_mib(circuit) == {
        "cfg": {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": False, "d_model": 4},
        "nodes": {
            "input": {"in_graph": True},
            "a0.h0": {"in_graph": True},
            "m0": {"in_graph": False},
            "logits": {"in_graph": True},
        },
        "edges": {
            "input->a0.h0<q>": {"score": 0.0, "in_graph": False},
            "input->a0.h0<k>": {"score": 0.0, "in_graph": False},
            "input->a0.h0<v>": {"score": -0.25, "in_graph": True},
            "input->m0": {"score": 0.0, "in_graph": False},
            "a0.h0->m0": {"score": 0.0, "in_graph": False},
            "input->logits": {"score": 0.0, "in_graph": False},
            "a0.h0->logits": {"score": 0.0, "in_graph": True},
            "m0->logits": {"score": 0.0, "in_graph": False},
        },
    }


@pytest.mark.parametrize("shape", [{}, {"parallel": True}, {"has_mlp": False}], ids=str)
def test_every_node_and_edge_of_the_model_is_listed(shape: dict[str, bool]) -> None:
    graph = ComputationalGraph(3, 2, 8, **shape)
    data = to_mib(Circuit.empty(graph))
    assert list(data["nodes"]) == [*(node.name for node in graph.senders), "logits"]
    assert list(data["edges"]) == [edge.name for edge in graph.edges()]
    assert not any(row["in_graph"] for part in ("nodes", "edges") for row in data[part].values())


@given(recipes())
def test_reading_undoes_writing(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    again = from_mib(json.loads(json.dumps(to_mib(circuit))), frozen_scale=circuit.graph.frozen_scale)
    assert again == circuit
    assert again.scores == {edge: circuit.scores.get(edge, 0.0) for edge in circuit.edges}  # MIB has no unknown score


def damaged(part: str, change: Any) -> dict[str, Any]:
    return {**to_mib(Circuit.full(TINY)), part: change}


@pytest.mark.parametrize(
    "data",
    [
        {},
        damaged("cfg", {"n_layers": 1}),
        damaged("cfg", None),
        damaged("edges", ["input->m0"]),
        damaged("edges", {"input->m0": 3}),
        damaged("edges", {"input->m0": {"in_graph": True}}),
        damaged("edges", {"input->m7": {"in_graph": True, "score": 1.0}}),
        damaged("edges", {"input=>m0": {"in_graph": True, "score": 1.0}}),
        damaged("edges", {"input->m0": {"in_graph": True, "score": "high"}}),
    ],
)
def test_a_file_in_another_form_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(BadCircuitFile, match=r"no circuit in MIB's form.*wanted the keys cfg, nodes and edges"):
        from_mib(data)
