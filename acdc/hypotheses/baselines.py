"""Values recorded for claims that have a tolerance: one JSON file beside each hypothesis file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.errors import BadBaseline, UnwritableOutput
from acdc.graphs import strict_json
from acdc.graphs.files import write_atomically

SCHEMA = "acdc.baseline/1"


@dataclass(frozen=True)
class Baseline:
    """What was recorded for a claim: its value, and for the edge set also the names of the edges."""

    value: float
    edges: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"value": self.value} if self.edges is None else {"value": self.value, "edges": list(self.edges)}


def path_of(hypothesis: Path) -> Path:
    """Where the baselines of a hypothesis file are: `test_x.acdc.baseline.json` for `test_x.acdc.yaml`."""
    return hypothesis.with_suffix(".baseline.json")


def load(path: Path) -> dict[str, Baseline]:
    """The baselines in that file by claim; none where there is no file.

    Raises: BadBaseline when the file is not what `save` writes.
    """
    try:
        data = strict_json.loads(path.read_text("utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}, wanted {SCHEMA!r}")
        return {str(name): _baseline(recorded) for name, recorded in data["claims"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadBaseline(
            f"{path}: these baselines cannot be read: got {type(error).__name__} {str(error)!r}, wanted what "
            "`acdc test --update` writes; restore the file, or delete it and record them anew"
        ) from error


def save(path: Path, recorded: Mapping[str, Baseline]) -> None:
    """Write these baselines, beside those of other claims that are there already.

    Raises: BadBaseline when what is there cannot be read; UnwritableOutput.
    """
    together = {**load(path), **recorded}
    data = {"schema": SCHEMA, "claims": {name: baseline.to_json() for name, baseline in sorted(together.items())}}
    try:
        write_atomically(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UnwritableOutput(
            f"the baselines {path} cannot be written: {error.strerror}; make the folder writable"
        ) from error


def _baseline(data: Mapping[str, Any]) -> Baseline:
    edges = data.get("edges")
    return Baseline(float(data["value"]), None if edges is None else tuple(str(edge) for edge in edges))
