"""The runs in a folder: what each is of, how large, how faithful; and what cannot be listed, with the reason.

A run is a directory with a circuit.json. Of that only what the list shows is checked: a list of many large circuits
must not take minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from acdc.graphs.circuit import SCHEMA
from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.files import read
from acdc.judges.faithfulness import Interval
from acdc.provenance import Provenance, not_understood

CIRCUIT = "circuit.json"
PAGE = "report.html"


@dataclass(frozen=True)
class RunEntry:
    """A run as a list shows it; `kept` is how faithful its circuit is, None where that was never measured."""

    directory: Path
    origin: Provenance
    edges: int
    kept: Interval | None
    created: datetime

    @property
    def page(self) -> Path | None:
        """Its page, where it has been made."""
        return file if (file := self.directory / PAGE).is_file() else None

    @classmethod
    def of(cls, file: Path) -> RunEntry:
        """Read the run that this circuit.json is of.

        Raises: BadCircuitFile.
        """
        data = read(file)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("edges"), list):
            raise BadCircuitFile(f"{file} is no circuit file of schema {SCHEMA!r}; discover the circuit again")
        origin = Provenance.read(data, str(file))
        return cls(
            file.parent,
            origin,
            len(data["edges"]),
            _kept(data, file),
            _created(origin, file),
        )


@dataclass(frozen=True)
class RunList:
    """The runs in a folder, the newest first, and why other directories with a circuit.json are not among them."""

    folder: Path
    entries: tuple[RunEntry, ...]
    damaged: Mapping[Path, str]

    @classmethod
    def of(cls, folder: Path, known: dict[tuple[Path, int, int], RunEntry | str]) -> RunList:
        """The runs in the folder itself and in all below it; `known` keeps what was read of files, while unchanged."""
        found: list[RunEntry] = []
        damaged: dict[Path, str] = {}
        for file in _circuits(folder):
            entry = _read(file, known)
            if isinstance(entry, str):
                damaged[file.parent] = entry
            else:
                found.append(entry)
        return cls(folder, tuple(sorted(found, key=lambda entry: entry.created, reverse=True)), damaged)

    def name(self, directory: Path) -> str:
        """What a run is called in this list: where it is in the folder."""
        return directory.relative_to(self.folder).as_posix()


def _read(file: Path, known: dict[tuple[Path, int, int], RunEntry | str]) -> RunEntry | str:
    """The entry of a file, or why it has none."""
    try:
        state = file.stat()
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    key = (file, state.st_mtime_ns, state.st_size)
    if key not in known:
        try:
            known[key] = RunEntry.of(file)
        except BadCircuitFile as error:
            known[key] = str(error)
    return known[key]


def _circuits(folder: Path) -> Iterator[Path]:
    """Every circuit.json in the folder and below it; links to directories are not followed, nor hidden ones entered."""
    for directory, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if CIRCUIT in files:
            yield Path(directory) / CIRCUIT


def _kept(data: Mapping[str, Any], file: Path) -> Interval | None:
    said = data.get("faithfulness")
    if said is None:
        return None
    try:
        return TypeAdapter(Interval).validate_python(said.get("normalised") if isinstance(said, dict) else said)
    except ValidationError as error:
        raise not_understood(error, f"{file} (faithfulness)") from error


def _created(origin: Provenance, file: Path) -> datetime:
    """When the circuit was found; where it does not say, when its file was written."""
    try:
        when = datetime.fromisoformat((origin.created or "").replace("Z", "+00:00"))
    except ValueError:
        when = datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)
