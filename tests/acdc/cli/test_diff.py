"""`acdc diff` tells what is different, as text, as JSON and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from tests.acdc.cli.command_line import acdc, refused


@pytest.fixture
def other(found: Path) -> str:
    """The circuit without its weakest edge and with one that it has not."""
    circuit = Circuit.load(found / "circuit.json")
    weakest = min(circuit.edges, key=lambda edge: abs(circuit.scores[edge]))
    strange = next(edge for edge in circuit.graph.edges() if edge not in circuit)
    edges = (circuit.edges - {weakest}) | {strange}
    scores = {edge: score for edge, score in circuit.scores.items() if edge != weakest}
    Circuit(circuit.graph, edges, scores, circuit.provenance).save("other.json")
    return "other.json"


def test_text_json_and_picture_say_the_same(found: Path, other: str) -> None:
    ran = acdc("diff", found, other, "--render", "both.dot")
    assert ran.code == 0, ran.err
    data = acdc("diff", found, other, "--json").json
    (lost,), (gained,) = data["edges"]["lost"], data["edges"]["gained"]
    assert "1 lost (only in A), 1 gained (only in B)" in " ".join(ran.out.split())
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[lines.index("1 edge lost: only in a".capitalize()) + 2].startswith(lost["edge"])
    assert lines[lines.index("1 edge gained: only in b".capitalize()) + 2].startswith(gained["edge"])
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    (measured,) = data["faithfulness"]
    assert f"{measured['a']['normalised']['value']:.1%}" in ran.out
    picture = Path("both.dot").read_text()
    assert f"1 edge only in A: {found}" in picture
    assert f"1 edge only in B: {other}" in picture
    assert f"{lost['edge']} (only in A".replace(">", "&gt;") in picture or f"{lost['edge']} (only in A" in picture


def test_top_limits_every_list(found: Path, other: str) -> None:
    kept = acdc("diff", found, other, "--json").json["edges"]["kept"]
    ran = acdc("diff", found, other, "--top", "1")
    assert f"First 1 of {len(kept)} edges in both" in ran.out
    assert kept[1]["edge"] not in ran.out


def test_circuits_that_do_not_belong_together_are_refused(found: Path) -> None:
    Circuit.full(ComputationalGraph(3, 4, 64)).save("larger.json")
    assert "are circuits of different models" in refused("diff", found, "larger.json")
    data = json.loads((found / "circuit.json").read_text())
    data["model"]["weights"] = "sha256:0"
    Path("tuned.json").write_text(json.dumps(data))
    assert "say on which one both are to be measured (--model)" in refused("diff", found, "tuned.json")
    assert acdc("diff", found, "tuned.json", "--model", "periodic-2l").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--render", "both.gif"), "got the ending '.gif'"),
        (("--render", "nowhere/both.svg"), "there is no directory"),
        (("--top", "-1"), "--top is -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(found: Path, options: tuple[str, str], message: str) -> None:
    assert message in acdc("diff", found, found, *options).err
    assert acdc("diff", found, found, *options).code == 2


def test_a_picture_with_no_place_is_refused_before_anything_is_measured(
    found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acdc.judges.comparison.compare", lambda *_, **__: pytest.fail("measured for nothing"))
    assert "there is no directory" in refused("diff", found, found, "--render", "nowhere/both.svg")


def test_a_missing_circuit_is_refused(found: Path) -> None:
    assert "no circuit can be read from nowhere" in refused("diff", found, "nowhere")
