"""What came of a grid: its cells in their order, each with its record and its circuit, as they are on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from acdc.bench import cell_files
from acdc.errors import BadRunFile, UnwritableOutput
from acdc.graphs import strict_json
from acdc.graphs.circuit import Circuit
from acdc.graphs.files import write_atomically
from acdc.sweep.cell import SweepCell
from acdc.sweep.folder import RECORD
from acdc.sweep.grid import SCHEMA

NAME = "sweep.json"
"""The file that says which cells a folder's grid has."""

Status = Literal["done", "refused", "failed", "not run"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class CellResult:
    """A cell by its hash, what decides it, and its record; None where it was never ended."""

    hash: str
    settings: Mapping[str, Any]
    record: Mapping[str, Any] | None
    directory: Path

    @property
    def task(self) -> str:
        """The task as the grid names it."""
        return str(self.settings["task"]["name"])

    @property
    def model(self) -> str:
        """The model as the grid names it."""
        return str(self.settings["model"]["name"])

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.settings["method"]["name"])

    @property
    def seed(self) -> int:
        """The seed of the prompts."""
        return int(self.settings["setup"]["seed"])

    @property
    def status(self) -> Status:
        """Whether there is a result: of what was refused, which is one too, there is no circuit."""
        said = "not run" if self.record is None else self.record["status"]
        return next(status for status in STATUSES if status == said)

    @property
    def message(self) -> str:
        """Why there is no circuit, where there is none."""
        return str((self.record or {}).get("message") or "")

    @property
    def figures(self) -> Mapping[str, Any]:
        """What was measured; nothing where it is not done."""
        figures: Mapping[str, Any] = (self.record or {}).get("figures", {})
        return figures

    @cached_property
    def circuit(self) -> Circuit | None:
        """The circuit, where there is one.

        Raises: BadCircuitFile.
        """
        return Circuit.load(self.directory / "circuit.json") if self.status == "done" else None


@dataclass(frozen=True)
class SweepResults:
    """All cells of the grid whose results a folder holds; `grid` is the path of its file."""

    directory: Path
    grid: str
    cells: tuple[CellResult, ...]

    @classmethod
    def read(cls, directory: Path) -> SweepResults | None:
        """What a folder holds; None where it is no grid's.

        Raises: BadRunFile when its sweep.json is damaged.
        """
        file = directory / NAME
        try:
            data = strict_json.loads(file.read_text("utf-8"))
            if data["schema"] != SCHEMA:
                raise ValueError(f"its schema is {data['schema']!r}, wanted {SCHEMA!r}")
            cells = tuple(_result(directory / "cells", cell["cell"], cell["settings"]) for cell in data["cells"])
            return cls(directory, str(data["grid"]), cells)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadRunFile(
                f"{file} is damaged: {type(error).__name__} {str(error)!r}; run `acdc sweep` again, "
                "which keeps all cells"
            ) from error

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in the grid's order."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    @property
    def models(self) -> tuple[str, ...]:
        """The models in the grid's order."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in the grid's order."""
        return tuple(dict.fromkeys(cell.method for cell in self.cells))

    def of(self, task: str, model: str | None = None, method: str | None = None) -> Iterator[CellResult]:
        """The cells of a task, and of a model and a method where these are given."""
        for cell in self.cells:
            if cell.task == task and model in (None, cell.model) and method in (None, cell.method):
                yield cell

    def count(self, status: Status) -> int:
        """How many cells have that status."""
        return sum(cell.status == status for cell in self.cells)


def describe(directory: Path, grid: Path, cells: Sequence[SweepCell]) -> None:
    """Write which cells the folder's grid has.

    Raises: UnwritableOutput for another grid's folder, and when it cannot be written.
    """
    there = SweepResults.read(directory)
    hashes = {cell.hash for cell in cells}
    if there is not None and there.grid != str(grid) and not hashes & {cell.hash for cell in there.cells}:
        raise UnwritableOutput(
            f"{directory} holds the results of another grid, {there.grid}; give another directory with --out"
        )
    rows = [{"cell": cell.hash, "settings": cell.settings} for cell in cells]
    text = json.dumps({"schema": SCHEMA, "grid": str(grid), "cells": rows}, allow_nan=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / NAME, f"{text}\n".encode())
    except OSError as error:
        raise UnwritableOutput(
            f"{directory} cannot be written: {error.strerror}; give a directory that you can write to with --out"
        ) from error


def _result(cells: Path, name: str, settings: Mapping[str, Any]) -> CellResult:
    done = cell_files.kept(cells / name / RECORD, settings)
    return CellResult(name, settings, done or cell_files.kept(cells / f"{name}.failed.json", settings), cells / name)
