"""`acdc init`: a commented behaviour file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from acdc.cli import terminal
from acdc.cli.options import argument, flag
from acdc.errors import BadSetting, UnwritableOutput
from acdc.graphs.files import write_atomically


def init(
    file: Annotated[Path, argument("FILE", is_="The file to write, ending in .yaml.")],
    force: Annotated[bool, flag("--force", is_="Overwrite the file if it is there")] = False,
) -> None:
    """Write a behaviour file to start from; it runs as it is."""
    from acdc.tasks.files.behaviour_file import example

    if file.suffix not in (".yaml", ".yml"):
        raise BadSetting(
            f"a behaviour file is known by its ending: got {str(file)!r}, wanted .yaml or .yml; "
            f"write `acdc init {file.with_suffix('.yaml')}`"
        )
    if file.exists() and not force:
        raise UnwritableOutput(
            f"{file} is there already, wanted a file that is not; name another one, or overwrite it with --force"
        )
    try:
        write_atomically(file, example(file.stem).encode())
    except OSError as error:
        raise UnwritableOutput(
            f"{file} cannot be written: {error.strerror}; name a file in a directory that you can write to"
        ) from error
    out = terminal.results()
    out.print(f"Wrote {file}. Change what it says, then find the circuit:", soft_wrap=True)
    out.print(f"  acdc discover {terminal.quoted(file)}", soft_wrap=True)
