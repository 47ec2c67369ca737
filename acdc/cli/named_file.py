"""A file that somebody names for a picture or another form of a circuit: refused before the work, if it cannot be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from acdc.errors import BadSetting, UnwritableOutput


def check(file: Path, forms: Sequence[str]) -> None:
    """Make sure that the file's ending is one of these forms and that it can be written, and leave no trace of it.

    Raises: BadSetting, UnwritableOutput.
    """
    if file.suffix.lower() not in forms:
        raise BadSetting(
            f"nothing can be written to {file}: got the ending {file.suffix!r}, wanted one of {', '.join(forms)}; "
            "rename the file"
        )
    directory = file.absolute().parent
    if not directory.is_dir() or file.is_dir():
        what = "it is a directory" if file.is_dir() else f"there is no directory {directory}"
        raise UnwritableOutput(f"{file} cannot be written: {what}; name a file in a directory that is there")
    with writing(file), tempfile.TemporaryFile(dir=directory):
        pass


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Say what is wrong where the file cannot be written after all.

    Raises: UnwritableOutput.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(
            f"{file} cannot be written: {error.strerror}; name a file in a directory that you can write to"
        ) from error
