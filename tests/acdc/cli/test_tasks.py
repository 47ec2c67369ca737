"""`acdc tasks` lists what can be asked for by name."""

from __future__ import annotations

import pytest

from acdc import tasks
from acdc.tasks.errors import BrokenPlugin
from tests.acdc.cli.command_line import acdc


def test_every_task_is_listed_with_its_model_and_metric() -> None:
    ran = acdc("tasks")
    assert (ran.code, ran.err) == (0, "")
    for name in tasks.names():
        assert any(line.startswith(f"{name} ") for line in ran.out.splitlines())
    defaults = [f"{task.model}, {task.metric}" for task in map(tasks.get, tasks.names())]
    assert [line.strip() for line in ran.out.splitlines() if line.strip() in defaults] == defaults
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_the_edge_cases_of_a_task_are_listed() -> None:
    listed = " ".join(acdc("tasks").out.split())
    assert "edge cases: order ABBA, order BABA, " in listed


def test_json_says_all_about_every_task() -> None:
    listed = acdc("tasks", "--json").json
    assert [row["name"] for row in listed] == list(tasks.names())
    ioi = tasks.get("ioi")
    assert next(row for row in listed if row["name"] == "ioi") == {
        "name": "ioi",
        "model": ioi.model,
        "metric": ioi.metric,
        "about": ioi.about.sentence,
        "source": ioi.about.source,
        "variations": {variation.name: variation.about for variation in ioi.variations},
    }


def test_a_broken_plugin_is_told_of_and_hides_no_other_task(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tasks.get

    def get(name: str) -> object:
        if name == "ioi":
            raise BrokenPlugin("ioi", "some-package", "nothing")
        return whole(name)

    monkeypatch.setattr("acdc.cli.tasks.get", get)
    ran = acdc("tasks", "--json")
    assert ran.err.startswith("warning: the task 'ioi' of the installed package 'some-package' cannot be used")
    assert len(ran.json) == len(tasks.names()) - 1
