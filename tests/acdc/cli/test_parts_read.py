"""`acdc discover --split m0 --parts-read`, and every command that takes the circuit it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.cli.on_a_circuit import COMMANDS

SPLIT = ("--split", "m0", "--parts-read", "--prompts", "4", "--metric", "logit_difference", "--method", "eap")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a circuit in which neurons read for themselves."""
    folder = tmp_path_factory.mktemp("parts") / "found"
    ran = acdc("discover", "periodic", *SPLIT, "--edges", "60", "--no-report", "--out", folder)
    assert ran.code == 0, ran.err
    return folder


def test_neurons_read_and_the_file_says_so(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    assert circuit.graph.parts_read
    assert any(edge.receiver.part for edge in circuit)
    assert not any(edge.receiver.name == "m0" for edge in circuit)
    data = json.loads((found / "circuit.json").read_text())
    assert data["schema"] == "acdc.circuit/2"
    assert data["graph"]["parts_read"] is True
    assert data["model"]["parts_read"] is True
    assert data["graph"]["edges"] == circuit.graph.n_edges


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith(("attack", "stability"))])
def test_every_command_takes_it(found: Path, command: str) -> None:
    ran = acdc(*command.format(run=found).split())
    assert ran.code in (0, 1), ran.err
    assert not [line for line in ran.err.splitlines() if line.startswith("error: ")]


def test_graphml_keeps_it(found: Path) -> None:
    assert acdc("export", found, "circuit.graphml").code == 0
    assert Circuit.load("circuit.graphml").to_json() == Circuit.load(found / "circuit.json").to_json()


def test_mibs_form_does_not_and_says_so(found: Path) -> None:
    assert "MIB's form has no parts of nodes" in refused("export", found, "mib.json", "--as", "mib")


def test_a_circuit_of_mlps_that_read_as_a_whole_is_of_another_graph(found: Path) -> None:
    with_whole = ("--split", "m0", *SPLIT[3:])
    assert acdc("discover", "periodic", *with_whole, "--edges", "60", "--no-report", "--out", "whole").code == 0
    assert "parts that read for themselves" in refused("diff", found, "whole")


def test_parts_that_there_are_not_cannot_read() -> None:
    assert "say which are (--split)" in refused("discover", "periodic", "--parts-read", "--prompts", "4")
