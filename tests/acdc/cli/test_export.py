"""`acdc export` writes a circuit in every form, says what is lost, and refuses what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from acdc.report.exports import FORMS
from tests.acdc.cli.command_line import acdc, refused


def test_every_form_is_written_and_named_in_the_help(found: Path) -> None:
    shown = acdc("export", "--help").out
    for name, form in FORMS.items():
        assert f"    {name} ({form.ending})" in shown
        file = Path(f"{name}{form.ending}")
        ran = acdc("export", found, file, "--as", name)
        assert (ran.code, ran.out) == (0, f"Written: {file}\n"), ran.err
        assert ran.err == (
            f"note: {file} holds {form.keeps}; model, task, prompts, metric, ablation and what was measured are in "
            "circuit.json only\n"
            if form.keeps
            else ""
        )
        assert file.stat().st_size > 500
        if "can be read again" in form.about or name == "circuit":
            assert Circuit.load(file) == Circuit.load(found / "circuit.json")


def test_circuit_and_graphml_come_back_with_all_that_they_say(found: Path) -> None:
    data = json.loads((found / "circuit.json").read_text())
    data["groups"] = {"<b>movers</b>": ["a1.h0"]}
    data["graph"]["frozen_scale"] = True
    data["edges"][0]["frequency"] = 1 / 3
    Path("c.json").write_text(json.dumps(data, indent=1) + "\n")
    assert acdc("export", "c.json", "c.graphml").code == 0
    assert acdc("export", "c.graphml", "again.json", "--as", "circuit").code == 0
    assert json.loads(Path("again.json").read_bytes()) == data
    assert acdc("show", "c.graphml").out == acdc("show", "c.json").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x.json",), "several forms; say which with --as: circuit, mib, neuronpedia"),
        (("x.gif",), "nothing can be written to x.gif: got the ending '.gif', wanted one of .svg, .png"),
        (("x",), "got the ending '', wanted one of"),
        (("x.svg", "--as", "nope"), "no form is called 'nope'; wanted one of svg, png"),
        (("x.svg", "--as", "mib"), "x.svg ends in .svg, but files of the form mib in .json; rename the file"),
        (("found/circuit.json", "--as", "circuit"), "found/circuit.json exists already; name another file"),
        (("nowhere/x.svg",), "nowhere/x.svg cannot be written: there is no directory"),
        (("x.graphml", "--top", "3"), "--top is for pictures, not graphml; `acdc cut` makes a smaller circuit"),
        (("x.svg", "--top", "0"), "--top is 0; wanted a number of edges from 1"),
        (("x.svg", "--prompt", "2"), "--prompt is for the form neuronpedia, and this is svg; leave it out"),
        (("x.json", "--as", "neuronpedia", "--prompt", "17"), "--prompt is 17; wanted the number of a judgement"),
        (("x.json", "--as", "neuronpedia", "--model", "siit-pick-3l"), "the circuit is of a model with 2 layers"),
    ],
)
def test_what_cannot_be_exported_is_refused(found: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused("export", found, *words)


def test_a_picture_of_some_edges_says_so(found: Path) -> None:
    assert acdc("export", found, "two.dot", "--top", "2").code == 0
    assert "the 2 strongest of its" in Path("two.dot").read_text()


def test_graphml_of_some_edges_would_carry_figures_of_all(found: Path) -> None:
    assert "--top is for pictures" in refused("show", found, "--render", "x.graphml", "--top", "2")
