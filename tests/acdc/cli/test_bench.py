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
        (("--prompts", "1"), "1 prompts are too few"),
    ],
)
def test_what_cannot_be_is_refused(options: tuple[str, ...], words: str) -> None:
    assert refused("bench", *options).startswith(words)


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    Path("taken").write_text("a file")
    assert refused(*SMALL, "--out", "taken").startswith("the output directory taken")
