"""A discovery that can be interrupted: what it was asked, and how far it is, in one file that `acdc.drain` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.errors import BadCheckpoint
from acdc.graphs.files import write_atomically

SCHEMA = "acdc.checkpoint/3"
ROUNDS = "rounds.json"
"""Where a refinement keeps the rounds it has done, beside the checkpoint of its first circuit."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a discovery keeps how far it is; `request` is all that must be the same for it to go on."""

    path: Path
    request: Mapping[str, Any]

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all."""
        data = {"schema": SCHEMA, "request": self.request, "state": state}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(data).encode(), durable=False)

    def load(self) -> Mapping[str, Any]:
        """The state to go on from.

        Raises: BadCheckpoint when there is none, it is damaged, or it is another discovery's.
        """
        try:
            data = json.loads(self.path.read_text("utf-8"))
            schema, request, state = data["schema"], dict(data["request"]), dict(data["state"])
        except OSError as error:
            raise BadCheckpoint(
                f"there is nothing to resume: {self.path} cannot be read ({error.strerror}); start without --resume"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(f"{self.path} is no checkpoint or is damaged; delete it and start anew") from error
        if schema != SCHEMA:
            raise BadCheckpoint(f"{self.path} has schema {schema!r}, wanted {SCHEMA!r}; delete it and start anew")
        wanted = json.loads(json.dumps(self.request))
        different = [key for key in wanted if request.get(key) != wanted[key]]
        if different:
            changes = "; ".join(f"{key} was {request.get(key)!r}, is now {wanted[key]!r}" for key in different)
            raise BadCheckpoint(
                f"{self.path} is of another discovery: {changes}; give the same options as then, or start without "
                "--resume"
            )
        return state
