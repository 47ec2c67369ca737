"""Circuits are sets of edges, survive the disk exactly, and lose their dead edges only."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx
import numpy
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from acdc.graphs.ablation import UNLEARNED
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile, BadName, DifferentGraphs, NotInCircuit, NotInGraph
from acdc.graphs.execution.executor import Executor
from acdc.graphs.files import write_atomically
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge, Node
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS
from tests.graphs.recipes import Recipe, recipes
from tests.native_bridges import native_model

GOLDEN = Path(__file__).parent / "golden_circuit.json"
GRAPH = ComputationalGraph(n_layers=2, n_heads=2, d_model=8)


def circuit_of(*names: str, scores: dict[str, float] | None = None, **provenance: Any) -> Circuit:
    known = {Edge.parse(name): score for name, score in (scores or {}).items()}
    return Circuit(GRAPH, frozenset(map(Edge.parse, names)), known, provenance)


def golden_circuit() -> Circuit:
    """The circuit in the golden file."""
    return circuit_of(
        "m1->logits",
        "input->a0.h1<v>",
        "a0.h1->m1",
        scores={"m1->logits": 0.1 + 0.2, "a0.h1->m1": -1.5e-300},
        model={"name": "tiny", "revision": None},
        task="doğru",
        faithfulness=[{"edges": 3, "value": 0.9871}],
    )


# Set algebra


@given(recipes(3))
def test_circuits_obey_the_laws_of_sets(recipe: Recipe) -> None:
    a, b, c = recipe.circuits()
    full, empty = Circuit.full(a.graph), Circuit.empty(a.graph)
    assert a | b == b | a
    assert (a & b) & c == a & (b & c)
    assert a & (b | c) == (a & b) | (a & c)
    assert ~(a | b) == ~a & ~b
    assert ~~a == a
    assert a - b == a & ~b
    assert a ^ b == (a | b) - (a & b)
    assert (a | ~a, a & ~a) == (full, empty)
    assert len(a | b) + len(a & b) == len(a) + len(b)


@given(recipes(2))
def test_order_is_inclusion(recipe: Recipe) -> None:
    a, b = recipe.circuits()
    assert (a <= b) == (a.edges <= b.edges)
    assert (a < b) == (a.edges < b.edges)
    assert Circuit.empty(a.graph) <= a & b <= a <= a | b <= Circuit.full(a.graph)
    assert a <= a
    assert not a < a


@given(recipes(2))
def test_combining_keeps_the_scores_of_the_edges_that_stay(recipe: Recipe) -> None:
    a, b = recipe.circuits()
    for combined in (a | b, a & b, a - b, a ^ b):
        assert combined.scores == {e: s for e, s in {**b.scores, **a.scores}.items() if e in combined}


def test_where_both_circuits_score_an_edge_the_left_one_counts() -> None:
    left, right = (circuit_of("m1->logits", scores={"m1->logits": score}) for score in (1.0, 2.0))
    assert (left | right).scores == left.scores
    assert (right & left).scores == right.scores


def test_circuits_of_different_models_do_not_combine() -> None:
    other = Circuit.full(ComputationalGraph(n_layers=2, n_heads=2, d_model=8, parallel=True))
    for combine in (Circuit.__or__, Circuit.__and__, Circuit.__sub__, Circuit.__xor__, Circuit.__le__, Circuit.__lt__):
        with pytest.raises(DifferentGraphs, match=r"2 heads per layer and MLPs against .* parallel MLPs"):
            combine(circuit_of("m1->logits"), other)


def test_circuits_are_equal_when_their_edges_are_whatever_their_scores() -> None:
    plain, scored = circuit_of("m1->logits"), circuit_of("m1->logits", scores={"m1->logits": 1.0}, task="greater-than")
    assert plain == scored
    assert plain != circuit_of("m0->logits")
    assert plain != circuit_of()


# Making and asking


@given(recipes())
def test_a_circuit_is_its_mask_and_its_names(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    mask = circuit.mask()
    assert mask.shape == (len(circuit.graph.receivers), len(circuit.graph.senders))
    assert mask.sum() == len(circuit)
    assert Circuit.from_mask(circuit.graph, mask) == circuit
    assert Circuit.from_names(circuit.graph, [edge.name for edge in circuit.edges]) == circuit
    assert sorted(map(list, numpy.argwhere(mask))) == [
        [circuit.graph.receiver_index[edge.target], circuit.graph.sender_index[edge.sender]]
        for edge in circuit.ordered()
    ]


def test_a_circuit_has_the_nodes_its_edges_touch_in_order() -> None:
    circuit = circuit_of("m1->logits", "a1.h0->m1", "input->a1.h0<v>", "a0.h1->a1.h0<q>")
    assert [node.name for node in circuit.nodes()] == ["input", "a0.h1", "a1.h0", "m1", "logits"]
    assert circuit.heads() == (Node("head", 0, 1), Node("head", 1, 0))
    assert Edge.parse("m1->logits") in circuit
    assert Edge.parse("m0->logits") not in circuit


def test_removing_edges_keeps_scores_and_provenance_of_the_rest() -> None:
    circuit = circuit_of("m1->logits", "m0->m1", scores={"m1->logits": 1.0, "m0->m1": 2.0}, task="greater-than")
    rest = circuit.without([Edge.parse("m0->m1"), Edge.parse("input->m0")])
    assert rest == circuit_of("m1->logits")
    assert (rest.scores, rest.provenance) == ({Edge.parse("m1->logits"): 1.0}, {"task": "greater-than"})


@pytest.mark.parametrize("name", ["m1->m0", "a0.h0->a0.h1<q>", "input->m2", "logits->m1", "a0.h2->logits"])
def test_an_edge_the_model_does_not_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        NotInGraph, match=f"1 edges are not in this model, the first being {re.escape(name)}; .*2 layers"
    ):
        Circuit.from_names(GRAPH, ["m1->logits", name])


def test_a_misspelt_edge_is_refused() -> None:
    with pytest.raises(BadName, match="m1-logits"):
        Circuit.from_names(GRAPH, ["m1-logits"])


def test_a_score_of_an_edge_outside_the_circuit_is_refused() -> None:
    with pytest.raises(
        NotInGraph, match="scores are given for 1 edges outside the circuit, the first being m0->logits"
    ):
        circuit_of("m1->logits", scores={"m0->logits": 1.0})


@pytest.mark.parametrize("key", ["schema", "graph", "edges"])
def test_provenance_cannot_hide_what_the_file_says_of_the_circuit(key: str) -> None:
    with pytest.raises(ValueError, match=f"provenance cannot have the keys .'{key}'."):
        Circuit(GRAPH, frozenset(), provenance={key: "mine"})


# Files


@given(recipe=recipes(), note=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_circuit_comes_back_from_its_file_exactly(recipe: Recipe, note: dict[str, str], tmp_path: Path) -> None:
    plain = recipe.circuit()
    assume(plain.edges)  # a file of no edges is refused
    circuit = Circuit(plain.graph, plain.edges, plain.scores, {"note": note})
    path = tmp_path / "circuit.json"
    circuit.save(path)
    again = Circuit.load(path)
    assert (again, again.scores, again.provenance) == (circuit, circuit.scores, circuit.provenance)
    assert all(math.copysign(1, again.scores[e]) == math.copysign(1, s) for e, s in circuit.scores.items())
    saved = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == saved


def test_the_format_on_disk_does_not_change_unnoticed(tmp_path: Path) -> None:
    golden_circuit().save(tmp_path / "circuit.json")
    assert (tmp_path / "circuit.json").read_text("utf-8") == GOLDEN.read_text("utf-8")


def test_circuits_saved_by_earlier_versions_still_load() -> None:
    circuit, wanted = Circuit.load(GOLDEN), golden_circuit()
    assert (circuit, circuit.scores, circuit.provenance) == (wanted, wanted.scores, wanted.provenance)


DATA: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))


def load_changed(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**DATA, **changes}))
    Circuit.load(path)


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, -3])
def test_a_truncated_file_is_refused(length: float, tmp_path: Path) -> None:
    path, text = tmp_path / "circuit.json", GOLDEN.read_bytes()
    path.write_bytes(text[: int(length * len(text)) if length == 0.5 else int(length)])
    with pytest.raises(BadCircuitFile, match=f"^{path} is not JSON .*discover the circuit again$"):
        Circuit.load(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"edges: []\n"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "circuit.json").write_bytes(content)
    with pytest.raises(BadCircuitFile, match="is not JSON"):
        Circuit.load(tmp_path / "circuit.json")


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("[]", "'list'"),
        ("3", "'int'"),
        ("null", "'NoneType'"),
        ("{}", "'no schema'"),
        ('{"schema": "acdc.circuit/3"}', "'acdc.circuit/3'"),
        ('{"schema": null}', "None"),
    ],
)
def test_json_of_another_schema_is_refused_naming_both(content: str, got: str, tmp_path: Path) -> None:
    path = tmp_path / "circuit.json"
    path.write_text(content)
    wanted = "wanted schema 'acdc.circuit/1' or 'acdc.circuit/2'"
    message = f"{path} is no circuit file: got {got}, {wanted}; write one with `acdc discover`"
    with pytest.raises(BadCircuitFile, match=f"^{re.escape(message)}$"):
        Circuit.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"graph": None},
        {"graph": {"n_layers": 2}},
        {"graph": {**DATA["graph"], "n_layers": 0}},
        {"graph": {**DATA["graph"], "n_layers": "2"}},
        {"graph": {**DATA["graph"], "n_layers": 1}},  # which the edges contradict
        {"edges": None},
        {"edges": ["m1->logits"]},
        {"edges": [{"edge": "m1->logits"}]},
        {"edges": [{"edge": "m1=>logits", "score": None}]},
        {"edges": [{"edge": 7, "score": None}]},
        {"edges": [{"edge": "m9->logits", "score": None}]},
        {"edges": [{"edge": "m1->logits", "score": "high"}]},
        {"edges": [{"edge": "m1->logits", "score": score} for score in (1.0, 2.0)]},
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "circuit.json"
    with pytest.raises(BadCircuitFile) as caught:
        load_changed(path, **changes)
    assert str(caught.value).startswith(f"{path} has schema 'acdc.circuit/1' but is damaged: ")
    assert str(caught.value).endswith("; discover it again")


def test_the_parts_put_back_the_damaged_file_loads(tmp_path: Path) -> None:
    load_changed(tmp_path / "circuit.json")


def test_a_missing_file_and_a_directory_are_refused_by_path(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(BadCircuitFile, match=f"no circuit can be read from {path}: .*; give the path of a circuit"):
            Circuit.load(path)


def test_a_circuit_that_json_cannot_say_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "circuit.json"
    golden_circuit().save(path)
    before = path.read_bytes()
    for unsayable in (circuit_of("m1->logits", scores={"m1->logits": math.nan}), circuit_of(note=object())):
        with pytest.raises((ValueError, TypeError)):
            unsayable.save(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_save_that_fails_on_the_way_leaves_nothing_half_written(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "circuit.json"
    golden_circuit().save(path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patches:
        patches.setattr(os, failing, fail)
        with pytest.raises(OSError, match="no space left"):
            circuit_of("m1->logits").save(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])
    circuit_of("m1->logits").save(path)
    assert Circuit.load(path) == circuit_of("m1->logits")


def test_a_saved_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    assert (tmp_path / "file").read_bytes() == b"content"


# Dead edges


@given(recipes())
def test_pruning_twice_is_pruning_once(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    pruned = circuit.pruned()
    assert pruned <= circuit
    assert pruned.pruned() == pruned
    assert pruned.scores == {e: s for e, s in circuit.scores.items() if e in pruned}


@given(recipes())
def test_what_pruning_leaves_is_on_a_path_from_the_input_to_the_logits(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    paths = networkx.DiGraph([(edge.sender, edge.receiver) for edge in circuit.edges])
    paths.add_nodes_from((Node("input"), Node("logits")))
    wanted = networkx.ancestors(paths, Node("logits")) | {Node("logits")}
    wanted &= networkx.descendants(paths, Node("input")) | {Node("input")}
    assert circuit.pruned().edges == {edge for edge in circuit.edges if {edge.sender, edge.receiver} <= wanted}


def test_edges_out_of_nodes_that_read_nothing_clean_are_dead() -> None:
    circuit = circuit_of("input->logits", "a0.h0->m1", "m1->logits", "input->m0")
    assert circuit.pruned() == circuit_of("input->logits")


def test_under_a_frozen_scale_such_edges_are_dead_too() -> None:
    graph = ComputationalGraph(n_layers=2, n_heads=2, d_model=8, frozen_scale=True)
    assert len(Circuit.from_names(graph, ["a0.h0->logits"]).pruned()) == 0


@pytest.fixture(scope="module")
def models() -> dict[bool, Model]:
    """By whether it has MLPs."""
    return {
        True: native_model("relu", n_heads=2, n_layers=3),
        False: native_model("attention_only", n_heads=2, n_layers=3),
    }


@given(has_mlp=st.booleans(), choice=st.sets(st.integers(0, 200), max_size=25))
@settings(max_examples=25)
def test_pruning_changes_no_output_under_any_ablation(
    models: dict[bool, Model], has_mlp: bool, choice: set[int]
) -> None:
    model = models[has_mlp]
    edges = list(model.graph.edges())
    circuit = Circuit(model.graph, frozenset(edges[number % len(edges)] for number in choice))
    for ablation in UNLEARNED:
        whole, pruned = Executor(model, CLEAN, CORRUPT, POSITIONS, ablation).run([circuit, circuit.pruned()])
        torch.testing.assert_close(pruned, whole, rtol=0, atol=1e-10)


# Views


@given(recipes())
def test_the_networkx_view_has_the_circuit_and_nothing_else(recipe: Recipe) -> None:
    circuit = recipe.circuit()
    view = circuit.networkx()
    assert list(view) == [node.name for node in circuit.nodes()]
    assert {key: data.get("score") for _, _, key, data in view.edges(keys=True, data=True)} == {
        edge.name: circuit.scores.get(edge) for edge in circuit.edges
    }


def test_one_edge_per_slot_leads_into_a_head() -> None:
    view = circuit_of("input->a0.h0<q>", "input->a0.h0<k>").networkx()
    assert sorted(data["slot"] for data in view["input"]["a0.h0"].values()) == ["k", "q"]
    assert view.nodes["a0.h0"] == {"kind": "head", "layer": 0}


def test_graphml_says_what_the_networkx_view_says() -> None:
    circuit = golden_circuit()
    text = circuit.to_graphml()
    assert ElementTree.fromstring(text).tag == "{http://graphml.graphdrawing.org/xmlns}graphml"
    read: Any = networkx.parse_graphml(text, force_multigraph=True)
    wanted: Any = circuit.networkx()
    assert dict(read.nodes(data=True)) == dict(wanted.nodes(data=True))
    edges, wanted_edges = ({key: data for *_, key, data in view.edges(keys=True, data=True)} for view in (read, wanted))
    assert edges == wanted_edges


SAID = {
    "ablation": "mean",
    "model": {"name": "<m> & \u202eé\u0007", "weights": "sha256:ab"},
    "groups": {"names & <movers>": ["m1"]},
    "seed": 3,
    "note": None,
}


@given(recipe=recipes(), frozen=st.booleans())
@settings(max_examples=20)
def test_a_circuit_comes_back_from_graphml_as_from_its_own_file(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, frozen: bool
) -> None:
    circuit = recipe.circuit()
    often = dict.fromkeys(list(circuit)[:2], 1 / 3)
    graph = replace(circuit.graph, frozen_scale=frozen)
    circuit = replace(circuit, graph=graph, provenance=SAID, frequencies=often)
    file = tmp_path_factory.getbasetemp() / "c.graphml"
    file.write_text(circuit.to_graphml(), "utf-8")
    if not circuit.edges:
        with pytest.raises(BadCircuitFile, match="has 0 edges"):
            Circuit.load(file)
        return
    assert Circuit.load(file).to_json() == circuit.to_json()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("acdc.circuit/1", "acdc.circuit/9", "got 'acdc.circuit/9', wanted schema"),
        ("n_layers", "n_layres", "damaged"),
        ("m1-&gt;logits", "m1-&gt;logist", "but is damaged: no node is called"),
        ("</graphml>", "", "is no GraphML that holds a whole circuit"),
    ],
)
def test_graphml_that_was_changed_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = golden_circuit().to_graphml()
    assert old in text
    (tmp_path / "c.graphml").write_text(text.replace(old, new))
    with pytest.raises(BadCircuitFile, match=words):
        Circuit.load(tmp_path / "c.graphml")


def test_the_table_has_a_row_for_each_edge_in_their_order() -> None:
    table = repeated().to_pandas()
    assert list(table["edge"]) == [edge.name for edge in repeated()]
    assert list(table.columns) == ["edge", "sender", "receiver", "slot", "span", "score", "frequency"]
    row = table.set_index("edge").loc["m1->logits"]
    assert (row["sender"], row["receiver"], row["frequency"]) == ("m1", "logits", 0.8)
    for edge, score in zip(repeated(), table["score"], strict=True):
        assert repeated()[edge] == score or (repeated()[edge] is None and score != score)
    assert list(Circuit.empty(GRAPH).to_pandas().columns) == list(table.columns)


FOUND = {"m1->logits": 0.8, "a0.h1->m1": 0.0}


def repeated() -> Circuit:
    """The golden circuit, two of whose three edges have a frequency."""
    often = {Edge.parse(name): frequency for name, frequency in FOUND.items()}
    return replace(golden_circuit(), frequencies=often)


def test_frequencies_survive_the_disk_and_are_absent_where_unknown(tmp_path: Path) -> None:
    repeated().save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json").frequencies == repeated().frequencies
    rows = {row["edge"]: row for row in json.loads((tmp_path / "circuit.json").read_text())["edges"]}
    assert {name: row["frequency"] for name, row in rows.items() if "frequency" in row} == FOUND


def test_frequencies_follow_the_edges_but_not_set_algebra() -> None:
    gone = Edge.parse("m1->logits")
    assert repeated().without([gone]).frequencies == {Edge.parse("a0.h1->m1"): 0.0}
    assert (repeated() & repeated()).frequencies == {}
    assert repeated().networkx()["m1"]["logits"]["m1->logits"]["frequency"] == 0.8


def test_a_frequency_is_a_fraction_of_an_edge_of_the_circuit() -> None:
    edge = Edge.parse("m1->logits")
    with pytest.raises(ValueError, match=r"frequency of m1->logits is 1.5; wanted a fraction"):
        replace(golden_circuit(), frequencies={edge: 1.5})
    with pytest.raises(NotInGraph, match="frequencies are given for 1 edges outside the circuit"):
        replace(golden_circuit().without([edge]), frequencies={edge: 0.5})


def test_a_damaged_frequency_is_refused() -> None:
    data = repeated().to_json()
    for damage in ("often", None, 2.0):
        data["edges"][-1]["frequency"] = damage
        with pytest.raises(BadCircuitFile, match="but is damaged"):
            Circuit.from_json(data)


def test_edges_go_by_their_names_too() -> None:
    circuit = Circuit(GRAPH, frozenset(map(Edge.parse, ("a0.h1->logits", "input->m0"))), {Edge.parse("input->m0"): 0.5})
    assert "a0.h1->logits" in circuit
    assert Edge.parse("a0.h1->logits") in circuit
    assert "input->logits" not in circuit
    assert (circuit["input->m0"], circuit[Edge.parse("a0.h1->logits")]) == (0.5, None)
    assert list(circuit) == list(circuit.ordered())
    assert len(circuit) == 2


def test_an_edge_that_is_not_there_is_told_the_nearest() -> None:
    circuit = Circuit.from_names(GRAPH, ["a0.h1->logits", "input->m0"])
    with pytest.raises(
        KeyError, match=r"^no edge a0.h0->logits in this circuit of 2 edges; the nearest in it are a0.h1"
    ):
        circuit["a0.h0->logits"]
    with pytest.raises(NotInCircuit):
        circuit[Edge.parse("m0->logits")]
    with pytest.raises(BadName):
        assert "a0.h0->>logits" in circuit


def test_the_strongest_edges_are_those_of_the_largest_scores_whatever_their_sign() -> None:
    names = ("input->m0", "m0->logits", "a0.h1->logits", "input->logits")
    scores = dict(zip(map(Edge.parse, names), (0.1, -3.0, 2.0), strict=False))
    circuit = Circuit(GRAPH, frozenset(map(Edge.parse, names)), scores, {"note": 1}, {Edge.parse("m0->logits"): 0.5})
    assert [edge.name for edge in circuit.strongest_first()] == ["m0->logits", "a0.h1->logits", "input->m0", names[3]]
    two = circuit.strongest(2)
    assert {edge.name: two[edge] for edge in two} == {"m0->logits": -3.0, "a0.h1->logits": 2.0}
    assert (two.provenance, two.frequencies) == (circuit.provenance, circuit.frequencies)
