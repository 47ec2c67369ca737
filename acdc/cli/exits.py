"""How a command ends: every error becomes a message on stderr and an exit code.

A mistake of the user's, or a lack of the machine's, is told in words; anything else is a fault of ours and keeps its
traceback.
"""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum

from acdc.cli.terminal import fail
from acdc.errors import AcdcError, DownloadFailed, NoCluster, UnusableCache
from acdc.graphs.errors import GraphsError, ModelUnreachable, RenderError
from acdc.tasks.errors import TaskError

OURS = ("acdc",)


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED_CHECK = 1
    """A check that was asked for, such as --at-least, did not pass."""
    BAD_INPUT = 2
    """Something asked for does not exist, does not fit, or cannot be written."""
    ENVIRONMENT = 3
    """The machine lacks something: a network, a library, memory."""
    FAULT = 70
    """A fault in acdc itself, told with its traceback."""


def report(error: Exception) -> Exit:
    """Tell an error on stderr and return the exit code it means."""
    match error:
        case ModelUnreachable() | RenderError() | DownloadFailed() | UnusableCache() | NoCluster():
            return _told(str(error), Exit.ENVIRONMENT)
        case TaskError() | GraphsError() | AcdcError():
            return _told(str(error), Exit.BAD_INPUT)
        case ModuleNotFoundError(name=str() as name) if name.partition(".")[0] not in OURS:
            package = name.partition(".")[0]
            return _told(
                f"the Python package {package!r} is missing; run `pip install --force-reinstall acdc-circuits`",
                Exit.ENVIRONMENT,
            )
        case _ if _is_out_of_memory(error):
            return _told(
                "memory ran out; use fewer prompts (--prompts), a smaller model (--model), a narrower --dtype, "
                "or a device with more memory (--device)",
                Exit.ENVIRONMENT,
            )
        case _:
            traceback.print_exception(error)
            return Exit.FAULT


def _told(message: str, code: Exit) -> Exit:
    fail(message)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # without torch, nothing that needs much memory has run
    kind = getattr(torch, "OutOfMemoryError", MemoryError)
    return isinstance(error, (MemoryError, kind)) or (isinstance(error, RuntimeError) and "allocate" in str(error))
