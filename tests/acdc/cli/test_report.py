"""`acdc report` makes a page of what a run's folder holds, measures what that lacks, and writes over nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused


def shown(page: Path) -> Any:
    """The data that a page holds."""
    [held] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return json.loads(held)


@pytest.fixture
def smaller(found: Path) -> Path:
    """The run `smaller`: all edges but the weakest of `found`."""
    circuit = Circuit.load(found / "circuit.json")
    Path("smaller").mkdir()
    circuit.strongest(len(circuit) - 1).save("smaller/circuit.json")
    return Path("smaller")


def test_what_was_never_measured_is_measured_and_the_page_made_again_is_the_same(found: Path) -> None:
    before = {name: (found / name).read_bytes() for name in ("details.json", "report.html")}
    for name in before:
        (found / name).unlink()
    ran = acdc("report", found)
    assert (ran.code, ran.out) == (0, "Written: found/report.html\n"), ran.err
    assert "measuring circuits of other sizes" in ran.err
    assert (found / "details.json").read_bytes() == before["details.json"]
    assert (found / "report.html").read_bytes() == before["report.html"]
    ran = acdc("report", found / "circuit.json", "--json")
    assert (ran.json, ran.err) == ({"page": "found/report.html"}, "")


def test_a_folder_with_a_circuit_alone_has_a_page_that_names_the_commands_for_all_it_lacks(smaller: Path) -> None:
    ran = acdc("report", smaller, "--no-measure", "-o", "page.html")
    assert (ran.code, ran.out, ran.err) == (0, "Written: page.html\n", "")
    data = shown(Path("page.html"))
    assert {one["command"] for one in data["lacking"]} == {
        "acdc report smaller",
        "acdc attack smaller",
        "acdc evaluate smaller --full",
        "acdc test smaller",
        "acdc stability smaller",
        "acdc explain smaller",
    }
    assert len(data["graph"]["sizes"]) == 1
    assert not (smaller / "details.json").exists()


def test_a_model_that_is_not_there_leaves_a_page_of_the_rest(smaller: Path) -> None:
    data = json.loads((smaller / "circuit.json").read_text())
    (smaller / "circuit.json").write_text(json.dumps({**data, "model": {"name": "./gone"}}))
    ran = acdc("report", smaller)
    assert ran.code == 0
    assert "warning: the page shows only what is in the run's folder: " in ran.err
    assert len(shown(smaller / "report.html")["graph"]["sizes"]) == 1


@pytest.mark.parametrize("name", ["details.json", "attack.json", "evaluation.json", "claims.json", "explain.json"])
def test_a_damaged_file_is_one_message_and_the_page_stays(found: Path, name: str) -> None:
    (found / name).write_text("{")
    assert re.fullmatch(
        rf"found/{name} is damaged, so that no page can be made: .*; move it away and make it again: acdc .*",
        refused("report", found),
    )


def test_two_runs_are_compared_and_no_page_is_written_over_by_another(found: Path, smaller: Path) -> None:
    ran = acdc("report", found, smaller)
    assert (ran.code, ran.out) == (0, "Written: comparison.html\n"), ran.err
    data = shown(Path("comparison.html"))["compared"]
    [measured] = data["measured"]
    assert measured["a"]["normalised"]["value"] != measured["b"]["normalised"]["value"]
    assert 0 < data["jaccard"] < 1
    first = Path("comparison.html").read_bytes()
    assert acdc("report", smaller, found, "--no-measure").out == "Written: comparison-2.html\n"
    assert acdc("report", found, smaller).out == "Written: comparison.html\n"  # the same again
    assert Path("comparison.html").read_bytes() == first
    for words in ((found, "-o", "comparison.html"), (found, smaller, "-o", found / "report.html")):
        message = refused("report", *words)
        assert f"{words[-1]} exists and is not the page of th" in message
    (found / "report.html").write_text("<p>notes of mine</p>")
    assert "found/report.html exists and is not the page of this run" in refused("report", found)


def test_runs_of_different_models_are_not_compared(found: Path) -> None:
    data = json.loads((found / "circuit.json").read_text())
    Path("other").mkdir()
    Path("other/circuit.json").write_text(json.dumps({**data, "graph": {**data["graph"], "n_layers": 3}}))
    assert "two circuits of different models cannot be compared" in refused("report", found, "other", "--no-measure")
