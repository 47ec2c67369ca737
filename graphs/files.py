"""Files: written whole or not at all, and a circuit's JSON read, with scores that are numbers."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.graphs import strict_json
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.nodes import Edge

_HEAD = 1000
"""Within so many characters a file says what it is."""
_OTHERS = {
    "<": "XML, such as SVG",
    "//": "a drawing in DOT",
    "digraph": "a drawing in DOT",
    "%PDF": "a PDF",
}


def read_text(path: Path) -> str:
    """What is written in a circuit's file, each byte that is no UTF-8 as a lone surrogate.

    Raises: BadCircuitFile.
    """
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise BadCircuitFile(
            f"no circuit can be read from {path}: {error.strerror}; give the path of a circuit.json"
        ) from error


def read(path: Path) -> Any:
    """The JSON in a circuit's file.

    Raises: BadCircuitFile.
    """
    text = read_text(path)
    if "<graphml" in text[:_HEAD] and text.lstrip().startswith("<"):
        raise BadCircuitFile(
            f"no circuit can be read from {path}: it is GraphML, which is read from files that end in .graphml; "
            "rename the file"
        )
    other = next((kind for start, kind in _OTHERS.items() if text.lstrip().startswith(start)), None)
    if other or "\udc89PNG" in text[:8]:
        raise BadCircuitFile(
            f"no circuit can be read from {path}: it is {other or 'a PNG picture'}, which is written but not "
            "read; give the circuit.json that it was made from"
        )
    try:
        return strict_json.loads(text.encode("utf-8", "surrogateescape").decode("utf-8"))
    except strict_json.NotStrict as error:
        raise BadCircuitFile(f"the circuit in {path} is damaged: {error}; discover it again") from error
    except ValueError as error:
        raise BadCircuitFile(
            f"{path} is not JSON ({error}); it is truncated or not a circuit.json, discover the circuit again"
        ) from error


def finite_numbers(given: Mapping[Edge, Any], what: str) -> dict[Edge, float]:
    """Scores or frequencies from a file as numbers; `what` is one of them in a word.

    Raises: TypeError, ValueError and OverflowError for what is no finite number.
    """
    for edge, number in given.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"the {what} of {edge.name} is {number!r}, which is not a number")
        if not math.isfinite(number):
            raise ValueError(f"the {what} of {edge.name} is {number}, which is not a finite number")
    return {edge: float(number) for edge, number in given.items()}


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then renamed.

    With `durable` False a power cut may lose it; the end of the process, however sudden, does not.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
