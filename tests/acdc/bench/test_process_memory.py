"""The most memory of a process is what it has had itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from acdc.bench import process_memory
from acdc.bench.process_memory import peak_bytes

_TOLD = (
    "import sys; sys.path[:] = {path!r}; from acdc.bench.process_memory import peak_bytes; {first}print(peak_bytes())"
)


def told(first: str = "") -> int:
    ran = subprocess.run(
        [sys.executable, "-c", _TOLD.format(path=sys.path, first=first)], capture_output=True, check=True, text=True
    )
    return int(ran.stdout)


def test_memory_that_was_given_back_counts() -> None:
    assert told("b = bytearray(200_000_000); del b; ") - told() > 150_000_000


def test_memory_of_the_process_that_started_it_does_not_count() -> None:
    held = bytearray(300_000_000)
    held[::4096] = b"1" * len(held[::4096])
    own = peak_bytes()
    assert own is not None
    assert own > 300_000_000
    assert told() < 200_000_000


def test_where_the_system_does_not_tell_there_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "win32")
    peak = peak_bytes()
    monkeypatch.undo()
    assert peak is None
