"""A cell measured in a process of its own, so that its memory is its own, and so that its end ends no other's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_START = "import sys; sys.path[:] = {path!r}; from acdc.bench.frontier_process import main; main()"


def in_own_process(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `frontier_cell.measured` returns for these settings, measured in a new process.

    Where that ends without a result, `failed` says how. An interrupt ends the process at once.
    """
    command = [sys.executable, "-c", _START.format(path=sys.path)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it has ended already, which its exit code tells
                process.stdin.write(json.dumps(settings).encode() + b"\n")
                process.stdin.flush()
            answer, code = process.stdout.read(), process.wait()
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                process.stdin.close()
        log.seek(0)
        wrote = log.read().decode(errors="replace")
    if code:
        return {"settings": dict(settings), "failed": how_it_ended(code, wrote)}
    result: dict[str, Any] = json.loads(answer)
    return result


def how_it_ended(code: int, wrote: str) -> str:
    """Why a process gave no result, from its exit code and what it wrote to stderr last."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        killed = "; the memory may have run out: use fewer prompts (--prompts)" if name == "SIGKILL" else ""
        return f"the process that measured it was ended by {name}{killed}"
    last = next((line for line in reversed(wrote.splitlines()) if line.strip()), "without a word")
    return f"the process that measured it ended with exit code {code}: {last.strip()}"


def main() -> None:
    """Measure the cell whose settings are on stdin, and write its result to stdout and nothing else."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a search would end with the best so far
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no result
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from acdc.bench.frontier_cell import measured

    with answer:
        answer.write(json.dumps(measured(settings), allow_nan=False))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, and with it the other end of stdin."""
    while os.read(0, 1):
        pass
    os._exit(1)
