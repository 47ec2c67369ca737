"""SmolLM2-135M from its name to a circuit that is judged, cut, attacked, claimed of and found again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from acdc.cli.exits import Exit
from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import Ran, acdc

NAME = "smollm2-135m"
PROMPTS = ("--prompts", "6")
EDGES = 123_211


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that all tests of this file work in, with a scored, a pruned and a learned circuit."""
    directory, before = tmp_path_factory.mktemp("real"), Path.cwd()
    os.chdir(directory)
    sized, of_ioi = ("--edges", "300"), ("discover", "ioi", "--model", NAME, "--metric", "kl", *PROMPTS)
    for method, goal in (("eap-ig", sized), ("shortlist", ("--threshold", "0.3")), ("masks", sized)):
        page = () if method == "eap-ig" else ("--no-report",)  # which takes about as long as finding it
        done(acdc(*of_ioi, "--method", method, *goal, "-o", method, *page))
    assert "report.html" in {file.name for file in Path("eap-ig").iterdir()}
    yield directory
    os.chdir(before)


def done(ran: Ran) -> Ran:
    assert ran.code in (Exit.DONE, Exit.FAILED_CHECK), ran.err
    return ran


def test_the_model_is_the_one_of_the_registry(runs: Path) -> None:
    origin = Circuit.load(runs / "eap-ig" / "circuit.json").provenance
    assert origin["model"]["name"] == NAME
    assert "Q4_1" in origin["model"]["quantisation"]
    assert Circuit.load(runs / "eap-ig" / "circuit.json").graph.n_edges == EDGES


@pytest.mark.parametrize("method", ["eap-ig", "shortlist", "masks"])
def test_a_circuit_is_judged_again_as_it_was(runs: Path, method: str) -> None:
    recorded = json.loads((runs / method / "circuit.json").read_text())["faithfulness"]["normalised"]
    judged = done(acdc("evaluate", runs / method, "--json")).json
    assert judged["faithfulness"]["normalised"] == recorded
    assert 0 < recorded["value"] < 1.2


def test_learned_masks_keep_more_than_attribution_at_the_same_size(runs: Path) -> None:
    learned, scored = (json.loads((runs / name / "circuit.json").read_text()) for name in ("masks", "eap-ig"))
    assert 150 <= len(learned["edges"]) <= 300
    kept = [max(point["faithfulness"] for point in found["curve"]) for found in (learned, scored)]
    assert kept[0] > kept[1] + 0.1


def test_another_size_is_cut_from_it(runs: Path) -> None:
    done(acdc("cut", runs / "eap-ig", "--edges", "100", "--out", runs / "cut", "--quiet"))
    small, large = (Circuit.load(runs / name / "circuit.json") for name in ("cut", "eap-ig"))
    assert 0 < len(small) <= 100 < len(large)
    assert small.edges <= large.edges


def test_it_is_attacked(runs: Path) -> None:
    ran = done(acdc("attack", runs / "shortlist", "--only", "search,necessity", "--budget", "12", "--json"))
    assert ran.json["worst"]


def test_it_is_claimed_of_and_found_again(runs: Path) -> None:
    claims = {
        "task": "ioi",
        "model": NAME,
        "circuit": str(runs / "shortlist" / "circuit.json"),
        "setup": {"prompts": 6, "metric": "kl"},
        "claims": {"faithfulness": {"at_least": 0.01}, "size": {"at_most": 1000}},
    }
    (runs / "test_ioi.acdc.yaml").write_text(json.dumps(claims))
    assert done(acdc("test", runs / "test_ioi.acdc.yaml")).code == Exit.DONE
    done(acdc("stability", runs / "eap-ig", "--resamples", "1", "--seeds", "1"))
    assert Circuit.load(runs / "eap-ig" / "circuit.json").frequencies


def test_what_a_run_costs_is_told_before_it(runs: Path) -> None:
    asked = ("discover", "ioi", "--model", NAME, "--method", "eap-ig", "--dry-run", "--json", *PROMPTS)
    told, sampled = (done(acdc(*asked, *more)).json for more in ((), ("--sampled",)))
    assert told["edges"] == sampled["edges"] == EDGES
    assert 0.5 < told["bytes"] / sampled["bytes"] < 2
