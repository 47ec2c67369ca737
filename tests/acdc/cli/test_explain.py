"""`acdc explain`: roles in the circuit's file and its picture, the rest beside it; nobody else's file is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import acdc as package
from acdc.cli.exits import Exit
from acdc.graphs.circuit import Circuit
from acdc.settings import Setup
from tests.acdc.cli.command_line import acdc

ROLES = {"a0.h0": "previous token", "a0.h2": "fixed offset (2 back)", "a1.h0": "induction"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a circuit that has been explained."""
    directory = tmp_path_factory.mktemp("run")
    circuit = package.discover("periodic", setup=Setup(prompts=24)).circuit
    for name in ("before.json", "circuit.json"):
        circuit.save(directory / name)
    ran = acdc("explain", directory, "--variations", "0")
    assert ran.code == Exit.DONE, ran.err
    assert "induction" in ran.out
    return directory


def test_roles_go_into_the_circuit_and_its_picture(run: Path) -> None:
    circuit, before = (Circuit.load(run / name) for name in ("circuit.json", "before.json"))
    assert circuit == before
    assert circuit.provenance == before.provenance
    assert {node.name: role.role for node, role in circuit.roles.items()} == ROLES
    assert Circuit.from_json(circuit.to_json()).roles == circuit.roles
    picture = (run / "circuit.svg").read_text()
    assert all(role in picture for role in ROLES.values())


def test_the_explanation_says_what_the_circuit_says(run: Path) -> None:
    said = json.loads((run / "explain.json").read_text())
    assert said["roles"] == json.loads((run / "circuit.json").read_text())["roles"]
    assert len(said["heads"]) == 8
    assert "a1.h0" in said["summary"]
    assert {edge["edge"] for edge in said["composition"]} == {
        *("input->a0.h0<v>", "input->a0.h2<v>", "input->a1.h0<q>", "a0.h2->a1.h0<k>", "a0.h0->a1.h0<v>")
    }


def test_the_explanation_of_another_circuit_is_not_replaced(run: Path, tmp_path: Path) -> None:
    circuit = Circuit.load(run / "circuit.json")
    other = circuit.without([next(iter(circuit))])
    assert other.roles == {}  # they are those of another circuit
    other.save(tmp_path / "circuit.json")
    before = (run / "explain.json").read_text()
    ran = acdc("explain", tmp_path, "--out", run)
    assert ran.code == Exit.BAD_INPUT
    assert "another circuit" in ran.err
    assert "Traceback" not in ran.err
    assert (run / "explain.json").read_text() == before


def test_too_few_prompts_of_variations_are_refused(run: Path) -> None:
    ran = acdc("explain", run, "--variations", "1")
    assert ran.code == Exit.BAD_INPUT
    assert "--variations is 1" in ran.err


def test_fewer_prompts_are_taken_when_asked_and_it_is_said(run: Path, tmp_path: Path) -> None:
    ran = acdc("explain", run, "--variations", "0", "--prompts", "10", "--out", tmp_path / "few")
    assert ran.code == Exit.DONE, ran.err
    assert "Roles were chosen on 10 prompts and had to hold on 10 others." in ran.out
    assert json.loads((tmp_path / "few" / "explain.json").read_text())["prompts"] == {"choosing": 10, "keeping": 10}
    refused = acdc("explain", run, "--prompts", "0")
    assert refused.code == Exit.BAD_INPUT
    assert "--prompts is 0; wanted at least 1 of each half" in refused.err
