"""Which boxes the page of a circuit by position has, and in which of them its edges end."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.by_position import SpanColumns
from acdc.graphs.drawing.placement import columns
from acdc.report.page.boxes import boxes_of
from acdc.report.page.comparison_data import comparison_data
from acdc.report.page.data import page_data
from acdc.report.page.run_folder import RunFolder
from tests.acdc.report.page import run_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders.by_position(tmp_path_factory.mktemp("spans"))


def test_every_size_has_the_boxes_columns_and_lines_of_the_picture(folder: Path) -> None:
    found = Circuit.load(folder / "circuit.json")
    graph = page_data(RunFolder.read(folder / "circuit.json"))["graph"]
    boxes = [f"{name}@{span}" for name, _, _, span in graph["nodes"]]
    assert len(boxes) == len(set(boxes))
    members: set[int] = set()
    for size in graph["sizes"]:
        members |= set(size["joins"])
        circuit = found.strongest(len(members))
        drawn = SpanColumns.of(circuit)
        placed = {boxes[box]: x for _, row in size["rows"] for box, x in row}
        assert placed == {box.name: pytest.approx(x, abs=0.001) for box, x in drawn.across.items()}
        assert [span for span, _ in size["columns"]] == list(drawn.middles)
        lines = {
            (boxes[graph["edges"][edge][0]], boxes[end])
            for edge in members
            for end in size["ends"].get(str(edge), [graph["edges"][edge][1]])
        }
        assert lines == {(line.start.name, line.end.name) for line in drawn.lines}


def test_an_edge_into_a_key_is_one_edge_with_all_its_ends(folder: Path) -> None:
    graph = page_data(RunFolder.read(folder / "circuit.json"))["graph"]
    [key] = [at for at, (_, _, slot, _) in enumerate(graph["edges"]) if slot == "k"]
    smaller, whole = graph["sizes"]
    assert (smaller["edges"], whole["edges"]) == (6, 7)
    ends = [graph["nodes"][box] for box in whole["ends"][str(key)]]
    assert ends == [["a0.h1", "head", 0, "END"], ["a0.h1", "head", 0, "S2"]]
    assert str(key) not in smaller["ends"]  # its head is read at S2 only
    assert graph["nodes"][graph["edges"][key][1]] == ["a0.h1", "head", 0, "S2"]


def test_without_spans_a_box_is_a_node(tmp_path: Path) -> None:
    circuit = Circuit.load(run_folders.strange(tmp_path) / "circuit.json")
    boxes = boxes_of([circuit])
    assert [name for name, _, _ in boxes.to_json()] == [node.name for node in circuit.nodes()]
    across = {node.name: round(x, 3) for node, x in columns(circuit).items()}
    placed = boxes.placed(0, {})
    assert set(placed) == {"rows"}
    assert {boxes.to_json()[box][0]: x for _, row in placed["rows"] for box, x in row} == across


def test_two_circuits_by_position_stand_in_the_columns_of_both(folder: Path, tmp_path: Path) -> None:
    Circuit.load(folder / "circuit.json").strongest(6).save(tmp_path / "circuit.json")
    runs = [RunFolder.read(one / "circuit.json") for one in (folder, tmp_path)]
    graph = comparison_data(runs[0], runs[1], None)["graph"]
    assert sorted(graph["sides"]) == ["both"] * 6 + ["first"]
    assert [span for span, _ in graph["sizes"][0]["columns"]] == ["S1", "S2", "END"]
