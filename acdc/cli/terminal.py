"""The two streams that commands write to: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text


def results() -> Console:
    """Stdout, for what was asked for."""
    return _console(stderr=False)


def errors() -> Console:
    """Stderr, for progress, warnings and errors."""
    return _console(stderr=True)


def parts(of_a_whole: Iterable[RenderableType]) -> None:
    """Write parts to stdout with an empty line between them."""
    out = results()
    for number, part in enumerate(of_a_whole):
        if number:
            out.print()
        out.print(part)


def fail(message: str) -> None:
    """Say on stderr why a command fails, each line of the message on a line of its own."""
    for line in message.splitlines():
        errors().print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def warn(message: str) -> None:
    """Say on stderr what a reader of the results should know."""
    errors().print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def note(message: str) -> None:
    """Say on stderr what results are about, where that is not what it was."""
    errors().print(Text.assemble(("note: ", "bold"), message), soft_wrap=True)


def quoted(path: Path) -> str:
    """A path as it can be pasted into a shell."""
    return shlex.quote(str(path))


def written(files: Sequence[Path], then: str = "") -> None:
    """Say which files were written to which directory, and what one may do with them."""
    results().print(f"\nWritten to {files[0].parent}: {', '.join(file.name for file in files)}{then}", soft_wrap=True)


def write_json(data: object) -> None:
    """Write JSON, and nothing else, to stdout."""
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to fail
    return Console(file=stream, highlight=False, markup=False, emoji=False)
