"""The frontier goes through every cell, keeps each, and measures none twice; what went wrong it tries again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import acdc.bench.frontier as module
from acdc.bench.frontier import SIZES, Frontier, summary
from acdc.errors import AcdcError, BadSetting, UnknownModel
from tests.acdc.algorithms.walks import finished

Settings = Mapping[str, Any]


def small(**changes: Any) -> Frontier:
    """Four cells."""
    given: dict[str, Any] = {"models": ("periodic-2l",), "tasks": ("periodic",), "metrics": ("kl", "own")}
    return Frontier(**{**given, "methods": ("masks", "eap-ig"), "prompts": 4, **changes})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of the cells that were measured, in the place of measuring them."""
    asked: list[Settings] = []

    def note(settings: Settings) -> dict[str, Any]:
        asked.append(settings)
        return {"settings": dict(settings), "refused": f"the {len(asked)}th"}

    monkeypatch.setattr(module, "in_own_process", note)
    return asked


def test_a_finished_cell_is_not_measured_again(tmp_path: Path, measured: list[Settings]) -> None:
    before, steps = finished(small().run(tmp_path))
    assert [(step.number, step.total, step.kept) for step in steps] == [(n, 4, False) for n in (1, 2, 3, 4)]
    again, steps = finished(small().run(tmp_path))
    assert [step.kept for step in steps] == [True] * 4
    assert again == before
    assert len(measured) == 4


@pytest.mark.parametrize("change", [{"prompts": 5}, {"minutes": 9.0}])
def test_changed_settings_are_measured_again(tmp_path: Path, measured: list[Settings], change: dict[str, Any]) -> None:
    finished(small().run(tmp_path))
    results, steps = finished(small(**change).run(tmp_path))
    assert not any(step.kept for step in steps)
    [(what, value)] = change.items()
    assert {result["settings"][what] for result in results} == {value}
    assert len(measured) == 8


def test_a_damaged_file_is_measured_again(tmp_path: Path, measured: list[Settings]) -> None:
    finished(small().run(tmp_path))
    file = tmp_path / "periodic-2l-periodic-kl-eap-ig.json"
    file.write_text(file.read_text("utf-8")[:50], "utf-8")
    _, steps = finished(small().run(tmp_path))
    assert [step.kept for step in steps] == [True, False, True, True]
    assert json.loads(file.read_text("utf-8"))["refused"] == "the 5th"


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, measured: list[Settings]) -> None:
    walk = small().run(tmp_path)
    next(walk)
    next(walk)
    with pytest.raises(KeyboardInterrupt):
        walk.throw(KeyboardInterrupt())
    _, steps = finished(small().run(tmp_path))
    assert [step.kept for step in steps] == [True, False, False, False]
    assert len(measured) == 4


def test_what_ended_without_a_result_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "in_own_process", lambda settings: {"settings": dict(settings), "failed": "killed"})
    results, _ = finished(small().run(tmp_path))
    assert [result["failed"] for result in results] == ["killed"] * 4
    assert not any(tmp_path.iterdir())


def test_all_that_a_result_depends_on_is_in_its_settings(measured: list[Settings]) -> None:
    cells = list(small().cells())
    assert [(cell.metric, cell.method) for cell in cells] == [
        ("kl", "masks"),
        ("kl", "eap-ig"),
        ("logit_difference", "masks"),
        ("logit_difference", "eap-ig"),
    ]
    told = small().settings(cells[0])
    assert told["method"]["name"] == "masks"
    assert (told["prompts"], told["minutes"], told["seed"], told["sizes"]) == (4, 10.0, 0, list(SIZES))
    assert len({json.dumps(small().settings(cell)) for cell in cells}) == len({cell.file for cell in cells}) == 4


def test_a_metric_that_is_the_task_s_own_comes_once() -> None:
    assert len(list(small(metrics=("logit_diff", "own")).cells())) == 2


def test_a_model_s_path_makes_one_file_name() -> None:
    assert "/" not in next(small(models=("owner/name@main",)).cells()).file


def test_the_summary_adds_versions_and_machine() -> None:
    data = summary([])
    assert data["schema"] == "acdc.frontier/3"
    assert set(data) == {"schema", "versions", "machine", "cells"}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"methods": ("eap", "egp")}, BadSetting, "unknown method 'egp'; did you mean eap"),
        ({"models": ("periodic-3l",)}, UnknownModel, "no model called 'periodic-3l'"),
        ({"tasks": ("periodical",)}, BadSetting, "no task is called 'periodical'.*did you mean periodic"),
        ({"tasks": ("x" * 30,)}, BadSetting, "`acdc tasks` lists them"),
        ({"methods": ()}, BadSetting, "a frontier needs methods: got none"),
        ({"metrics": ("kl", "kl_div")}, BadSetting, "a frontier needs metrics: got one of them twice"),
        ({"prompts": 1}, BadSetting, "1 prompt is too few"),
        ({"minutes": 0.0}, BadSetting, "the minutes to search are 0.0"),
    ],
)
def test_what_is_unknown_or_nothing_is_refused(change: dict[str, Any], kind: type[AcdcError], words: str) -> None:
    with pytest.raises(kind, match=words):
        small(**change)
