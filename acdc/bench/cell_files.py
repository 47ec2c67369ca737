"""The files that keep the results of a benchmark cell by cell, and all results with what they were made with."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.graphs.files import write_atomically


def kept(file: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result that the file keeps, if it is one of these settings; None where there is none, or it is damaged."""
    try:
        result = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(result, dict) and result.get("settings") == json.loads(json.dumps(settings))
    return result if same else None


def keep(file: Path, result: Mapping[str, Any]) -> None:
    """Write a result, whole or not at all.

    Raises: OSError.
    """
    write_atomically(file, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode(), durable=False)


def summary(schema: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """All results and what they were made with, as plain JSON data."""
    import torch

    from acdc.provenance import versions

    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"schema": schema, "versions": versions(), "machine": machine, "cells": results}
