"""Grid files on a shipped model and copies of it, and work on their cells that takes no time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import load_file, save_file

from acdc import tasks
from acdc.sweep.cell import SweepCell
from acdc.sweep.folder import JOURNAL, SweepFolder
from acdc.sweep.reading import load_grid

SETTINGS = "settings: {prompts: 4, goal: {edges: 10}}"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def small(folder: Path, *, models: str = "[periodic-2l]", seeds: str = "[0]", more: Sequence[str] = ()) -> Path:
    """A grid of the periodic task, whose cells take a quarter of a second."""
    lines = ("tasks: [periodic]", f"models: {models}", "methods: [eap-ig]", f"seeds: {seeds}", SETTINGS, *more)
    return write(folder / "grid.yaml", *lines)


def cells_of(grid: Path) -> tuple[SweepCell, ...]:
    return load_grid(grid).cells()


def checkpoint(directory: Path, noise: float, model: str = "periodic-2l") -> Path:
    """A copy of a shipped model, with so much noise on its weights, in units of each tensor's own spread."""
    shutil.copytree(tasks.shipped_model(model), directory)
    weights, draw = load_file(directory / "model.safetensors"), numpy.random.default_rng(0)
    noisy = {
        name: (weight + noise * weight.std() * draw.standard_normal(weight.shape)).astype(weight.dtype)
        for name, weight in weights.items()
    }
    save_file(noisy, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def nothing(cell: SweepCell, room: Path) -> dict[str, Any]:
    """Work that takes no time."""
    (room / "made").write_text(cell.hash)
    return {"settings": cell.settings, "status": "done"}


def events(folder: SweepFolder) -> list[tuple[str, str]]:
    """What the journal of a folder says: events with the cell of each."""
    journal = folder.directory / JOURNAL
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [(line["event"], line["cell"]) for line in map(json.loads, lines)]
