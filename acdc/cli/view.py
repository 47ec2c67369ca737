"""`acdc view`: the runs in a folder, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from acdc.cli import terminal
from acdc.cli.options import argument, option
from acdc.errors import BadSetting


def view(
    runs: Annotated[Path, argument("[RUNS]", is_="The folder with the runs' directories [runs].")] = Path("runs"),
    port: Annotated[int, option("--port", takes="N", is_="The port to serve on; 0: a free one [0]")] = 0,
) -> None:
    """Browse the runs in a folder, on this machine alone.

    A list of them, to sort and to open their pages from; what is new in the folder is there when it is loaded again.
    """
    from acdc.report.runs.serving import RunServer

    if not 0 <= port <= 65_535:
        raise BadSetting(f"--port is {port}; wanted a number from 1 to 65535, or 0 for a free one")
    if not runs.is_dir():
        what = "it is a file" if runs.exists() else "there is no such directory"
        raise BadSetting(f"no runs can be listed in {runs}: {what}; give the folder that `acdc discover` writes to")
    with RunServer(runs, port) as server:
        found = server.runs()
        for why in found.damaged.values():
            terminal.warn(f"not listed: {why}")
        count = len(found.entries)
        number = f"{count:,} run{'' if count == 1 else 's'}"
        terminal.results().print(f"{number} in {runs}: {server.address} (Ctrl-C ends it)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            terminal.results().print("\nended")
