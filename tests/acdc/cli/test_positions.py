"""`acdc discover --positions slots`, and every command that takes the circuit it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import Ran, acdc, refused
from tests.acdc.cli.on_a_circuit import COMMANDS

QUICK = ("--prompts", "4", "--method", "eap-ig", "--edges", "14")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a circuit by position of the smallest shipped model."""
    folder = tmp_path_factory.mktemp("positions") / "found"
    ran = acdc("discover", "periodic", "--positions", "slots", *QUICK, "--out", folder)
    assert ran.code == 0, ran.err
    return folder


def test_the_circuit_has_edges_by_position(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    assert 0 < len(circuit) <= 14
    assert circuit.graph.spans[-1] == "END"
    assert circuit.provenance["prompts"]["positions"] == "slots"
    assert circuit.to_json()["schema"] == "acdc.circuit/2"
    assert all((edge.span is None) == (edge.receiver.name == "logits") for edge in circuit)
    assert (found / "report.html").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_it(found: Path, command: str) -> None:
    ran = acdc(*command.format(run=found).split())
    assert ran.code in (0, 1), ran.err
    assert not [line for line in ran.err.splitlines() if line.startswith("error: ")]


def test_graphml_keeps_it(found: Path) -> None:
    assert acdc("export", found, "circuit.graphml").code == 0
    assert Circuit.load("circuit.graphml").to_json() == Circuit.load(found / "circuit.json").to_json()


def test_mibs_form_does_not_and_says_so(found: Path) -> None:
    assert "MIB's form has no edges by position" in refused("export", found, "mib.json", "--as", "mib")


def test_its_cases_cannot_be_pinned_and_that_is_said(found: Path) -> None:
    asked = "--prompts 4 --budget 8 --cross 4 --only search --out pinned"
    assert acdc("attack", found, *asked.split()).code == 0
    assert "has edges by position" in refused("pin", "pinned", "test_it.acdc.yaml", "--at-most", "1")


HYPOTHESIS = """\
about: The circuit by position.
task: periodic
model: periodic-2l
circuit: {circuit}
setup: {{prompts: 4}}
claims:
  size: {{at_most: 200}}
  kl: {{at_most: 1000}}
  specificity: {{induction: {{at_most: 1000, metric: kl}}}}
"""


@pytest.mark.parametrize("of", ["file", "names"])
def test_a_hypothesis_is_about_it(found: Path, of: str) -> None:
    names = '["input->a0.h0<v>@symbol_*", "a0.h0->a1.h0<v>", "a1.h0->logits", "input->a1.h0"]'
    circuit = str(found / "circuit.json") if of == "file" else names
    Path("test_it.acdc.yaml").write_text(HYPOTHESIS.format(circuit=circuit))
    ran: Ran = acdc("test", "test_it.acdc.yaml")
    assert ran.code == 0, ran.out + ran.err


def test_a_dry_run_knows_how_many_edges_there_are(found: Path) -> None:
    told = acdc("discover", "periodic", "--positions", "slots", "--prompts", "4", "--dry-run", "--json").json
    assert told["edges"] == Circuit.load(found / "circuit.json").graph.n_edges


def test_other_positions_are_refused() -> None:
    assert "unknown positions 'all'" in refused("discover", "periodic", "--positions", "all")
