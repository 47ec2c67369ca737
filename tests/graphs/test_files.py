"""A file that is no circuit's, or holds what decides nothing, is refused for what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acdc.graphs import mib
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.nodes import Edge

EDGES = (Edge.parse("input->m0"), Edge.parse("m0->logits"))
CIRCUIT = Circuit(ComputationalGraph(1, 1, 4), frozenset(EDGES), {EDGES[0]: 1.0, EDGES[1]: -2.5})


def written(tmp_path: Path, text: str | bytes, name: str = "circuit.json") -> Path:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return file


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<?xml version='1.0'?><svg/>", "XML, such as SVG"),
        (b"// made by acdc\ndigraph {}", "a drawing in DOT"),
        (b"digraph {}", "a drawing in DOT"),
        (b"%PDF-1.7 \xe2\xe3", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    ],
)
def test_an_export_is_not_read_as_a_damaged_circuit(tmp_path: Path, content: bytes, kind: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(
        BadCircuitFile, match=f"it is {kind}, which is written but not read; give the circuit.json that"
    ):
        Circuit.load(file)


def test_graphml_under_another_ending_is_told_its_own(tmp_path: Path) -> None:
    with pytest.raises(BadCircuitFile, match=r"it is GraphML, which is read from files that end in .graphml; rename"):
        Circuit.load(written(tmp_path, CIRCUIT.to_graphml()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"score": 1.0', '"score": NaN', "NaN is no finite number"),
        ('"score": 1.0', '"score": 1e999', "1e999 is no finite number"),
        ('"score": 1.0', '"score": 1, "score": 2', "the key 'score' is given twice"),
        ('"score": 1.0', '"score": true', "is True, which is not a number"),
        ('"score": 1.0', '"score": 1' + "0" * 400, "damaged"),
        ('"m0->logits"', '"m0->\\ud800"', "half of a character"),
        ('"n_layers": 1', '"n_layers": 1, "n_layers": 2', "the key 'n_layers' is given twice"),
    ],
)
def test_a_file_that_decides_nothing_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = json.dumps(CIRCUIT.to_json())
    assert Circuit.load(written(tmp_path, text)) == CIRCUIT
    assert old in text
    with pytest.raises(BadCircuitFile, match=words):
        Circuit.load(written(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize("name", ["circuit.json", "mib.json", "mib.safetensors"])
def test_a_circuit_of_no_edges_is_no_circuit_to_read(tmp_path: Path, name: str) -> None:
    empty = Circuit.empty(CIRCUIT.graph)
    empty.save(tmp_path / name) if name == "circuit.json" else mib.save(empty, tmp_path / name)
    with pytest.raises(BadCircuitFile, match=rf"the circuit in .*{name} has 0 edges, so it does nothing; give one"):
        Circuit.load(tmp_path / name)


@pytest.mark.parametrize("score", [float("nan"), float("-inf"), "1", True])
def test_scores_of_mib_that_are_no_numbers_are_refused(score: Any, tmp_path: Path) -> None:
    data = mib.to_mib(CIRCUIT)
    data["edges"]["m0->logits"]["score"] = score
    with pytest.raises(BadCircuitFile, match="the score of m0->logits is "):
        mib.from_mib(data)
    if isinstance(score, float):
        mib.save(CIRCUIT, tmp_path / "mib.safetensors", {EDGES[1]: score})
        with pytest.raises(BadCircuitFile, match="the score of m0->logits is "):
            Circuit.load(tmp_path / "mib.safetensors")
