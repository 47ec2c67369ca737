"""A command uses the CPUs that are free, or what it is told, and leaves the environment as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from acdc.cli import threads
from acdc.cli.threads import VARIABLE, chosen, free, use
from tests.acdc.cli.command_line import acdc, refused


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four CPUs, about three of which are busy, and nothing said in the environment."""
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(threads, "_cpus", lambda: 4)
    monkeypatch.setattr(threads, "_load", lambda: 2.8)


@pytest.mark.parametrize(("cpus", "load", "wanted"), [(2, 0.1, 2), (2, 1.2, 1), (8, 2.6, 5), (2, 17.0, 1), (1, 0.0, 1)])
def test_as_many_as_are_free_and_one_at_least(cpus: int, load: float, wanted: int) -> None:
    assert free(cpus, load) == wanted


def test_what_runs_now_counts_and_not_what_ran_in_the_last_minute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (7.5, 0.0, 0.0))
    said = tmp_path / "loadavg"
    said.write_text("7.50 3.00 1.00 3/91 4711\n")
    assert threads._load(said) == 2  # this process is the third
    said.write_text("7.50\n")
    assert threads._load(said) == 7.5
    assert threads._load(tmp_path / "missing") == 7.5


@pytest.mark.usefixtures("busy")
def test_the_free_ones_are_taken_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with chosen(["discover", "periodic"]):
        assert os.environ[VARIABLE] == "1"
    assert VARIABLE not in os.environ
    assert capsys.readouterr().err.startswith("using 1 of 4 CPUs, as the others are busy; acdc --threads N or OMP_")


@pytest.mark.usefixtures("busy")
def test_all_of_an_idle_machine_are_left_to_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threads, "_load", lambda: 0.0)
    with chosen(["discover", "periodic"]):
        assert VARIABLE not in os.environ
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("busy")
def test_what_is_said_counts_more_than_what_is_free(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with chosen(["--threads", "3", "discover"]):
        use(3)
        assert os.environ[VARIABLE] == "3"
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, "2")
    with chosen(["discover"]):
        assert os.environ[VARIABLE] == "2"
    with chosen(["--threads=5", "discover"]):
        use(5)
    assert os.environ[VARIABLE] == "2"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("busy")
def test_commands_that_run_no_model_say_nothing_of_threads() -> None:
    assert acdc("models").err == ""
    assert acdc("discover", "--help").err == ""
    assert acdc("discover", "periodc").err.startswith("using 1 of 4 CPUs")
    assert VARIABLE not in os.environ


def test_the_command_line_has_the_option() -> None:
    before = os.environ[VARIABLE]
    assert acdc("--threads", "2", "models").code == 0
    assert os.environ[VARIABLE] == before
    assert refused("--threads", "0", "models") == "--threads is 0; wanted at least 1"
    assert "--threads" in acdc("--help").out
