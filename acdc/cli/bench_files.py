"""What both benchmarks of `acdc bench` have in common: names with commas between, and the files written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.errors import UnwritableOutput
from acdc.graphs.files import write_atomically


def names(given: str) -> tuple[str, ...]:
    """The names between the commas."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def written(out: Path, table: str, data: Mapping[str, Any], pictures: Mapping[str, bytes]) -> list[str]:
    """The names of the files that have been written: the JSON of that name, and the pictures.

    Raises: UnwritableOutput.
    """
    files = {table: (json.dumps(data, indent=1, allow_nan=False) + "\n").encode(), **pictures}
    try:
        for name, content in files.items():
            write_atomically(out / name, content)
    except OSError as error:
        raise unwritable(out, error) from error
    return list(files)


def unwritable(folder: Path, error: OSError) -> UnwritableOutput:
    """What to say where something cannot be written there."""
    return UnwritableOutput(
        f"the output directory {folder} cannot be written: {error.strerror}; give one that you can write to with --out"
    )
