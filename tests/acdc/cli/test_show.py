"""`acdc show` tells what is in a circuit file, and writes it in other forms."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused


def test_a_circuit_is_shown_from_its_directory_as_from_its_file(found: Path) -> None:
    shown = acdc("show", found)
    assert shown.code == 0, shown.err
    assert shown == acdc("show", found / "circuit.json")
    assert shown.out.startswith("periodic on periodic-2l\n")


def test_top_says_how_many_edges_and_0_means_all(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    strongest = sorted(circuit.scores, key=lambda edge: -abs(circuit.scores[edge]))
    two = acdc("show", found, "--top", "2").out
    assert [edge.name in two for edge in strongest[:3]] == [True, True, False]
    assert all(edge.name in acdc("show", found, "--top", "0").out for edge in circuit.edges)
    assert refused("show", found, "--top", "-1").startswith("--top is -1; wanted a number of edges")


def test_a_picture_shows_the_top_edges_and_says_so(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    acdc("show", found, "--top", "2", "--render", "two.dot")
    two = Path("two.dot").read_text()
    strongest = circuit.strongest_first()
    assert [f'tooltip="{edge.name} (' in two for edge in strongest[:3]] == [True, True, False]
    assert f"the 2 strongest of its {len(circuit)}" in two
    acdc("show", found, "--render", "all.dot")
    whole = Path("all.dot").read_text()
    assert all(f'tooltip="{edge.name} (' in whole for edge in circuit)
    assert "strongest of" not in whole


def test_json_is_the_file(found: Path) -> None:
    assert acdc("show", found, "--json").json == json.loads((found / "circuit.json").read_text())


@pytest.mark.parametrize(
    ("name", "start"),
    [("c.svg", b"<?xml"), ("c.png", b"\x89PNG"), ("c.pdf", b"%PDF"), ("c.dot", b"//"), ("c.graphml", b"<")],
)
def test_a_circuit_can_be_written_in_every_form(found: Path, name: str, start: bytes) -> None:
    ran = acdc("show", found, "--render", name)
    assert ran.code == 0, ran.err
    assert ran.out.endswith(f"\nWritten: {name}\n")
    lost = "model, task, prompts, metric, ablation and what was measured are in circuit.json only\n"
    assert ran.err.endswith(lost) == name.endswith(".dot")
    content = Path(name).read_bytes()
    assert content.startswith(start) or b"digraph" in content
    if name.endswith((".svg", ".graphml")):
        ElementTree.fromstring(content)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("c.bmp", "nothing can be written to c.bmp: got the ending '.bmp', wanted one of .svg, .png, .pdf, .dot"),
        ("nowhere/c.svg", "nowhere/c.svg cannot be written: there is no directory "),
        ("nowhere/c.graphml", "nowhere/c.graphml cannot be written: there is no directory "),
        ("c.dot", "c.dot cannot be written: it is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(found: Path, file: str, words: str) -> None:
    Path("c.dot").mkdir()
    assert refused("show", found, "--render", file).startswith(words)


def test_a_picture_needs_a_graphviz(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.graphs.drawing.graphviz_process.engines", lambda form: [])
    assert "could not be drawn as png" in refused("show", found, "--render", "c.png", code=3)


def test_a_circuit_made_by_hand_can_be_shown(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    Circuit.from_names(circuit.graph, ["input->logits", "input->a0.h0<v>"]).save("hand.json")
    lines = [line.rstrip() for line in acdc("show", "hand.json").out.splitlines()]
    assert lines[0] == "a behaviour its file does not name"
    assert "faithfulness  not measured; `acdc evaluate` does that" in lines
    assert "input->logits        -" in lines


def test_showing_needs_no_torch(found: Path) -> None:
    # In a process of its own: this one has loaded torch long ago.
    import subprocess

    script = "import sys; from acdc.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script, "show", str(found.absolute())]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_a_doubtful_circuit_is_shown_with_its_warnings(found: Path) -> None:
    data = json.loads((found / "circuit.json").read_text())
    data["faithfulness"]["normalised"]["value"] = 1.5
    Path("odd.json").write_text(json.dumps(data))
    assert "warning: the circuit overshoots: it shows 150% of the behaviour" in acdc("show", "odd.json").err


@pytest.mark.parametrize("name", ["mib.json", "mib.safetensors"])
def test_mib_s_forms_read_again_are_the_same_circuit(found: Path, name: str) -> None:
    ran = acdc("show", found, "--mib", name)
    assert ran.code == 0, ran.err
    assert ran.err == (
        f"note: {name} holds edges and scores, 0 where there is none, and frequencies; model, task, prompts, metric, "
        "ablation and what was measured are in circuit.json only\n"
    )
    assert ran.out.endswith(f"\nWritten: {name}\n")
    again, circuit = Circuit.load(name), Circuit.load(found / "circuit.json")
    assert again == circuit
    assert again.scores == circuit.scores
    assert f"circuit       {len(circuit)} of 110 edges" in acdc("show", name).out


def test_an_export_for_mib_that_cannot_be_written_is_refused(found: Path) -> None:
    assert "got the ending '.pt', wanted one of .json, .safetensors" in refused("show", found, "--mib", "mib.pt")
    assert refused("show", found, "--mib", "nowhere/mib.json").startswith("nowhere/mib.json cannot be written")


def test_a_path_in_the_home_directory_is_found_however_it_is_given(
    found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(found.absolute()))
    assert acdc("show", "~", "--render=~/c.dot").code == 0
    assert (found / "c.dot").is_file()
    assert acdc("show", "~/circuit.json", "--mib", "~/mib.json").code == 0
    assert (found / "mib.json").is_file()
    claims = "claims: {size: {at_least: 1}}\n"
    Path("test_home.acdc.yaml").write_text(f"task: periodic\nmodel: periodic-2l\ncircuit: ~/circuit.json\n{claims}")
    ran = acdc("test", "test_home.acdc.yaml")
    assert ran.code == 0, ran.err
