"""Circuits survive both forms of MIB: the JSON, which names every node and edge, and the matrix of scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import assume, given

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile, DifferentGraphs
from acdc.graphs.mib import from_mib, load_matrix, save, scored_graph, to_mib
from acdc.graphs.nodes import Edge
from tests.graphs.recipes import SHAPES, Recipe, recipes

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


@given(recipes(shapes=SHAPES))
def test_reading_undoes_writing(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    again = from_mib(json.loads(json.dumps(to_mib(circuit))))
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


# Importance files: a score for every edge, whatever is in the circuit

GOLDEN = Path(__file__).parent / "golden_mib.json"
GOLDEN_MATRIX = Path(__file__).parent / "golden_mib.safetensors"
TWO = ComputationalGraph(n_layers=2, n_heads=2, d_model=8)


def golden() -> tuple[Circuit, dict[Edge, float]]:
    """A circuit of three edges, and a score for each of the 46 edges of its model: its number in the list, negated at
    odd numbers.
    """
    kept = Circuit.from_names(TWO, ["input->a0.h1<v>", "a0.h1->a1.h0<q>", "a1.h0->logits"])
    return kept, {edge: number * (-1.0) ** number for number, edge in enumerate(TWO.edges())}


def sender_number(name: str, heads: int) -> int:
    """MIB's own formula: the input, then per layer its heads and its MLP."""
    if name == "input":
        return 0
    layer, _, head = name[1:].partition(".h")
    return 1 + int(layer) * (heads + 1) + (int(head) if head else heads)


def receiver_number(name: str, layers: int, heads: int) -> int:
    """MIB's own formula: per layer all queries, all keys, all values and the MLP; the logits last."""
    if name == "logits":
        return layers * (3 * heads + 1)
    layer, _, head = name[1:].partition(".h")
    number = "qkv".index(head[-2]) * heads + int(head.partition("<")[0]) if head else 3 * heads
    return int(layer) * (3 * heads + 1) + number


def test_the_json_is_the_golden_file(tmp_path: Path) -> None:
    kept, scores = golden()
    save(kept, tmp_path / "mib.json", scores)
    assert (tmp_path / "mib.json").read_text() == GOLDEN.read_text()
    assert Circuit.load(GOLDEN) == kept
    assert scored_graph(json.loads(GOLDEN.read_text())).scores == scores


def test_the_matrix_is_the_golden_file(tmp_path: Path) -> None:
    from safetensors import safe_open

    kept, scores = golden()
    save(kept, tmp_path / "mib.safetensors", scores)
    contents = []
    for path in (tmp_path / "mib.safetensors", GOLDEN_MATRIX):
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            contents.append(({name: tensor.tolist() for name, tensor in tensors.items()}, file.metadata()))
    assert contents[0] == contents[1]
    assert Circuit.load(GOLDEN_MATRIX) == kept
    assert load_matrix(GOLDEN_MATRIX, whole=True).scores == scores


def test_scores_stand_where_mib_s_formulas_say() -> None:
    from safetensors.numpy import load_file

    kept, scores = golden()
    tensors = load_file(GOLDEN_MATRIX)
    assert tensors["edges_scores"].shape == (7, 15)
    wanted, inside = numpy.zeros((7, 15)), numpy.zeros((7, 15), dtype=bool)
    for edge, score in scores.items():
        number = sender_number(edge.sender.name, 2), receiver_number(edge.target.name, 2, 2)
        wanted[number], inside[number] = score, edge in kept
    numpy.testing.assert_array_equal(tensors["edges_scores"], wanted)
    numpy.testing.assert_array_equal(tensors["edges_in_graph"], inside)
    assert tensors["nodes_in_graph"].tolist() == [True, False, True, False, True, False, False]


@given(recipes(shapes=SHAPES))
def test_a_matrix_read_again_is_the_same_circuit(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    circuit = recipe.circuit()
    assume(circuit.edges)  # a file of no edges is refused
    path = tmp_path_factory.mktemp("matrix") / "mib.safetensors"
    save(circuit, path)
    assert Circuit.load(path) == circuit
    assert Circuit.load(path).scores == {edge: circuit.scores.get(edge, 0.0) for edge in circuit.edges}


def test_a_norm_after_the_heads_can_be_told_of_files_that_do_not_say_so() -> None:
    circuit = Circuit.full(replace(TINY, frozen_scale=True))
    data = to_mib(circuit)
    assert from_mib(data) == circuit
    del data["cfg"]["frozen_scale"]
    assert from_mib(data) != circuit
    assert from_mib(data, frozen_scale=True) == circuit


def test_an_importance_file_that_lacks_edges_is_refused() -> None:
    data = to_mib(Circuit.full(TINY))
    del data["edges"]["input->m0"]
    with pytest.raises(BadCircuitFile, match="1 edges of the model are missing"):
        scored_graph(data)


@pytest.mark.parametrize("damage", ["nothing", "noise", "metadata", "shape"])
def test_a_matrix_in_another_form_is_refused(tmp_path: Path, damage: str) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "odd.safetensors"
    right = {"edges_scores": numpy.zeros((3, 5)), "edges_in_graph": numpy.zeros((3, 5), dtype=bool)}
    sizes = {"cfg": json.dumps(to_mib(Circuit.full(TINY))["cfg"]), "src_nodes": '["input", "a0.h0", "m0"]'}
    match damage:
        case "noise":
            path.write_bytes(b"pickled?")
        case "metadata":
            save_file(right, path)
        case "shape":
            save_file({**right, "edges_scores": numpy.zeros((5, 3))}, path, sizes)
    with pytest.raises(BadCircuitFile, match="no circuit can be read" if damage == "nothing" else "no score matrix"):
        Circuit.load(path)
    save_file({**right, "edges_in_graph": numpy.ones((3, 5), dtype=bool)}, path, sizes)
    assert Circuit.load(path) == Circuit.full(TINY)


@pytest.mark.parametrize("name", ["circuit.json", "circuit.safetensors"])
def test_frequencies_survive_both_forms(name: str, tmp_path: Path) -> None:
    edges = [Edge.parse("input->a0.h0<v>"), Edge.parse("a0.h0->logits"), Edge.parse("input->logits")]
    often = {edges[0]: 0.25, edges[1]: 0.0}
    circuit = Circuit(TINY, frozenset(edges), dict.fromkeys(edges, 1.0), frequencies=often)
    save(circuit, tmp_path / name)
    loaded = Circuit.load(tmp_path / name)
    assert loaded == circuit
    assert loaded.frequencies == often


def test_edges_by_position_are_refused_with_the_forms_that_keep_them(tmp_path: Path) -> None:
    circuit = Circuit.full(ComputationalGraph(1, 1, 8, spans=("S1", "END")))
    for write in (lambda: to_mib(circuit), lambda: save(circuit, tmp_path / "scores.safetensors")):
        with pytest.raises(DifferentGraphs, match=r"no edges by position.*without_spans"):
            write()
    assert to_mib(circuit.without_spans())["edges"].keys() == {
        edge.name for edge in circuit.graph.without_spans.edges()
    }
