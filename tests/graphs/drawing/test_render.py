"""A circuit as a picture."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.drawing import graphviz_process as drawing
from acdc.graphs.drawing.graphviz_process import Engine
from acdc.graphs.drawing.render import difference_dot, dot, render, render_difference
from acdc.graphs.errors import DifferentGraphs, RenderError
from acdc.graphs.nodes import Edge

GRAPH = ComputationalGraph(n_layers=2, n_heads=4, d_model=8)
GOLDEN = Path(__file__).with_name("golden_circuit.dot")
SCORES = {
    "input->a0.h1<v>": 0.4,
    "input->a1.h2<q>": 0.1,
    "a0.h1->a1.h2<k>": 0.9,
    "input->a1.h2<v>": -0.2,
    "a0.h1->m1": -0.025,
    "a1.h2->logits": 0.8,
    "m1->logits": 0.05,
}
HOSTILE = '<b>"A & B"</b> \\N \\l 100% {x|y} ]]> \x00\ud800 ünï'


def scored(scores: Mapping[str, float], graph: ComputationalGraph = GRAPH) -> Circuit:
    values = {Edge.parse(name): score for name, score in scores.items()}
    return Circuit(graph, frozenset(values), values)


CIRCUIT = scored(SCORES)


def line(text: str, sender: str, receiver: str) -> dict[str, str]:
    """The attributes of one edge in DOT text."""
    quoted = [f'"{name}"' if "." in name else name for name in (sender, *receiver.split(":", 1))]
    head = quoted[1] + (f":{quoted[2]}" if len(quoted) == 3 else "")
    (attributes,) = re.findall(rf"^\t{re.escape(f'{quoted[0]} -> {head}')} \[(.*)\]$", text, re.MULTILINE)
    return {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', attributes)}


def brightness(colour: str) -> int:
    return sum(bytes.fromhex(colour[1:]))


def test_the_text_is_the_golden_text() -> None:
    assert dot(CIRCUIT, title="Induction") == GOLDEN.read_text(encoding="utf-8")


def test_stronger_edges_are_wider_and_darker() -> None:
    text = dot(CIRCUIT)
    weak, strong = line(text, "input", "a1.h2:q:s"), line(text, "a0.h1", "a1.h2:k:s")
    assert float(weak["penwidth"]) < float(strong["penwidth"])
    assert brightness(weak["color"]) > brightness(strong["color"])


def test_the_sign_shows_in_colour_and_also_without_it() -> None:
    text = dot(scored({"input->m0": 0.5, "m0->logits": -0.5}))
    positive, negative = line(text, "input", "m0"), line(text, "m0", "logits")
    assert positive["penwidth"] == negative["penwidth"]
    assert positive["color"] != negative["color"]
    assert (positive.get("style"), negative.get("style")) == (None, "dashed")


def test_the_edges_of_one_sender_end_in_the_inputs_that_they_feed() -> None:
    circuit = Circuit.from_names(GRAPH, [f"a0.h1->a1.h2<{slot}>" for slot in "qkv"])
    ends = re.findall(r'"a0.h1" -> "a1.h2":(\w):s', dot(circuit))
    assert ends == ["q", "k", "v"]
    assert re.findall(r'port="(\w)"', dot(circuit)) == ["q", "k", "v"]


def test_a_head_shows_only_the_inputs_that_are_fed() -> None:
    assert re.findall(r'port="(\w)"', dot(Circuit.from_names(GRAPH, ["input->a0.h0<k>"]))) == ["k"]


def test_only_nodes_of_the_circuit_are_drawn() -> None:
    drawn_nodes = {
        a or b for a, b in re.findall(r'^\t(?:"(a\S+)"|(input|logits|m\d+)) \[label', dot(CIRCUIT), re.MULTILINE)
    }
    assert drawn_nodes == {node.name for node in CIRCUIT.nodes()}


def test_the_legend_explains_what_is_there_and_nothing_else() -> None:
    positive, negative, unscored, slots = "positive score", "negative score", "no score", "query"
    both = dot(CIRCUIT)
    assert [word in both for word in (positive, negative, unscored, slots)] == [True, True, False, True]
    plain = dot(Circuit.from_names(GRAPH, ["input->m0", "m0->logits"]))
    assert [word in plain for word in (positive, negative, unscored, slots)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("effect", [">removing it hurts the behaviour<", ">removing it helps the behaviour<"]),
        ("estimate", [">estimate: removing it hurts the behaviour<", ">estimate: removing it helps the behaviour<"]),
        ("other", [">positive score<", ">negative score<"]),
    ],
)
def test_the_legend_says_whether_scores_are_measured(kind: str, words: list[str]) -> None:
    text = dot(replace(CIRCUIT, provenance={"algorithm": {"score_kind": kind}}))
    assert re.findall(r">[a-z: ]*(?:behaviour|score)<", text) == words


def test_the_legend_gives_the_scale_of_the_scores() -> None:
    assert re.findall(r">([+−][\d.]+)<", dot(CIRCUIT)) == ["+0.056", "+0.23", "+0.9", "−0.056", "−0.23", "−0.9"]


def test_the_heading_counts_edges_heads_and_mlps() -> None:
    assert f"7 of {GRAPH.n_edges} edges · 2 heads · 1 MLP<" in dot(CIRCUIT)
    bare = ComputationalGraph(n_layers=2, n_heads=4, d_model=8, has_mlp=False)
    assert "1 of 81 edges · 1 head<" in dot(Circuit.from_names(bare, ["a0.h0->logits"]))


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), float("nan"), 0.0, 1e-300, -1e300])
def test_any_score_can_be_drawn(score: float) -> None:
    text = dot(scored({"input->m0": score, "m0->logits": 1.0}))
    assert 0 < float(line(text, "input", "m0")["penwidth"]) <= 4.5
    assert re.fullmatch("#[0-9A-F]{6}", line(text, "input", "m0")["color"])


def test_without_positive_or_negative_scores_widths_are_still_finite() -> None:
    assert float(line(dot(scored({"input->m0": 0.0})), "input", "m0")["penwidth"]) > 0


def test_dense_pictures_have_finer_straight_edges() -> None:
    full = Circuit.full(ComputationalGraph(n_layers=3, n_heads=8, d_model=8))
    assert len(full) > 500
    dense, sparse = dot(full), dot(CIRCUIT)
    assert ("splines=line" in dense, "splines=line" in sparse) == (True, False)
    assert float(line(dense, "m2", "logits")["penwidth"]) < 1


def test_a_long_title_is_broken_into_lines() -> None:
    text = dot(CIRCUIT, title="a long title " * 20)
    assert max(len(part) for part in re.findall(r"<b>(.*?)</b>", text)[0].split("<br/>")) <= 56


def test_svg_is_xml_with_every_node_and_the_title(tmp_path: Path) -> None:
    render(CIRCUIT, tmp_path / "circuit.svg", title=HOSTILE)
    root = ElementTree.fromstring((tmp_path / "circuit.svg").read_bytes())
    texts = {(element.text or "").replace("\xa0", " ") for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {node.name for node in CIRCUIT.nodes()} <= texts
    (shown,) = (text for text in texts if "A & B" in text)
    assert " ".join(shown.split()) == '<b>"A & B"</b> \\N \\l 100% {x|y} ]]> ünï'


def test_svg_tells_each_edge_and_its_score_under_the_pointer(tmp_path: Path) -> None:
    render(CIRCUIT, tmp_path / "circuit.svg")
    root = ElementTree.fromstring((tmp_path / "circuit.svg").read_bytes())
    tips = {element.get("{http://www.w3.org/1999/xlink}title") for element in root.iter()}
    assert {f"{name} (score {score:+.4g})" for name, score in SCORES.items()} <= tips


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG\r\n\x1a\n"), (".pdf", b"%PDF-"), (".PNG", b"\x89PNG")]
)
def test_png_and_pdf_are_what_they_say(suffix: str, magic: bytes, tmp_path: Path) -> None:
    render(CIRCUIT, tmp_path / f"circuit{suffix}")
    assert (tmp_path / f"circuit{suffix}").read_bytes().startswith(magic)


def test_dot_files_hold_the_text(tmp_path: Path) -> None:
    render(CIRCUIT, tmp_path / "circuit.dot", title="Induction")
    assert (tmp_path / "circuit.dot").read_text(encoding="utf-8") == dot(CIRCUIT, title="Induction")


def test_the_empty_circuit_is_drawn_as_its_heading(tmp_path: Path) -> None:
    render(Circuit.empty(GRAPH), tmp_path / "empty.svg")
    assert "0 of 110 edges" in (tmp_path / "empty.svg").read_text(encoding="utf-8").replace("&#160;", " ")


@pytest.mark.parametrize("name", ["circuit.jpeg", "circuit", "circuit.svg.gz"])
def test_an_unknown_suffix_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"wanted one of \.dot, \.svg, \.png, \.pdf; rename the file"):
        render(CIRCUIT, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_engine_leaves_the_old_picture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "engines", lambda form: [Engine("absent", (str(tmp_path / "absent"),))])
    (tmp_path / "circuit.svg").write_text("the old picture", encoding="utf-8")
    with pytest.raises(RenderError, match="could not be drawn as svg: absent did not start"):
        render(CIRCUIT, tmp_path / "circuit.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["circuit.svg"]
    assert (tmp_path / "circuit.svg").read_text(encoding="utf-8") == "the old picture"


def test_a_directory_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"cannot be written to .*: No such file or directory; name a file in"):
        render(CIRCUIT, tmp_path / "absent" / "circuit.dot")


def test_a_directory_in_the_picture_s_place_is_one_clear_error_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "circuit.dot").mkdir()
    with pytest.raises(RenderError, match="Is a directory"):
        render(CIRCUIT, tmp_path / "circuit.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["circuit.dot"]


def test_a_number_says_how_often_an_edge_was_found_unless_always() -> None:
    often = {Edge.parse("a0.h1->m1"): 0.25, Edge.parse("m1->logits"): 1.0}
    text = dot(replace(CIRCUIT, frequencies=often))
    assert re.findall(r"<b>(\d+%)</b>", text) == ["25%"]
    assert "how often it was found again" in text
    assert 'tooltip="a0.h1->m1 (score -0.025, found again 25%)"' in text
    assert 'tooltip="m1->logits (score +0.05, found again 100%)"' in text
    always = replace(CIRCUIT, frequencies={Edge.parse("m1->logits"): 1.0})
    assert "how often it was found again" not in dot(always)


def test_dense_pictures_have_no_numbers() -> None:
    full = Circuit.full(GRAPH)
    assert len(full) > 100
    text = dot(replace(full, frequencies=dict.fromkeys(full.edges, 0.5)))
    assert "<b>50%</b>" not in text
    assert "how often" not in text


def test_an_edge_found_less_than_half_of_the_time_is_dotted_whatever_its_sign() -> None:
    names = ("a0.h1->m1", "m1->logits", "a1.h2->logits")
    for circuit in (CIRCUIT, scored(dict.fromkeys(names, 1.0) | {edge.name: 1.0 for edge in GRAPH.edges()})):
        often = dict(zip(map(Edge.parse, names), (0.49, 0.0, 0.5), strict=True))
        text = dot(replace(circuit, frequencies=often))
        assert [line(text, *name.split("->")).get("style") for name in names] == ["dotted", "dotted", None]
        assert "found again less than 50% of the time" in text
    assert "less than 50%" not in dot(CIRCUIT)


ONLY_A, ONLY_B, BOTH = "input->m0", "m0->m1", "m1->logits"
A, B = Circuit.from_names(GRAPH, [ONLY_A, BOTH]), Circuit.from_names(GRAPH, [ONLY_B, BOTH])


def test_what_two_circuits_share_and_do_not_share_shows_with_and_without_colour() -> None:
    text = difference_dot(A, B, ("old", "new"))
    first, second, both = (line(text, *name.split("->")) for name in (ONLY_A, ONLY_B, BOTH))
    assert len({one["color"] for one in (first, second, both)}) == 3
    assert [one.get("style") for one in (first, second, both)] == ["dashed", None, None]
    assert float(second["penwidth"]) > 2 * float(both["penwidth"])
    for words in ("1 edge only in old", "1 edge only in new", "1 edge in both"):
        assert words in text
    assert f'tooltip="{ONLY_A} (only in old)"' in text


def test_two_circuits_are_drawn_whole_or_not_at_all(tmp_path: Path) -> None:
    render_difference(A, B, tmp_path / "both.svg", names=("<old>", "new"), title=HOSTILE)
    assert b"only in &lt;old&gt;" in (tmp_path / "both.svg").read_bytes().replace(b"&#160;", b" ")
    with pytest.raises(DifferentGraphs):
        render_difference(A, scored({}, ComputationalGraph(1, 1, 4)), tmp_path / "none.svg", names=("a", "b"))
    assert not (tmp_path / "none.svg").exists()
