"""What circuits of every size keep of a behaviour on a real model: `python -m tests.benchmarks.frontier`.

It is `acdc bench --frontier`, and takes the same options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from acdc.cli import main as acdc


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these options (None: the process's own) and return its exit code."""
    return acdc(["bench", "--frontier", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
