"""A cell measured in a process of its own, so that its memory is its own, and so that its end ends no other's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_START = "import sys; sys.path[:] = {path!r}; from acdc.bench.frontier_process import main; main()"


def in_own_process(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `frontier_cell.measured` returns for these settings, measured in a new process.

    Where that ends without a result, `failed` says how. An interrupt ends the process at once.
    """
    command = [sys.executable, "-c", _START.format(path=sys.path)]
    ran = subprocess.run(command, input=json.dumps(settings).encode(), capture_output=True, check=False)
    if ran.returncode == 0:
        result: dict[str, Any] = json.loads(ran.stdout)
        return result
    return {"settings": dict(settings), "failed": how_it_ended(ran.returncode, ran.stderr.decode(errors="replace"))}


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
    settings = json.loads(sys.stdin.read())
    from acdc.bench.frontier_cell import measured

    with answer:
        answer.write(json.dumps(measured(settings), allow_nan=False))
