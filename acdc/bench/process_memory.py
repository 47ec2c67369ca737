"""The most memory that this process has had resident."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int | None:
    """The most bytes since the process runs its own program; None on Windows, which does not tell.

    `ru_maxrss` would begin with what the process that started it had; Linux tells the process's own beside it.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        own = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        if own is not None:
            return 1024 * int(own)
    if sys.platform == "win32":
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
