"""`--dry-run` tells what a discovery costs without loading anything, and with `--sampled` from a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.cost import forecast
from tests.acdc.cli.command_line import acdc
from tests.checkpoints import Checkpoints

FEW = ("--prompts", "4", "--threshold", "2")


def test_it_says_what_it_costs_and_writes_nothing(tmp_path: Path) -> None:
    ran = acdc("discover", "periodic", "--dry-run", *FEW)
    assert ran.code == 0
    assert "110 edges between 12 nodes" in ran.out
    assert "loading" not in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sampled", [False, True])
def test_both_kinds_have_a_json_form(sampled: bool, tmp_path: Path) -> None:
    data = acdc("discover", "periodic", "--dry-run", *FEW, "--json", *["--sampled"] * sampled).json
    assert data["from"] == ("sample" if sampled else "configuration")
    assert (data["edges"], data["receivers"]) == (110, 27)
    assert 0 < data["seconds"] <= data["slowest"]
    assert min(data["passes"], data["bytes"]) > 0
    assert list(tmp_path.iterdir()) == []


def test_what_was_chosen_is_said_once() -> None:
    plain, json = (acdc("discover", "periodic", "--dry-run", *FEW, *more) for more in ((), ("--json",)))
    assert "acdc, for edges worth 2 units" in plain.out
    assert json.json["method"] == "acdc"


def test_a_model_that_its_files_do_not_tell_is_loaded(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_BUDGET", 0.0)
    monkeypatch.setattr("acdc.cost.prediction.shape_of", lambda _: None)
    ran = acdc("discover", "periodic", "--dry-run", *FEW)
    assert "the files of periodic-2l do not tell what it costs to run, so it is loaded" in " ".join(ran.err.split())
    assert "removals tried in a run" in ran.out


def test_a_planted_model_takes_no_time_and_nothing_is_said_of_it() -> None:
    ran = acdc("discover", "planted_sum", "--dry-run", *FEW)
    assert ran.code == 0
    assert "do not tell" not in ran.err
    assert "309 edges into 41 receivers" in ran.out
