"""Constants lie beside the circuit that they belong to, and nothing else passes for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.constants import KEY, Constants, without_content
from acdc.graphs.errors import BadCircuitFile

CONSTANTS, OTHERS = Constants(b"some content"), Constants(b"another")


@pytest.fixture
def circuit() -> Circuit:
    graph = ComputationalGraph(1, 2, 8)
    return Circuit(graph, frozenset(graph.edges()), provenance={"ablation": "optimal", KEY: CONSTANTS.to_json()})


def test_a_circuit_comes_back_with_its_constants(circuit: Circuit, tmp_path: Path) -> None:
    circuit.save(tmp_path / "circuit.json")
    assert (tmp_path / CONSTANTS.file).read_bytes() == CONSTANTS.content
    again = Circuit.load(tmp_path / "circuit.json")
    assert again.provenance == circuit.provenance
    assert Constants.from_json(again.provenance[KEY]) == CONSTANTS


def test_the_circuits_file_has_the_hash_and_not_the_content(circuit: Circuit, tmp_path: Path) -> None:
    circuit.save(tmp_path / "circuit.json")
    said = {"file": CONSTANTS.file, "hash": CONSTANTS.hash}
    assert json.loads((tmp_path / "circuit.json").read_text())[KEY] == circuit.to_json()[KEY] == said
    assert without_content(circuit.provenance) == {"ablation": "optimal", KEY: said}
    assert without_content({"ablation": "mean"}) == {"ablation": "mean"}


def test_circuits_with_other_constants_lie_side_by_side(circuit: Circuit, tmp_path: Path) -> None:
    other = Circuit(circuit.graph, circuit.edges, provenance={KEY: OTHERS.to_json()})
    circuit.save(tmp_path / "circuit.json")
    other.save(tmp_path / "other.json")
    found = [Circuit.load(tmp_path / name).provenance[KEY] for name in ("circuit.json", "other.json")]
    assert [Constants.from_json(one) for one in found] == [CONSTANTS, OTHERS]


def test_a_changed_or_missing_file_is_refused(circuit: Circuit, tmp_path: Path) -> None:
    circuit.save(tmp_path / "circuit.json")
    (tmp_path / CONSTANTS.file).write_bytes(OTHERS.content)
    with pytest.raises(BadCircuitFile, match="are not those that it was found with"):
        Circuit.load(tmp_path / "circuit.json")
    (tmp_path / CONSTANTS.file).unlink()
    with pytest.raises(BadCircuitFile, match=r"cannot be read from .*: No such file"):
        Circuit.load(tmp_path / "circuit.json")


@pytest.mark.parametrize("said", ["content", {"file": "a"}, {"file": "../a", "hash": "sha256:0"}, {"file": 1}])
def test_what_names_no_file_beside_the_circuit_is_refused(circuit: Circuit, tmp_path: Path, said: object) -> None:
    (tmp_path / "circuit.json").write_text(json.dumps({**circuit.to_json(), KEY: said}))
    with pytest.raises(BadCircuitFile, match="does not say which file holds the constants"):
        Circuit.load(tmp_path / "circuit.json")


def test_without_their_content_a_circuit_is_not_written(circuit: Circuit, tmp_path: Path) -> None:
    with pytest.raises(BadCircuitFile, match="is not at hand"):
        Circuit.from_json(circuit.to_json()).save(tmp_path / "circuit.json")
    assert not list(tmp_path.iterdir())


def test_constants_are_known_as_optimal_ablation() -> None:
    assert Ablation(CONSTANTS) is Ablation.OPTIMAL
