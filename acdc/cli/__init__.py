"""The command `acdc`: parse, call, show. What it needs is loaded when a command runs, so that `--help` is instant."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (None: the process's own) and return its exit code, as `acdc.cli.exits` names them."""
    from acdc.cli.commands import command
    from acdc.cli.exits import report
    from acdc.cli.relay import relayed
    from acdc.cli.threads import chosen

    words = [_at_home(word) for word in (sys.argv[1:] if argv is None else argv)]
    try:
        with chosen(words), relayed():
            command().main(words, prog_name="acdc")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # every failure becomes a message or a traceback, and an exit code
        return report(error)
    return 0


def _at_home(argument: str) -> str:
    """An argument whose path starts in the home directory: a shell leaves the `~` of `--out=~/runs` as it is."""
    name, path = re.fullmatch(r"(--[\w-]+=)?(.*)", argument, re.DOTALL).groups()  # type: ignore[union-attr]  # any text
    return (name or "") + (os.path.expanduser(path) if path == "~" or path.startswith("~/") else path)
