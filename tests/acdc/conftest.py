"""Small problems on tiny random models, each made once per module."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import acdc
import acdc.graphs.model
from acdc import graphs, tasks
from acdc.cli import commands
from acdc.graphs.model import Model
from acdc.pieces.cluster import cluster
from acdc.pretrained import registry
from acdc.pretrained.registry import Pretrained
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from tests.acdc import tiny_pretrained
from tests.acdc.behaviours import behaviour
from tests.acdc.cli import command_line
from tests.acdc.discoveries import periodic
from tests.acdc.hypotheses.files import claiming, write
from tests.acdc.sweep import grids
from tests.checkpoints import Checkpoints
from tests.native_bridges import native_model
from tests.shared import SharedModels

collect_ignore = ["files_of_0_1"]  # which are read by a test of their own


@pytest.fixture(scope="session", autouse=True)
def _shipped_models_once() -> Iterator[None]:
    """A shipped model that is loaded by name is read once, and again when a test has changed the one before."""
    load, shipped = graphs.model.load, {str(tasks.shipped_model(name)) for name in tasks.shipped_models()}
    known = SharedModels()

    def loaded(name: str | os.PathLike[str], **settings: Any) -> Model:
        if name not in shipped:
            return load(name, **settings)
        return known.get((name, *sorted(settings.items())), lambda: load(name, **settings))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("acdc.graphs.model.load", loaded)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_models_in_the_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever models were got on this machine, tests have a cache of their own, which is empty."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ACDC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def _wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pretrained]:
    directory = tmp_path_factory.mktemp("wheels")
    return directory, tiny_pretrained.write(directory)


@pytest.fixture
def tiny(_wheels: tuple[Path, Pretrained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    """A pretrained model that pip finds in `wheels` of the test's directory, and an empty cache beside it."""
    written, known = _wheels
    wheels = Path(shutil.copytree(written, tmp_path / "wheels"))
    monkeypatch.setitem(registry.KNOWN, known.name, known)  # type: ignore[call-overload]  # it is a dictionary
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return known


@pytest.fixture(scope="session", autouse=True)
def _parser_once() -> Iterator[None]:
    """The command line's parser, which no command changes, is made once: making it takes longer than most commands."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("acdc.cli.commands.command", cache(commands.command))
        yield


@pytest.fixture(scope="module")
def llama(checkpoints: Checkpoints) -> Model:
    """A model of two layers and 110 edges in float64."""
    return checkpoints.model("llama")


@pytest.fixture(scope="module")
def measurable(llama: Model) -> Problem:
    """Six prompts of two lengths, measured by the logit difference."""
    return Problem(llama, behaviour(llama, (5, 11, 5, 11, 11, 5)), LogitDifference())


@pytest.fixture(scope="module")
def two_heads() -> Model:
    """A model of two layers with two heads each."""
    return native_model("relu", n_heads=2)


@pytest.fixture(scope="module")
def single_batch(two_heads: Model) -> Problem:
    """Four prompts of one length, measured by the logit difference."""
    return Problem(two_heads, behaviour(two_heads, (9, 9, 9, 9)), LogitDifference())


@pytest.fixture(scope="module")
def two_lengths(two_heads: Model) -> Problem:
    """Four prompts of two lengths, measured by the logit difference."""
    return Problem(two_heads, behaviour(two_heads, (5, 9, 5, 9)), LogitDifference())


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """A Ray cluster of this machine, which takes a while to start."""
    pytest.importorskip("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray itself
        with cluster("ray") as connected:
            yield connected


@pytest.fixture(scope="session")
def found() -> acdc.Result:
    """A circuit of a shipped model."""
    return periodic()


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a grid: one task, three models of which the first hardly does it, two seeds, all cells done."""
    folder = tmp_path_factory.mktemp("swept")
    for step, noise in ((1, 0.55), (2, 0.1)):
        grids.checkpoint(folder / "ck" / f"step{step}", noise)
    grid = grids.small(folder, models="[ck/step*, periodic-2l]", seeds="[0, 1]")
    ran = command_line.acdc("sweep", grid, "--out", folder / "found", "--quiet")
    assert ran.code == 0, ran.err
    return folder / "found"


@pytest.fixture(scope="session")
def everything_loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is left for a pytest within a test to import first, which it would make all others import again."""
    claims = "".join(f"  {kind}: {{at_least: 1e9}}\n" for kind in ("behaviour", "faithfulness", "kl", "completeness"))
    write(directory := tmp_path_factory.mktemp("first"), claiming(claims))
    assert command_line.acdc("test", directory).code == 1
