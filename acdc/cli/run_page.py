"""What commands leave in the folder of a run: their measurement, and its page made again, if it has one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.cli import terminal
from acdc.errors import AcdcError
from acdc.graphs.errors import GraphsError
from acdc.graphs.files import write_atomically

PAGE = "report.html"


def keep(directory: Path, name: str, asked: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write what was found into a run's folder and make its page again; the files written.

    A file that is there is replaced only where it says that the very same was asked. The measurement is done and told:
    what cannot be written is a warning.
    """
    file = directory / name
    data = {**found, "asked": asked}
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    try:
        if file.exists() and _asked(file) != json.loads(text)["asked"]:
            terminal.warn(f"{file} holds what was measured otherwise and stays as it is; move it away to keep this")
            return ()
        write_atomically(file, text.encode())
    except OSError as error:
        terminal.warn(f"{file} is not written: {error.strerror}")
        return ()
    return (file, *refresh(directory))


def refresh(directory: Path) -> tuple[Path, ...]:
    """Make the page in a run's folder again, if it has one of a single run; where that cannot be, say why and go on."""
    page = directory / PAGE
    if not page.is_file() or not (directory / "circuit.json").is_file():
        return ()
    from acdc.report.page.run_folder import RunFolder
    from acdc.report.page.writing import save_page, shown_in

    try:
        if len(shown_in(page)) != 1:
            return ()
        save_page(RunFolder.read(directory / "circuit.json"), page)
    except (AcdcError, GraphsError, OSError) as error:
        terminal.warn(f"{page} is as it was before: {error}")
        return ()
    return (page,)


def _asked(file: Path) -> Any:
    """What a file says it was asked; None where it does not say."""
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None
    return data.get("asked") if isinstance(data, dict) else None
