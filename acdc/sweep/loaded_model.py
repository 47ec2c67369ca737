"""The model of the moment: cells on one model follow each other, so that one process loads it once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from acdc.graphs.errors import DoubtfulModel
from acdc.graphs.model import Model
from acdc.models import load_named
from acdc.settings import Compute
from acdc.sweep.cell import SweepCell


@final
class LoadedModel:
    """One model at most, with what was doubtful as it was loaded."""

    def __init__(self) -> None:
        self._key: tuple[str, str, Compute] | None = None
        self._held: tuple[Model, tuple[str, ...]] | None = None

    def of(self, cell: SweepCell) -> tuple[Model, tuple[str, ...]]:
        """The model of a cell, and what is doubtful about it; another one that was held is let go first.

        Raises: as `acdc.models.load_model`.
        """
        key = cell.model.found_by, cell.model.decided_by, cell.setup.compute
        if self._held is None or key != self._key:
            self._held = None
            notes: list[str] = []
            with doubts(notes):
                self._held = load_named(cell.model.found_by, cell.setup), ()
            self._key, self._held = key, (self._held[0], tuple(notes))
        return self._held


@contextmanager
def doubts(notes: list[str]) -> Iterator[None]:
    """Inside, what is doubtful about a model is noted and not warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DoubtfulModel)
        yield
    for warning in caught:
        if issubclass(warning.category, DoubtfulModel):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
