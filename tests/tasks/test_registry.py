"""Tasks by name: built in, from installed plugins, from files; and errors that name the culprit."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc import tasks
from acdc.tasks.errors import BadBehaviourFile, BrokenPlugin, TaskError, UnknownTask
from acdc.tasks.files.behaviour_file import example
from acdc.tasks.registry import BUILTIN

PLUGIN = """
from acdc.tasks.prompts import ListedPrompts
from acdc.tasks.task import About, Task

ready = Task("ready", About("Made on import."), "a-model", "kl", ListedPrompts((), ()))


def made():
    return Task("made", About("Made when asked for."), "a-model", "kl", ListedPrompts((), ()))


def failing():
    raise RuntimeError("no data")


def nothing():
    return None
"""
OFFERS = {
    "ready": "toy_plugin:ready",
    "made": "toy_plugin:made",
    "renamed": "toy_plugin:made",
    "failing": "toy_plugin:failing",
    "nothing": "toy_plugin:nothing",
    "absent": "toy_plugin:absent",
    "gone": "toy_plugin_that_is_not_there:task",
    "ioi": "toy_plugin:failing",
}


def install(folder: Path, distribution: str, offers: dict[str, str]) -> None:
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = ["[acdc.tasks]", *(f"{name} = {value}" for name, value in offers.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with one plugin."""
    (tmp_path / "toy_plugin.py").write_text(PLUGIN)
    install(tmp_path, "toy-plugin", OFFERS)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_built_in_tasks_come_first_and_a_plugin_cannot_replace_one(plugins: Path) -> None:
    assert tasks.names()[: len(BUILTIN)] == BUILTIN
    assert tasks.names()[len(BUILTIN) :] == tuple(sorted(set(OFFERS) - {"ioi"}))
    assert tasks.get("ioi").about.source.startswith("Wang et al. 2022")


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_task_bears_the_name_it_is_asked_for_by(name: str) -> None:
    assert tasks.get(name).name == name


@pytest.mark.parametrize("name", ["ready", "made"])
def test_a_plugin_offers_a_task_or_a_function_that_makes_one(plugins: Path, name: str) -> None:
    assert tasks.get(name).name == name


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("renamed", "a task named 'made' from 'toy_plugin:made'"),
        ("failing", "RuntimeError from 'toy_plugin:failing' (no data)"),
        ("nothing", "a NoneType from 'toy_plugin:nothing'"),
        ("absent", "AttributeError from 'toy_plugin:absent' (module 'toy_plugin' has no attribute 'absent')"),
        (
            "gone",
            "ModuleNotFoundError from 'toy_plugin_that_is_not_there:task' "
            "(No module named 'toy_plugin_that_is_not_there')",
        ),
    ],
)
def test_a_broken_plugin_is_named_when_its_task_is_asked_for(plugins: Path, name: str, got: str) -> None:
    with pytest.raises(BrokenPlugin) as caught:
        tasks.get(name)
    assert str(caught.value) == (
        f"the task {name!r} of the installed package 'toy-plugin' cannot be used: got {got}, wanted a tasks.Task of "
        "that name or a function without arguments returning one; repair or uninstall 'toy-plugin'."
    )


def test_two_plugins_with_one_task_name_are_both_named(plugins: Path) -> None:
    install(plugins, "another-plugin", {"made": "toy_plugin:made"})
    with pytest.raises(BrokenPlugin, match="got tasks of that name from another-plugin and toy-plugin"):
        tasks.get("made")


def test_an_unknown_task_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UnknownTask) as caught:
        tasks.get("greater-then")
    assert str(caught.value) == (
        "unknown task: got 'greater-then', wanted a task's name or the path of a .yaml file; "
        "did you mean 'greater_than'?"
    )


def test_an_unknown_task_that_is_near_to_none_is_refused_with_all_names() -> None:
    with pytest.raises(UnknownTask, match=f"known: {', '.join(BUILTIN)}"):
        tasks.get("zzzzzz")


def test_a_path_is_read_as_a_behaviour_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(example("mine"), encoding="utf-8")
    assert tasks.get(path).name == tasks.get(str(path)).name == "mine"


@pytest.mark.parametrize("path", ["nowhere.yaml", "nowhere.yml", "./ioi", Path("ioi")])
def test_a_path_is_never_taken_for_a_name(path: str | Path) -> None:
    with pytest.raises(BadBehaviourFile, match="the behaviour file cannot be read"):
        tasks.get(path)


def test_a_name_that_holds_half_of_a_character_is_refused() -> None:
    with pytest.raises(TaskError, match=r"the task's name: a text holds half of a character .* got '.udcff'"):
        tasks.get("io\udcffi")


def test_a_path_may_begin_with_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(example("mine"))
    assert tasks.get("~/mine.yaml").name == "mine"
