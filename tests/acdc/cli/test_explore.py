"""`acdc explore` shows every part with its control, writes pictures, and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acdc.cli.command_line import acdc, refused


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_elsewhere")
def test_a_shipped_model_is_explored_and_nothing_is_overwritten() -> None:
    ran = acdc("explore", "periodic", "--prompts", "4", "--quiet")
    assert ran.code == 0, ran.err
    there = Path("runs/explore-periodic-periodic-2l")
    found = json.loads((there / "explore.json").read_text())
    assert (found["metric"], found["prompts"], found["right"]) == ("logit_difference", 4, 1.0)
    assert found["direct_logits"]["logit_difference"] == pytest.approx(found["clean"], abs=1e-4)
    assert {file.suffix for file in there.iterdir()} == {".json", ".png", ".svg"}
    assert "Patching: head output, the strongest" in ran.out
    assert "holds another result (explore.json)" in refused("explore", "periodic", "--prompts", "4", "--out", there)


@pytest.mark.usefixtures("_elsewhere")
def test_what_cannot_be_explored_is_said_in_one_message() -> None:
    assert "at least 2" in refused("explore", "periodic", "--prompts", "1")
    assert "no model called" in refused("explore", "periodic", "--model", "nothing-of-the-kind")
