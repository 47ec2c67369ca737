"""Progress is a bar with the time left on a terminal, a line per run elsewhere, and nothing when quiet."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from acdc.cli.progress import watching
from acdc.progress import Progress

STEPS = (
    Progress("gradients", done=1, total=1),
    Progress("run 1 · threshold 2", done=1, total=2, kept=1),
    Progress("run 1 · threshold 2", done=2, total=2, kept=2),
    Progress("run 2 · threshold 0.125", done=1, total=2, kept=1200),
    Progress("judging", done=0, total=1),
    Progress("judging", done=1, total=1),
)


def watched(*, quiet: bool = False) -> None:
    with watching(quiet=quiet) as watch:
        watch.stage("loading")
        for step in STEPS:
            watch.pruning(step)
        watch.stage("drawing")


def test_elsewhere_each_finished_run_and_each_announcement_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    watched()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "loading\ngradients\nrun 1 · threshold 2 · 2 edges\njudging\ndrawing\n")


def test_elsewhere_a_line_says_how_far_a_long_stage_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((0.0, 0.0, 4.0, 12.0, 20.0, 40.0))
    monkeypatch.setattr("acdc.cli.progress.monotonic", lambda: next(clock))
    with watching() as watch:
        for done in range(5):
            watch.pruning(Progress("patching", done, total=10))
    assert capsys.readouterr().err == "patching\npatching: 20%, about 48 s left\npatching: 40%, about 60 s left\n"


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    watched(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_the_run_its_edges_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, color_system=None, width=80)
    monkeypatch.setattr("acdc.cli.terminal.errors", lambda: terminal)
    watched()
    drawn = screen.getvalue()
    for words in (
        "loading",
        "run 1 · threshold 2 · 1 edge so far ━",
        " 50%",
        "run 2 · threshold 0.125 · 1,200 edges so far ━",
    ):
        assert words in drawn
    assert "-:--:--" in drawn or "0:00:" in drawn
    assert drawn.rstrip().endswith("\x1b[2K")  # the bar is wiped away at the end


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_shows_a_bar_where_it_can_and_lines_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch, widgets: bool
) -> None:
    shown: list[str] = []
    display, ipywidgets = ModuleType("IPython.display"), ModuleType("ipywidgets")

    class Output(nullcontext):  # type: ignore[type-arg]
        def clear_output(self, wait: bool) -> None:
            shown.append("cleared")

        def close(self) -> None:
            shown.append("closed")

    def show(*things: Any) -> None:
        shown.extend(thing.text for thing in things if hasattr(thing, "text"))

    stubs: dict[ModuleType, dict[str, object]] = {display: {"display": show}, ipywidgets: {"Output": Output}}
    for module, names in stubs.items():
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setattr("acdc.cli.progress._has_widgets", lambda: widgets)
    notebook = Console(file=io.StringIO(), force_jupyter=True, color_system=None, width=80)
    monkeypatch.setattr("acdc.cli.terminal.errors", lambda: notebook)
    watched()
    said = "".join(shown)
    assert "gradients" in said
    assert "judging" in said
    assert ("━" in said, "cleared" in said, "closed" in shown) == (widgets, widgets, widgets)
