"""The page of one run in Chromium: opened from disk, without a network, with mouse and keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.drawing.placement import columns
from acdc.judges.findings import Findings
from acdc.report.frame import page as frame
from acdc.report.page.run_folder import VIEW, RunFolder
from acdc.report.page.writing import save_comparison
from tests.acdc.report.page import run_folders

if TYPE_CHECKING:
    from playwright.sync_api import Page


def opened(page: Page, file: Path, fragment: str = "") -> Page:
    page.goto(f"{file.as_uri()}{fragment}")
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def fragment_of(page: Page) -> str:
    page.wait_for_timeout(250)  # it is written a little after the change
    return str(page.evaluate("location.hash"))


def drawing(page: Page, expression: str) -> Any:
    """What an expression about `graph`, the drawing, comes to."""
    return page.evaluate(
        f"(() => {{ const graph = document.getElementById('graph')._cyreg.cy; return {expression}; }})()"
    )


def click(page: Page, node: str) -> None:
    at = drawing(page, f"graph.$id({node!r}).renderedPosition()")
    box = page.locator("#graph").bounding_box()
    assert box
    page.mouse.click(box["x"] + at["x"], box["y"] + at["y"])


def download(page: Page, button: str) -> bytes:
    page.get_by_text("Save", exact=True).click()
    with page.expect_download() as saved:
        page.get_by_role("button", name=button).click()
    return Path(saved.value.path()).read_bytes()


def test_the_circuit_is_drawn_where_the_picture_draws_it(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    circuit = Circuit.load(run / "circuit.json")
    names = sorted(drawing(page, "graph.edges().map((edge) => edge.data('of'))"))
    assert names == sorted(edge.name for edge in circuit.edges)
    places = drawing(page, "graph.nodes('.box').map((node) => [node.id(), node.position('x'), node.position('y')])")
    across = {node.name: x for node, x in columns(circuit).items()}
    assert {name: pytest.approx(88 * across[name]) for name, _, _ in places} == {name: x for name, x, _ in places}
    heights = {name: y for name, _, y in places}
    assert heights["logits"] < heights["a1.h0"] < heights["a0.h0"] < heights["input"]
    assert set(drawing(page, "graph.nodes('.port').map((node) => node.id())")) == {
        edge.receiver.name if edge.slot is None else f"{edge.receiver.name}<{edge.slot}>"
        for edge in circuit.edges
        if edge.slot
    }


def test_the_slider_moves_over_measured_sizes_only_and_says_what_each_keeps(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    measured = [one["faithfulness"] for one in json.loads((run / "details.json").read_text())["sizes"]]
    slider = page.locator("#slider")
    assert int(slider.get_attribute("max") or 0) == len(measured) - 1 > 1
    for at, one in enumerate(measured):
        slider.evaluate("(slider, at) => { slider.value = at; slider.dispatchEvent(new Event('input')); }", at)
        said = page.locator("#kept").inner_text()
        kept = one["normalised"]
        assert f"keeps {kept['value']:.1%} (95% CI {kept['low']:.1%} to {kept['high']:.1%})" in said.replace("−", "-")
        assert drawing(page, "graph.edges().length") == one["size"]["edges"]
    assert len(page.locator("#curve .point").all()) == len(measured)


def test_clicking_pins_a_node_and_lights_its_paths_until_it_is_clicked_again(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    click(page, "a0.h2")
    assert drawing(page, "graph.$id('a0.h2').hasClass('pinned')")
    assert page.locator("#panel-title").inner_text().startswith("a0.h2")
    page.mouse.move(5, 5)
    lit = set(drawing(page, "graph.edges().filter((edge) => !edge.hasClass('dim')).map((edge) => edge.data('of'))"))
    assert lit == {"input->a0.h2<v>", "a0.h2->a1.h0<k>", "a1.h0->logits"}
    click(page, "a0.h2")
    page.mouse.move(5, 5)
    assert not drawing(page, "graph.elements('.pinned').length")


def test_a_head_shows_where_it_looks_and_an_edge_what_its_removal_costs(page: Page, run: Path) -> None:
    opened(page, run / "report.html", "#shown=a1.h0")
    measured = json.loads((run / "details.json").read_text())
    words = [token.strip() for token in page.locator(".heat button").all_inner_texts()]
    assert words == [token.strip() for token in measured["examples"]["prompts"][0]["clean"]]
    shares = [float(str(one.get_attribute("title")).split("%")[0]) for one in page.locator(".heat button").all()]
    assert sum(shares) == pytest.approx(100, abs=1)
    page.get_by_role("radio", name="difference").check()
    differences = [float(str(one.get_attribute("title")).split("%")[0]) for one in page.locator(".heat button").all()]
    assert sum(differences) == pytest.approx(0, abs=1)
    page.goto((run / "report.html").as_uri() + "#shown=a1.h0->logits")
    kept = next(one for one in measured["removals"] if one["edge"] == "a1.h0->logits")["without"]["normalised"]["value"]
    page.wait_for_selector("text=Removed alone")
    assert f"keeps {kept:.1%}".replace("-0.0%", "0.0%") in page.locator("#panel").inner_text().replace("-0.0%", "0.0%")


def test_search_and_filters_say_what_they_leave(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    page.keyboard.press("/")
    page.keyboard.type("a0.h2")
    assert drawing(page, "graph.nodes('.sought').map((node) => node.id())") == ["a0.h2"]
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("values").uncheck()
    assert all("<v>" not in name for name in drawing(page, "graph.edges().map((edge) => edge.data('of'))"))
    assert "The filter lets through 3 of 6 edges" in page.locator("#drawn").inner_text()
    page.get_by_label("values").check()
    page.get_by_label("|score| at least").evaluate(
        "(one) => { one.value = 50; one.dispatchEvent(new Event('input')); }"
    )
    scores = Circuit.load(run / "circuit.json").scores
    strong = {edge.name for edge, score in scores.items() if abs(score) >= 0.5 * max(map(abs, scores.values()))}
    assert set(drawing(page, "graph.edges().map((edge) => edge.data('of'))")) == strong


def test_nodes_are_grouped_named_and_ungrouped_from_the_keyboard(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    page.locator("#graph").focus()
    page.keyboard.press("ArrowUp")  # the first node, then the one above it
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    assert drawing(page, "graph.nodes('.focus').length") == 1
    page.keyboard.press("Space")
    page.keyboard.press("g")
    page.keyboard.type("first step")
    page.keyboard.press("Enter")
    assert drawing(page, "graph.nodes('.group').map((node) => node.data('label'))") == ["first step"]
    assert drawing(page, "graph.$id('group:first step').children('.box').length") == 2
    assert "first+step" in fragment_of(page)
    circuit = Circuit.from_json(json.loads(download(page, "circuit.json")))
    assert list(circuit.provenance["groups"]) == ["first step"]
    assert circuit == Circuit.load(run / "circuit.json")
    page.get_by_role("button", name="Ungroup", exact=True).last.click()
    assert not drawing(page, "graph.nodes('.group').length")


def test_a_layer_is_a_group_of_its_own(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    page.locator("#grouping").select_option("layer")
    assert set(drawing(page, "graph.nodes('.group').map((node) => node.data('label'))")) == {"layer 0", "layer 1"}


def test_the_address_says_the_view_and_gives_it_back(page: Page, run: Path, tmp_path: Path) -> None:
    opened(page, run / "report.html")
    page.locator("#slider").evaluate("(one) => { one.value = 1; one.dispatchEvent(new Event('input')); }")
    page.locator("#grouping").select_option("layer")
    page.get_by_role("button", name="Dark").click()
    page.locator("#search").fill("a1")
    fragment, kept = fragment_of(page), page.locator("#kept").inner_text()
    saved = json.loads(download(page, "Save the view"))
    assert f"#{saved['fragment']}" == fragment
    for name in ("circuit.json", "details.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / VIEW).write_text(json.dumps(saved))
    for file, said in ((run / "report.html", fragment), (run_folders.page_of(tmp_path), "")):
        page.goto("about:blank")
        opened(page, file, said)
        assert page.locator("#kept").inner_text() == kept
        assert page.locator("#grouping").input_value() == "layer"
        assert page.locator("html").get_attribute("data-theme") == "dark"
        assert page.locator("#search").input_value() == "a1"


def test_pictures_are_saved_as_they_are_shown(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    drawn = download(page, "SVG").decode()
    assert drawn.startswith("<svg")
    assert drawn.count("<path") == 6
    assert ">a1.h0<" in drawn
    assert download(page, "PNG").startswith(b"\x89PNG")


def test_light_and_dark_follow_the_system_until_the_button_is_pressed(page: Page, run: Path) -> None:
    page.emulate_media(color_scheme="dark")
    opened(page, run / "report.html")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(ground) != dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_names_and_prompts_are_shown_literally_whatever_they_look_like(page: Page, strange: Path) -> None:
    opened(page, strange)
    page.get_by_text("All of them").click()
    assert page.locator("#title").inner_text() == f"{run_folders.MARKUP} on smollm2-135m"
    shown = page.locator("body").inner_text()
    for text in (run_folders.MARKUP, run_folders.ENDS_SCRIPT, run_folders.RIGHT_TO_LEFT, run_folders.EMOJI):
        assert text in shown
    assert page.title() == f"{run_folders.MARKUP} on smollm2-135m"
    assert page.locator("img").count() == 0
    assert drawing(page, "graph.nodes('.group').map((node) => node.data('label'))") == [run_folders.MARKUP]
    page.locator("#grouping").select_option("role")
    assert drawing(page, "graph.nodes('.group').map((node) => node.data('label'))") == [run_folders.MARKUP]


def test_rare_edges_can_be_filtered_out_and_roles_chosen(page: Page, strange: Path) -> None:
    opened(page, strange)
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("found again at least").evaluate(
        "(one) => { one.value = 50; one.dispatchEvent(new Event('input')); }"
    )
    assert "a0.h0->a3.h1<q>" not in drawing(page, "graph.edges().map((edge) => edge.data('of'))")
    page.get_by_label(run_folders.MARKUP, exact=True).check()
    assert drawing(page, "graph.edges().map((edge) => edge.data('of'))") == ["input->a0.h0<v>"]


def test_roles_stand_in_the_graph_and_in_the_panel_with_their_evidence(page: Page, tmp_path: Path) -> None:
    circuit = Circuit.load(run_folders.strange(tmp_path) / "circuit.json")
    said = run_folders.explanation(circuit)
    run_folders.with_roles(tmp_path, said["roles"])
    (tmp_path / "explain.json").write_text(json.dumps(said))
    opened(page, run_folders.page_of(tmp_path), "#shown=a0.h0")
    assert drawing(page, "graph.$id('a0.h0').data('label')") == "a0.h0\nprevious token"
    assert drawing(page, "graph.$id('a3.h1').data('label')") == "a3.h1"
    panel = page.locator("#panel").inner_text()
    for words in ("previous token (percentile 99.6 of", "by chance", "0.91", "costs the model 42.0%"):
        assert words in panel
    page.goto(f"{page.url.split('#')[0]}#shown=a3.h1")
    assert "no role: the evidence shows none" in page.locator("#panel").inner_text()
    assert "percentile" not in page.locator("#panel").inner_text()
    page.locator("#grouping").select_option("role")
    assert drawing(page, "graph.nodes('.group').map((node) => node.data('label'))") == ["previous token"]
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("previous token", exact=True).check()
    edges = set(drawing(page, "graph.edges().map((edge) => edge.data('of'))"))
    assert edges == {edge.name for edge in circuit.edges if "a0.h0" in (edge.sender.name, edge.receiver.name)}
    checked = page.locator("#roles").inner_text()
    assert "a0.h0 + a3.h1" in checked
    assert "✓ yes" in checked


def test_a_circuit_saved_in_another_size_says_what_it_was_cut_from(page: Page, run: Path) -> None:
    opened(page, run / "report.html")
    found = Circuit.load(run / "circuit.json")
    page.locator("#slider").evaluate("(one) => { one.value = 1; one.dispatchEvent(new Event('input')); }")
    saved = Circuit.from_json(json.loads(download(page, "circuit.json")))
    sizes = json.loads((run / "details.json").read_text())["sizes"]
    origin = Findings.of(saved).origin
    assert len(saved) == sizes[1]["faithfulness"]["size"]["edges"] != len(found)
    assert saved.provenance["faithfulness"] == sizes[1]["faithfulness"]
    assert origin.algorithm
    assert origin.algorithm.cut_from == {"goal": found.provenance["algorithm"]["goal"], "edges": len(found)}
    assert origin.algorithm.goal == {"kind": "Edges", "count": len(saved)}


def test_a_page_works_in_a_notebook_s_frame(page: Page, run: Path, tmp_path: Path) -> None:
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f'<!DOCTYPE html><meta charset="utf-8">{frame(run)._repr_html_()}', "utf-8")
    page.goto(notebook.as_uri())
    inside = page.frame_locator("iframe")
    inside.locator("html[data-ready]").wait_for(state="attached")
    inside.locator("#slider").press("ArrowLeft")
    assert "the circuit that was found" not in inside.locator("#kept").inner_text()


def test_two_runs_stand_in_one_drawing_and_each_edge_says_whose_it_is(page: Page, run: Path, tmp_path: Path) -> None:
    circuit = Circuit.load(run / "circuit.json")
    (tmp_path / "smaller").mkdir()
    circuit.strongest(5).save(tmp_path / "smaller" / "circuit.json")
    both = [RunFolder.read(folder / "circuit.json") for folder in (run, tmp_path / "smaller")]
    save_comparison(both[0], both[1], None, "not measured here", tmp_path / "both.html")
    opened(page, tmp_path / "both.html")
    assert drawing(page, "graph.edges().length") == 6
    assert "not measured here" in page.locator("#curve").inner_text()
    page.get_by_label("only A (1)").check()
    weakest = circuit.strongest_first()[-1].name
    assert drawing(page, "graph.edges().map((edge) => edge.data('of'))") == [weakest]
    assert "side=first" in fragment_of(page)


@pytest.mark.parametrize(("width", "height", "zoom"), [(1280, 800, 1), (390, 844, 1), (1280, 800, 2)])
def test_the_page_is_accessible_and_nothing_runs_out_of_it(
    page: Page, strange: Path, run: Path, width: int, height: int, zoom: int
) -> None:
    axe = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
    page.set_viewport_size({"width": width // zoom, "height": height // zoom})
    for file, theme in ((run / "report.html", "light"), (strange, "dark")):
        page.goto("about:blank")
        opened(page, file, f"#theme={theme}&shown=a0.h0")
        page.evaluate(axe.read_text("utf-8"))
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")[
            "violations"
        ]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
