"""A result is written whole or not at all, and only where that was tried before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from acdc.cli.destination import PICTURED, Destination
from acdc.errors import UnwritableOutput
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.drawing.render import render as draw
from tests.acdc.cli.command_line import nothing_written

CIRCUIT = Circuit.from_names(ComputationalGraph(1, 1, 4), ["input->m0", "m0->logits"])
FILES = ["circuit.dot", "circuit.json", "circuit.png", "circuit.svg"]


def test_trying_leaves_no_trace() -> None:
    with nothing_written():
        Destination(Path("runs/deep/down")).check()


def test_directories_are_made_as_needed_and_other_files_in_them_stay() -> None:
    Path("runs").mkdir()
    Path("runs/notes.txt").write_text("mine")
    for directory in ("runs", "runs/deep/down"):
        written = Destination(Path(directory)).write(CIRCUIT, "a title")
        assert sorted(written.files) == [Path(directory, name) for name in FILES]
    assert Circuit.load("runs/deep/down/circuit.json") == CIRCUIT
    assert "a title" in Path("runs/circuit.dot").read_text()
    assert {path.name for path in Path().rglob("*") if path.is_file()} == {*FILES, "notes.txt"}


def test_pictures_of_a_large_circuit_show_its_strongest_edges_and_say_so() -> None:
    graph = ComputationalGraph(4, 6, 8)
    edges = list(graph.edges())[: PICTURED + 20]
    large = Circuit(graph, frozenset(edges), {edge: float(number) for number, edge in enumerate(edges)})
    written = Destination(Path("large")).write(large, "a title")
    part = f"the {PICTURED} strongest of {PICTURED + 20} edges"
    assert Circuit.load("large/circuit.json") == large
    assert part in Path("large/circuit.svg").read_text()
    assert part in written.left_out
    assert "acdc show large --render" in written.left_out
    assert part not in Path("large/circuit.dot").read_text()
    assert Path("large/circuit.dot").read_text().count(" -> ") == len(large)
    assert Destination(Path("small")).write(CIRCUIT, "a title").left_out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_what_goes_wrong_midway_leaves_nothing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:

    def render(circuit: Circuit, path: Path, title: str) -> None:
        if path.suffix == ".png":
            raise error
        draw(circuit, path, title=title)

    monkeypatch.setattr("acdc.graphs.drawing.render.render", render)
    wanted = UnwritableOutput if isinstance(error, OSError) else KeyboardInterrupt
    with nothing_written(), pytest.raises(wanted):
        Destination(Path("runs/deep")).write(CIRCUIT, "a title")


def test_a_file_in_the_way_is_told_of() -> None:
    Path("taken").write_text("a file")
    Path("run/circuit.svg").mkdir(parents=True)
    with pytest.raises(UnwritableOutput, match="taken cannot be written: Not a directory"):
        Destination(Path("taken")).check()
    with pytest.raises(UnwritableOutput, match=r"taken/run cannot be written: Not a directory \(.*/taken\)"):
        Destination(Path("taken/run")).check()
    with pytest.raises(UnwritableOutput, match=r"run/circuit.svg is a directory where a file is to be written"):
        Destination(Path("run")).check()
