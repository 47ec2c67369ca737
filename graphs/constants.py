"""Constants that missing edges carry, one vector for each sender, as a value and as a file beside a circuit's."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from acdc.graphs.errors import BadCircuitFile
from acdc.graphs.files import write_atomically

KEY = "constants"
"""Where a circuit's provenance has them: `content` in memory, and `file` and `hash` in its file too."""


@dataclass(frozen=True)
class Constants:
    """What missing edges carry under optimal ablation, as the content of a file of safetensors.

    Equal content is equal constants, to the last bit.
    """

    content: bytes

    def __repr__(self) -> str:
        return f"<Constants: {self.hash[:19]}>"

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the file."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def file(self) -> str:
        """The name of the file, by its hash, so that several circuits' can lie in one directory."""
        return f"constants-{self.hash.removeprefix('sha256:')[:12]}.safetensors"

    def to_json(self) -> dict[str, str]:
        """The constants as plain JSON data."""
        return {"file": self.file, "hash": self.hash, "content": b64encode(self.content).decode()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Constants:
        """The constants that `to_json` wrote.

        Raises: BadCircuitFile when only their file's name and hash are there.
        """
        if not data.get("content"):
            raise BadCircuitFile(
                "what the circuit's missing edges carry, its learned constants, is not at hand: got only its hash, "
                f"wanted the file {data.get('file')} too; load the circuit from the circuit.json beside that file"
            )
        return cls(b64decode(data["content"]))

    def save(self, folder: Path) -> None:
        """Write the file into a folder, whole or not at all."""
        write_atomically(folder / self.file, self.content)

    @classmethod
    def load(cls, circuit: Path, said: object) -> Constants:
        """Read the file beside a circuit's file, which has `said` its name and hash.

        Raises: BadCircuitFile when it is missing or not what it was.
        """
        name, wanted = (said.get(key) if isinstance(said, Mapping) else None for key in ("file", "hash"))
        remedy = "put back the file that was written with the circuit, or discover the circuit again"
        if not (isinstance(name, str) and isinstance(wanted, str)) or Path(name).name != name:
            raise BadCircuitFile(
                f"{circuit} does not say which file holds the constants that its missing edges carry: got {said!r:.80}"
                ", wanted the name and the hash of one beside it; discover the circuit again"
            )
        path = circuit.parent / name
        try:
            found = cls(path.read_bytes())
        except OSError as error:
            raise BadCircuitFile(
                f"the constants that missing edges of {circuit} carry cannot be read from {path}: {error.strerror}; "
                f"{remedy}"
            ) from error
        if found.hash != wanted:
            raise BadCircuitFile(
                f"the constants that missing edges of {circuit} carry are not those that it was found with: {path} has "
                f"the hash {found.hash[:19]}..., wanted {wanted[:19]}...; {remedy}"
            )
        return found


def without_content(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A provenance with the name and the hash of its constants' file, if it has any, but not their content."""
    said = provenance.get(KEY)
    if not isinstance(said, Mapping):
        return dict(provenance)
    return {**provenance, KEY: {key: value for key, value in said.items() if key != "content"}}
