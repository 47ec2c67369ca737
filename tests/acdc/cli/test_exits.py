"""Every error ends in its exit code: told in words where the user or the machine can help it, else with a traceback."""

from __future__ import annotations

import pytest
import torch

from acdc.cli.exits import Exit, report
from acdc.errors import AcdcError, DownloadFailed, NoCluster, UnreachableGoal, UnusableCache, UnwritableOutput
from acdc.graphs.errors import BadCircuitFile, GraphsError, ModelUnreachable, RenderError
from acdc.tasks.errors import BadPrompts, PromptProblem, TaskError, UnknownTask
from tests.acdc.cli.command_line import acdc

ENVIRONMENTS = (ModelUnreachable, RenderError, DownloadFailed, UnusableCache, NoCluster)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownTask("x", ["y"]), 2),
        (BadPrompts(PromptProblem("a", "b", "c", "d"), PromptProblem("e", "f", "g", "h")), 2),
        (BadCircuitFile("a"), 2),
        (UnreachableGoal("a"), 2),
        (UnwritableOutput("a"), 2),
        (ModelUnreachable("a"), 3),
        (RenderError("a"), 3),
        (DownloadFailed("a"), 3),
        (UnusableCache("a"), 3),
        (NoCluster("a"), 3),
        (ModuleNotFoundError("No module named 'rich.table'", name="rich.table"), 3),
        (MemoryError(), 3),
        (torch.OutOfMemoryError("CUDA out of memory"), 3),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), 3),
    ],
)
def test_what_others_can_help_is_told_in_words(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err
    assert all(line.startswith("error: ") for line in told.err.splitlines())


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeError("x"), OSError(2, "x"), ModuleNotFoundError("x", name="acdc.graphs.nowhere")],
)
def test_a_fault_of_ours_keeps_its_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == Exit.FAULT
    assert type(error).__name__ in capsys.readouterr().err


@pytest.mark.parametrize("family", [TaskError, GraphsError, AcdcError])
def test_every_error_that_callers_can_cause_is_exit_2_or_3(family: type[Exception]) -> None:
    def members(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(members(child) for child in kind.__subclasses__()))

    for kind in members(family):
        error = kind.__new__(kind)  # what it says is not the matter
        assert report(error) == (3 if kind in ENVIRONMENTS else 2)


def test_a_fault_in_a_command_is_told_apart_from_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("acdc.cli.models.available", broken)
    ran = acdc("models")
    assert ran.code == 70
    assert ran.err.endswith("ZeroDivisionError: a fault of ours\n")
