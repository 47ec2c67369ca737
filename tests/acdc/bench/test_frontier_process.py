"""A process of its own gives the cell's result, or how it ended."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from acdc.bench import frontier_process
from acdc.bench.frontier_process import how_it_ended, in_own_process


@pytest.mark.parametrize(
    ("code", "wrote", "words"),
    [
        (-9, "", "ended by SIGKILL; the memory may have run out"),
        (-15, "", "ended by SIGTERM"),
        (-1000, "", "ended by signal 1000"),
        (1, "Traceback\n  ...\nValueError: no\n\n", "exit code 1: ValueError: no"),
        (3, "", "exit code 3: without a word"),
    ],
)
def test_it_is_told_how_a_process_ended(code: int, wrote: str, words: str) -> None:
    assert words in how_it_ended(code, wrote)


def test_a_process_that_fails_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier_process, "_START", "raise SystemExit('no room')")
    assert in_own_process({"model": "m"}) == {
        "settings": {"model": "m"},
        "failed": "the process that measured it ended with exit code 1: no room",
    }


def test_what_libraries_print_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import os, sys, types
sys.path[:] = {path!r}
cell = types.ModuleType("acdc.bench.frontier_cell")
def measured(settings):
    print("loading weights")
    os.system("echo more")
    return {{"settings": settings, "refused": "no"}}
cell.measured = measured
sys.modules["acdc.bench.frontier_cell"] = cell
from acdc.bench.frontier_process import main
main()
"""
    monkeypatch.setattr(frontier_process, "_START", script)
    assert in_own_process({"model": "m"}) == {"settings": {"model": "m"}, "refused": "no"}


def test_an_interrupt_ends_it_at_once_without_a_result() -> None:
    script = f"""
import os, signal, sys, types
sys.path[:] = {sys.path!r}
cell = types.ModuleType("acdc.bench.frontier_cell")
def measured(settings):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass
    return {{"refused": "the best so far"}}
cell.measured = measured
sys.modules["acdc.bench.frontier_cell"] = cell
from acdc.bench.frontier_process import main
main()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert (process.stdout.read(), process.wait()) == (b"", -signal.SIGINT)


def test_it_ends_with_the_process_that_started_it() -> None:
    script = f"""
import sys, time, types
sys.path[:] = {sys.path!r}
cell = types.ModuleType("acdc.bench.frontier_cell")
cell.measured = lambda settings: time.sleep(60)
sys.modules["acdc.bench.frontier_cell"] = cell
from acdc.bench.frontier_process import main
main()
"""
    ran = subprocess.run([sys.executable, "-c", script], input=b"{}\n", capture_output=True, check=False, timeout=30)
    assert (ran.returncode, ran.stdout) == (1, b"")
