"""`acdc bench` from options to table, JSON and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acdc.ground_truth import known_models
from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.known_subjects import only_periodic

SMALL = ("bench", "--quick", "--methods", "eap,exact", "--models", "stand-in", "--prompts", "4")
FRONTIER = ("bench", "--frontier", "--models", "periodic-2l", "--tasks", "periodic", "--metrics", "kl")
GOLDEN = Path(__file__).parent / "golden_bench.json"


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "subjects", only_periodic)


def layout(data: Any) -> Any:
    """What keys there are and what kind their values are; of a list, its first item's."""
    match data:
        case dict():
            return {key: layout(value) for key, value in data.items()}
        case list():
            return [layout(item) for item in data[:1]]
        case _:
            return type(data).__name__


def test_a_table_pictures_and_json_come_of_it_and_a_second_time_at_once() -> None:
    ran = acdc(*SMALL, "--out", "found")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("resample ablation, 1 seed\n")
    assert ran.out.endswith("Written to found: bench.json, bench-resample.png\n")
    assert ran.err.splitlines() == [
        "1 of 2: stand-in, seed 0, resample, eap",
        "2 of 2: stand-in, seed 0, resample, exact",
    ]
    assert {path.name for path in Path("found").iterdir()} == {"cells", "bench.json", "bench-resample.png"}
    again = acdc(*SMALL, "--out", "found", "--json")
    assert again.err.splitlines()[1] == "2 of 2: stand-in, seed 0, resample, exact (kept)"
    assert again.json == json.loads(Path("found/bench.json").read_text())


def test_the_json_has_the_layout_of_the_golden_file() -> None:
    ran = acdc(*SMALL, "--json")
    assert ran.code == 0, ran.err
    data = ran.json
    data["versions"] = dict.fromkeys(data["versions"], "of what is installed")
    assert layout(data) == json.loads(GOLDEN.read_text())
    assert Path("runs/bench/bench.json").is_file()


def test_every_choice_is_taken() -> None:
    ran = acdc(*SMALL[:4], "--models", "other", "--prompts", "4", "--seeds", "2", "--ablations", "zero, mean", "--json")
    assert ran.code == 0, ran.err
    settings = [cell["settings"] for cell in ran.json["cells"]]
    assert {(s["model"], s["seed"], s["ablation"]) for s in settings} == {
        ("other", seed, ablation) for seed in (0, 1) for ablation in ("zero", "mean")
    }
    assert {s["prompts"] for s in settings} == {4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--methods", "eap,egp"), "unknown method 'egp'"),
        (("--methods", ","), "a table needs methods: got none"),
        (("--models", "stand-on"), "no model with a known circuit is called 'stand-on'; did you mean stand-in?"),
        (("--ablations", "zero,none"), "unknown ablation 'none'; wanted some of resample, mean, mean-positional, zero"),
        (("--seeds", "0"), "0 seeds are too few"),
        (("--prompts", "1"), "1 prompt is too few"),
        (("--tasks", "ioi"), "--tasks has no meaning without --frontier: got --tasks, wanted none of --tasks, --met"),
        (("--minutes", "1"), "--minutes has no meaning without --frontier"),
        (("--frontier", "--seeds", "2", "--quick"), "--seeds has no meaning with --frontier: got --seeds, --quick"),
        (("--ablations", "optimal"), "which edges are true under optimal ablation nobody knows before its constants"),
        ((*FRONTIER[1:4], "--ablations", "none"), "unknown ablation 'none'"),
        (("--frontier", "--models", "periodic-3l"), "no model called 'periodic-3l'"),
        ((*FRONTIER[1:4], "--metrics", "kk"), "unknown metric: got 'kk'"),
        ((*FRONTIER[1:4], "--tasks", "periodical"), "no task is called 'periodical'"),
        ((*FRONTIER[1:4], "--minutes", "0"), "the minutes to search are 0.0"),
        ((*FRONTIER[1:4], "--methods", ","), "a frontier needs methods: got none"),
    ],
)
def test_what_cannot_be_is_refused(options: tuple[str, ...], words: str) -> None:
    assert refused("bench", *options).startswith(words)


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    Path("taken").write_text("a file")
    assert refused(*SMALL, "--out", "taken").startswith("the output directory taken")


def test_a_frontier_is_measured_shown_drawn_and_kept() -> None:
    asked = (*FRONTIER, "--methods", "eap-ig", "--prompts", "4", "--minutes", "0.1", "--out", "found")
    ran = acdc(*asked)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("periodic-2l, periodic, kl\n110 edges; 4 prompts to judge by")
    assert ran.out.endswith("Written to found: frontier.json, frontier-periodic-2l-periodic-kl.png\n")
    assert ran.err.splitlines()[-1] == "1 of 1: periodic-2l, periodic, kl, eap-ig"
    assert {path.name for path in Path("found").iterdir()} == {
        "cells",
        "frontier.json",
        "frontier-periodic-2l-periodic-kl.png",
    }
    again = acdc(*asked, "--json")
    assert again.err.splitlines()[-1] == "1 of 1: periodic-2l, periodic, kl, eap-ig (kept)"
    assert again.json == json.loads(Path("found/frontier.json").read_text())
    [cell] = again.json["cells"]
    assert [point["asked"] for point in cell["points"]] == [10, 30, 100]
    assert all(0 < point["edges"] <= point["asked"] for point in cell["points"])
    assert cell["seconds"] > 0
    assert 50 < cell["peak_mb"] < 4000
    assert refused(*asked[:-4], "--minutes", "0.2", *asked[-2:]).startswith("found holds the table of other cells")


def test_a_frontier_whose_processes_fail_says_so_and_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.bench.frontier_process._START", "raise SystemExit('no room')")
    ran = acdc(*FRONTIER, "--methods", "eap,eap-ig")
    assert ran.code == 3
    said = " ".join(ran.out.split())
    assert "Note: no result of eap: the process that measured it ended with exit code 1: no room" in said
    assert "warning: 2 of 2 were not measured" in ran.err
    assert list(Path("runs/frontier/cells").iterdir()) == []
