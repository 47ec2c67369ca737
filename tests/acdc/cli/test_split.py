"""`acdc discover --split`, and every command that takes the circuit it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.cli.on_a_circuit import COMMANDS

SAE = "everyday-4l-m0-sae"
EAP = ("--prompts", "4", "--metric", "logit_difference", "--method", "eap", "--edges", "300")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a circuit of features."""
    folder = tmp_path_factory.mktemp("features") / "found"
    ran = acdc("discover", "ioi", "--split", SAE, *EAP, "--no-report", "--out", folder)
    assert ran.code == 0, ran.err
    assert f"note: features of m0: those of {SAE} explain " in ran.err
    return folder


@pytest.fixture(scope="module")
def neurons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a circuit of neurons of the smallest shipped model, in which there are parts."""
    folder = tmp_path_factory.mktemp("neurons") / "found"
    ran = acdc("discover", "periodic", "--split", "m0", *EAP[:-1], "40", "--no-report", "--out", folder)
    assert ran.code == 0, ran.err
    assert any(edge.sender.part for edge in Circuit.load(folder / "circuit.json"))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_it(neurons: Path, command: str) -> None:
    ran = acdc(*command.format(run=neurons).split())
    assert ran.code in (0, 1), ran.err
    assert not [line for line in ran.err.splitlines() if line.startswith("error: ")]


def test_graphml_keeps_it(neurons: Path) -> None:
    assert acdc("export", neurons, "circuit.graphml").code == 0
    assert Circuit.load("circuit.graphml").to_json() == Circuit.load(neurons / "circuit.json").to_json()


def test_mibs_form_does_not_and_says_so(neurons: Path) -> None:
    assert "MIB's form has no parts of nodes" in refused("export", neurons, "mib.json", "--as", "mib")


def test_how_well_features_fit_is_recorded_and_shown(features: Path) -> None:
    fit = json.loads((features / "circuit.json").read_text())["features"]["m0"]
    said = " ".join(acdc("show", features).out.split())
    assert f"explain {fit['explained']:.1%} of the variance of {fit['tokens']} tokens" in said
    assert f"stay {fit['recovered']:.1%} nearer than with the mean" in said


def test_a_record_without_sense_is_refused(features: Path) -> None:
    data = json.loads((features / "circuit.json").read_text())
    data["features"]["m0"]["explained"] = "much"
    Path("circuit.json").write_text(json.dumps(data))
    assert "under 'features.m0.explained' cannot be understood" in refused("show", "circuit.json")
