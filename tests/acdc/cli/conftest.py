"""A directory of its own for every command, and one circuit found once for all who only read it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.acdc.cli.command_line import QUICK, acdc


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="session")
def _found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("found")
    before = Path.cwd()
    os.chdir(directory)
    try:
        ran = acdc("discover", "periodic", "--out", "found", *QUICK)
    finally:
        os.chdir(before)
    assert ran.code == 0, ran.err
    return directory / "found"


@pytest.fixture
def found(_found: Path, tmp_path: Path) -> Path:
    """What `acdc discover periodic` wrote, in the directory `found` of the current one."""
    return Path(shutil.copytree(_found, tmp_path / "found")).relative_to(tmp_path)
