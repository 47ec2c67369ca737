"""`acdc cut` takes another size from a run that is done, measures it, and leaves the run alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import acdc as package
from acdc.discovery import joining_file
from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    ran = acdc(
        "discover", "periodic", "--method", "eap-ig", "--edges", "12", "--prompts", "8", "--out", "run", "--quiet"
    )
    assert ran.code == 0, ran.err
    return Path("run")


def test_a_size_is_the_beginning_of_the_run_s_order_and_is_judged(scored: Path) -> None:
    before = {file.name: file.read_bytes() for file in scored.iterdir()}
    ran = acdc("cut", scored, "--edges", "20")
    assert ran.code == 0, ran.err
    assert "19 of 110 edges" in ran.out  # one more would stay without a path
    cut = Circuit.load("run-20-edges/circuit.json")
    assert len(cut) == 19
    joining = joining_file.read(scored / joining_file.NAME, cut.graph)
    assert {edge: joining[edge] for edge in cut.edges} == cut.scores
    assert cut.edges >= Circuit.load(scored / "circuit.json").edges
    judged = package.evaluate("run-20-edges/circuit.json")
    assert cut.provenance["faithfulness"]["normalised"] == judged.to_json()["normalised"]
    assert {file.name: file.read_bytes() for file in scored.iterdir()} == before
    assert cut.provenance["algorithm"]["goal"] == {"kind": "Edges", "count": 20}
    assert cut.provenance["algorithm"]["cut_from"]["goal"] == {"kind": "Edges", "count": 12}
    again = acdc("discover", "periodic", "--method", "eap-ig", "--edges", "20", "--prompts", "8", "-o", "run-20-edges")
    assert (again.code, "holds the result of another run" in again.err) == (2, True), "it writes over no cut"


def test_a_fraction_is_the_smallest_that_keeps_it(scored: Path) -> None:
    ran = acdc("cut", scored, "--faithfulness", "0.5", "--out", "half", "--json")
    assert ran.code == 0, ran.err
    curve = ran.json["curve"]
    assert min(point["edges"] for point in curve if point["faithfulness"] >= 0.5) == len(ran.json["edges"])


def test_a_cut_can_be_cut_again_and_never_writes_over_anything(scored: Path) -> None:
    assert acdc("cut", scored, "--edges", "20", "--quiet").code == 0
    assert acdc("cut", "run-20-edges", "--edges", "5", "--quiet").code == 0
    assert acdc("cut", scored, "--edges", "20", "--quiet").code == 0
    assert Path("run-20-edges-2/circuit.json").exists()
    assert "holds another result" in refused("cut", scored, "--edges", "20", "--out", "run-20-edges")


def test_what_cannot_be_cut_is_refused(found: Path, scored: Path) -> None:
    assert "give one of --edges N and --faithfulness F" in refused("cut", scored)
    assert "give one of --edges N" in refused("cut", scored, "--edges", "3", "--faithfulness", "0.5")
    assert "the faithfulness to keep is 2.0" in refused("cut", scored, "--faithfulness", "2")
    (scored / joining_file.NAME).unlink()
    assert "which says how circuits of other sizes are made" in refused("cut", scored, "--edges", "3")


def test_a_pruned_run_knows_as_many_edges_as_its_largest_circuit(found: Path) -> None:
    most = len(joining_file.read(found / joining_file.NAME, Circuit.load(found / "circuit.json").graph))
    assert f"the search knows of {most} edges" in refused("cut", found, "--edges", "100")
