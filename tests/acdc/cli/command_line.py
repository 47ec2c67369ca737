"""The command line, run in this process as a person would in a directory of their own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.cli import main

QUICK = ("--prompts", "16", "--threshold", "2")
"""Options with which a discovery on the shipped models takes seconds: few prompts, one pruning run."""


@dataclass(frozen=True)
class Ran:
    """What a command wrote to stdout and to stderr, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout, as the JSON it must be."""
        return json.loads(self.out)


def acdc(*arguments: str | Path) -> Ran:
    """Run `acdc` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


def refused(*arguments: str | Path, code: int = 2) -> str:
    """The one message of a command that must be refused with this code, say nothing else and leave nothing behind."""
    with nothing_written():
        ran = acdc(*arguments)
    lines = [
        line
        for line in ran.err.splitlines()
        if not line.startswith(("loading ", "starting on ", "the model is right on "))
    ]
    assert (ran.code, ran.out) == (code, ""), ran
    assert lines, "refused without a word"
    assert all(line.startswith("error: ") for line in lines), ran.err
    return "\n".join(line.removeprefix("error: ") for line in lines)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Make sure that no file of the current directory is made, changed or removed."""
    before = _contents()
    yield
    assert _contents() == before


def _contents() -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(Path().rglob("*"))}
