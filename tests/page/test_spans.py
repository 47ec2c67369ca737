"""The page of a circuit by position in Chromium: columns for its spans, and edges counted once however many lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from acdc.attacks.file import SCHEMA
from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.by_position import SpanColumns
from tests.acdc.report.page import run_folders
from tests.page.test_page import click, download, drawing, fragment_of, opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIT = "graph.edges().filter((edge) => !edge.hasClass('dim')).map((edge) => [edge.source().id(), edge.target().id()])"


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders.page_of(run_folders.by_position(tmp_path_factory.mktemp("spans")))


def test_boxes_stand_in_the_columns_of_the_picture_under_their_plain_names(page: Page, spans: Path) -> None:
    opened(page, spans)
    drawn = SpanColumns.of(Circuit.load(spans.parent / "circuit.json"))
    places = drawing(page, "graph.nodes('.box').map((node) => [node.id(), node.position('x'), node.position('y')])")
    assert {name: x for name, x, _ in places} == {
        box.name: pytest.approx(76 * x, abs=0.1) for box, x in drawn.across.items()
    }
    labels = drawing(page, "graph.nodes('.column').map((node) => [node.data('label'), node.position('y')])")
    assert [label for label, _ in labels] == list(drawn.middles)
    assert min(y for _, y in labels) > max(y for _, _, y in places)
    assert drawing(page, "graph.$id('a0.h1@S2').data('label')") == "a0.h1\nprevious token"
    assert drawing(page, "graph.$id('m0@END').data('label')") == "m0"


def test_an_edge_with_two_lines_is_counted_once_and_keeps_its_name(page: Page, spans: Path) -> None:
    opened(page, spans)
    names = drawing(page, "graph.edges().map((edge) => edge.data('of'))")
    assert sorted(names) == sorted(
        line.edge.name for line in SpanColumns.of(Circuit.load(spans.parent / "circuit.json")).lines
    )
    assert (len(names), names.count("input->a0.h1<k>@S1")) == (8, 2)
    assert page.locator("#kept").inner_text().startswith("7 edges")
    assert page.locator("#panel-title").inner_text() == "Strongest of 7 edges"
    page.get_by_role("button", name="input->a0.h1<k>@S1").click()
    assert drawing(page, "graph.edges('.shown').length") == 2
    page.locator("#slider").evaluate("(one) => { one.value = 0; one.dispatchEvent(new Event('input')); }")
    assert drawing(page, "graph.edges().length") == 6
    saved = Circuit.from_json(json.loads(download(page, "circuit.json")))
    assert saved == Circuit.load(spans.parent / "circuit.json").strongest(6)


def test_a_pinned_box_lights_the_paths_through_it_and_not_through_others_of_its_node(page: Page, spans: Path) -> None:
    opened(page, spans)
    click(page, "a0.h1@END")
    page.mouse.move(5, 5)
    assert sorted(drawing(page, LIT)) == [["a0.h1@END", "m0@END"], ["input@S1", "a0.h1@END<k>"]]
    assert drawing(page, "graph.$id('a0.h1@S2').hasClass('dim')")
    assert page.locator("#panel-title").inner_text() == "a0.h1: attention head"
    panel = page.locator("#panel").inner_text()
    assert "previous token" in panel
    assert "Reads from 2 edges" in panel
    assert "pins=a0.h1%40END" in fragment_of(page)
    opened(page, spans, "#shown=a0.h1")  # a node without a span is all its boxes
    assert len(drawing(page, LIT)) == 7


def test_search_finds_all_boxes_of_a_node_and_arrows_go_between_them(page: Page, spans: Path) -> None:
    opened(page, spans)
    page.locator("#search").fill("a0.h1")
    assert sorted(drawing(page, "graph.nodes('.sought').map((node) => node.id())")) == ["a0.h1@END", "a0.h1@S2"]
    assert page.locator("#drawn").inner_text() == "Found: a0.h1."
    page.keyboard.press("Tab")
    page.locator("#graph").focus()
    page.keyboard.press("ArrowUp")
    assert drawing(page, "graph.nodes('.focus').map((node) => node.id())") == ["input@S1"]
    page.keyboard.press("ArrowRight")
    assert drawing(page, "graph.nodes('.focus').map((node) => node.id())") == ["input@S2"]


def test_a_group_is_of_nodes_with_all_their_boxes(page: Page, spans: Path) -> None:
    opened(page, spans, "#pins=a0.h1@S2,m0@S2")
    page.keyboard.press("g")
    assert drawing(page, "graph.$id('group:group 1').children('.box').length") == 4
    page.keyboard.press("Escape")
    saved = json.loads(download(page, "circuit.json"))
    assert saved["groups"] == {"group 1": ["a0.h1", "m0"]}


def test_a_saved_picture_has_the_columns(page: Page, spans: Path) -> None:
    opened(page, spans)
    drawn = download(page, "SVG").decode()
    assert drawn.count("<path") == 8
    assert [drawn.count(f">{words}<") for words in ("S1", "S2", "END", "a0.h1", "input")] == [1, 1, 1, 2, 2]
    assert download(page, "PNG").startswith(b"\x89PNG")


def test_a_repair_is_drawn_between_the_boxes_that_it_joins(page: Page, tmp_path: Path) -> None:
    folder = run_folders.by_position(tmp_path)
    names = ["input->a0.h1<v>@S1", "a0.h1->m0@S1", "m0->logits"]  # a0.h1 does not stand at S1
    together = [{"edge": name} for name in names]
    attack = {"schema": SCHEMA, "circuit": {}, "worst": [], "diagnosis": [{"together": together}]}
    (folder / "attack.json").write_text(json.dumps(attack))
    opened(page, run_folders.page_of(folder), "#repair=0")
    ends = drawing(page, "graph.edges('.repair').map((edge) => [edge.source().id(), edge.target().id()])")
    assert sorted(ends) == [["input@S1", "a0.h1@END"], ["input@S1", "a0.h1@S2"], ["m0@END", "logits@END"]]
