"""`acdc models` lists the shipped models, and says what else a model's name can be."""

from __future__ import annotations

from pathlib import Path

from acdc import tasks
from tests.acdc.cli.command_line import acdc


def test_every_shipped_model_is_listed_with_its_size_and_what_it_does() -> None:
    ran = acdc("models")
    assert (ran.code, ran.err) == (0, "")
    words = {line.split()[0]: line.split()[1:4] for line in ran.out.splitlines() if line.strip()}
    assert (words["periodic-2l"][:2], words["everyday-4l"][:2]) == (["2", "4"], ["4", "8"])
    assert all(float(words[name][2]) > 0 for name in tasks.shipped_models())
    assert "a hub name" in ran.out


def test_json_says_where_each_model_is() -> None:
    listed = acdc("models", "--json").json
    assert {row["name"]: Path(row["path"]) for row in listed} == {
        name: tasks.shipped_model(name) for name in tasks.shipped_models()
    }
    assert all(row["about"] for row in listed)
