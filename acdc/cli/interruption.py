"""What is left of a discovery that does not end: a checkpoint to go on from when interrupted, nothing when it fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from acdc.cli import terminal
from acdc.discovery.checkpoint import ROUNDS
from acdc.errors import AcdcError, BadCheckpoint
from acdc.graphs.errors import GraphsError
from acdc.tasks.errors import TaskError


@contextmanager
def interruptible(checkpoint: Path) -> Iterator[None]:
    """Say how to go on after Ctrl-C, and leave nothing half-written behind when what was asked for cannot be had."""
    rounds = checkpoint.with_name(ROUNDS)
    rounds_existed, existed = rounds.exists(), checkpoint.exists()
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint.exists():
            again = [argument for argument in sys.argv[1:] if argument != "--resume"]
            words = " ".join(terminal.quoted(Path(argument)) for argument in again)
            terminal.errors().print(f"interrupted; go on with: acdc {words} --resume", soft_wrap=True)
        raise
    except BadCheckpoint:
        raise
    except (AcdcError, GraphsError, TaskError):
        if not existed and checkpoint.exists():
            checkpoint.unlink()
            if not rounds_existed:  # else they are another run's
                rounds.unlink(missing_ok=True)
            with suppress(OSError):  # other things are in it, or it was there before
                checkpoint.parent.rmdir()
        raise
