"""`acdc models` lists the shipped models and those that can be got, and says what else a model's name can be."""

from __future__ import annotations

import re
from pathlib import Path

from acdc import tasks
from acdc.graphs.gguf_source import GgufSource
from acdc.pretrained.cache import directory
from acdc.pretrained.registry import KNOWN, Pretrained
from tests.acdc.cli.command_line import acdc


def test_every_shipped_model_is_listed_with_its_size_and_what_it_does() -> None:
    ran = acdc("models")
    assert (ran.code, ran.err) == (0, "")
    words = {line.split()[0]: line.split()[1:4] for line in ran.out.splitlines() if line.strip()}
    assert (words["periodic-2l"][:2], words["everyday-4l"][:2]) == (["2", "4"], ["4", "8"])
    assert all(float(words[name][2]) > 0 for name in tasks.shipped_models())
    assert "a hub name" in ran.out


def test_every_model_that_can_be_got_is_listed_with_its_licence_and_how(tiny: Pretrained) -> None:
    shown = acdc("models").out
    words = {line.split()[0]: line.split()[1:4] for line in shown.splitlines() if line.strip()}
    for name, model in KNOWN.items():
        assert words[name] == [str(model.size.layers), str(model.size.heads), str(model.size.megabytes)]
        assert f"acdc models get {name} " in shown
        assert model.licence.split()[0] in shown
    assert shown.count(" not here, ") == len(KNOWN)


def test_a_model_that_has_been_got_is_listed_as_here(tiny: Pretrained) -> None:
    GgufSource("tiny.gguf", tiny.sha256, "Q8_0", {}).write(made(directory(tiny.sha256)))
    shown = acdc("models").out
    assert "acdc models get tiny-1m" not in shown
    assert re.search(r"^ +here +$", shown, re.MULTILINE)


def made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_json_says_where_each_model_is(tiny: Pretrained) -> None:
    GgufSource("tiny.gguf", tiny.sha256, "Q8_0", {}).write(made(directory(tiny.sha256)))
    listed = {row["name"]: row for row in acdc("models", "--json").json}
    shipped = {name: str(tasks.shipped_model(name)) for name in tasks.shipped_models()}
    got = {**dict.fromkeys(KNOWN), tiny.name: str(directory(tiny.sha256))}
    assert {name: row["path"] for name, row in listed.items()} == {**shipped, **got}
    assert all(row["about"] for row in listed.values())
    assert all(listed[name]["licence"] for name in KNOWN)
