"""What a checkpoint was converted from, where that was a GGUF file: written beside its weights as source.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from acdc.graphs import strict_json
from acdc.graphs.errors import ModelNotFound

FILE = "source.json"
_SCHEMA = "acdc.gguf/1"


@dataclass(frozen=True)
class GgufSource:
    """A GGUF file: its name, its sha256, and what its weights were.

    `quantisation` is llama.cpp's name for how they were quantised (`Q4_K_M`), None for floating-point numbers;
    `tensors` is how many there are of each type. `doubts` are what a user should know before believing the conversion.
    """

    file: str
    sha256: str
    quantisation: str | None
    tensors: Mapping[str, int]
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, directory: Path) -> GgufSource | None:
        """What the checkpoint in a directory was converted from; None where it was not, or not by us.

        Raises: ModelNotFound for a record of ours that is damaged.
        """
        try:
            data = strict_json.loads((directory / FILE).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(data, dict) or data.pop("schema", None) != _SCHEMA:
            return None
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            raise ModelNotFound(
                f"{directory / FILE} is damaged: {error.errors()[0]['msg'].lower()}; remove {directory}, and it is "
                "made anew when it is asked for again"
            ) from error

    def write(self, directory: Path) -> None:
        """Write it beside the weights in a directory."""
        data = {"schema": _SCHEMA, **asdict(self)}
        (directory / FILE).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
