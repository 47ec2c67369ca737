"""Work for the workers of a Ray cluster that loads no model; what it did is read from the results' folder."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acdc.sweep.cell import SweepCell


def dies(directory: str, cell: SweepCell, versions: Mapping[str, str | None]) -> dict[str, Any] | None:
    """The worker is killed at every cell: of seed 0 once, of others always; seed 2 is a fault of ours."""
    begun = Path(directory) / f"begun-{cell.setup.seed}"
    with begun.open("a") as file:
        file.write("x")
    if cell.setup.seed == 2:
        raise TypeError("oops")
    if cell.setup.seed or begun.read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"settings": cell.settings, "status": "done"}


def makes_nothing_slowly(directory: str, cell: SweepCell, versions: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Nothing, and it takes its time; None where another process is making the cell."""
    from acdc.sweep.folder import SweepFolder
    from tests.acdc.sweep.grids import nothing

    def slowly(cell: SweepCell, room: Path) -> dict[str, Any]:
        time.sleep(0.3)
        return nothing(cell, room)

    return SweepFolder(Path(directory)).attempt(cell, slowly)
