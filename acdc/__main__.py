"""`python -m acdc` is the command `acdc`."""

from __future__ import annotations

import sys

from acdc.cli import main

if __name__ == "__main__":
    sys.exit(main())
