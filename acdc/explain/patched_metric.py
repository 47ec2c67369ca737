"""The metric with parts of the run replaced: of every layer and column, or of chosen ones, in three ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.final_metric import measured
from acdc.explain.named_positions import NamedPositions
from acdc.explain.patched_batch import PatchedBatch
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.restoring import Restoring
from acdc.problem import Problem

BY_POSITION = {"residual": "residual stream before the layer", "attention": "attention output", "mlp": "MLP output"}
BY_HEAD = {"head": "head output", "q": "queries", "k": "keys", "v": "values"}
PARTS = BY_POSITION | BY_HEAD
"""What can be replaced, and what it is called: at the positions of a name, or of a head at all positions."""
WAYS = ("denoising", "noising", "others")
_LAYERS = 8
"""Of how many layers what is replaced is run together at most, where all of a layer is."""
_NUMBERS = 1 << 25
"""About how many numbers that take the place of others are held at once."""
Chosen = Bool[Tensor, "layer column"]
"""Which cells of a map are measured."""


@dataclass(frozen=True)
class PatchedMetric:
    """The metric with a part replaced, by layer, column and prompt; NaN where it was not measured.

    `denoising` has parts of the clean run in the corrupt one, `noising` the other way round, `others` in the corrupt
    run parts of the clean run of another prompt of the batch.
    """

    denoising: Float[Tensor, "layer column prompt"]
    noising: Float[Tensor, "layer column prompt"]
    others: Float[Tensor, "layer column prompt"]

    @classmethod
    def nowhere(cls, problem: Problem, columns: int) -> PatchedMetric:
        """Not measured yet."""
        shape = (problem.graph.n_layers, columns, len(problem.pairs))
        return cls(*(torch.full(shape, torch.nan, dtype=torch.float64) for _ in WAYS))


@dataclass(frozen=True)
class PatchingPass:
    """What is measured in one go on a problem's prompts: maps with these columns, in these ways.

    Of the cells of each map those that are `chosen`; all where this is None.
    """

    problem: Problem
    positions: NamedPositions
    columns: Mapping[str, Sequence[str]]
    ways: Sequence[str] = WAYS
    chosen: Mapping[str, Chosen] | None = None

    def measured(self, tell: Callable[[float], None]) -> dict[str, PatchedMetric]:
        """The metric for every map; `tell` hears which part of the work is done."""
        found = {part: PatchedMetric.nowhere(self.problem, len(columns)) for part, columns in self.columns.items()}
        done = 0.0
        for batch in self.problem.batches:
            for work in self._of_batch(batch, found):
                done += work
                tell(done / self.work)
            del batch
        return found

    def _of_batch(self, batch: Batch, found: Mapping[str, PatchedMetric]) -> Iterator[float]:
        """Measure a batch of prompts, and yield how much each piece of work was."""
        runs = PatchedBatch.of(self.problem, batch)
        where = self.positions.where(batch.prompts, batch.runs.length)
        ways = {way: replacing for way in self.ways if (replacing := _replacing(runs, way)) is not None}
        for part in self.columns:
            for layers in self._together(part, runs):
                with freed_memory_kept():
                    self._measure(runs, ways, part, layers, where, found[part])
                yield self._work(part, layers) * len(batch.prompts.prompts) * len(self.ways)

    @property
    def work(self) -> float:
        """How much is run, in layers for one prompt: from the layer of a cell to the last."""
        every = range(self.problem.graph.n_layers)
        return sum(self._work(part, every) for part in self.columns) * len(self.problem.pairs) * len(self.ways)

    def _work(self, part: str, layers: Sequence[int]) -> float:
        cells = self._cells(part, layers).sum(1).double()
        left = self.problem.graph.n_layers - torch.tensor(layers, dtype=torch.float64)
        # what stands before a position is not run again
        return float((cells * left).sum()) / (2 if part in BY_POSITION else 1)

    def _cells(self, part: str, layers: Sequence[int]) -> Chosen:
        if self.chosen is None:
            return torch.ones(len(layers), len(self.columns[part]), dtype=torch.bool)
        return self.chosen[part][list(layers)]

    def _together(self, part: str, runs: PatchedBatch) -> Iterator[Sequence[int]]:
        """The layers that anything is measured of, in groups that are run together."""
        left = self._cells(part, range(self.problem.graph.n_layers)).any(1).nonzero().squeeze(1).tolist()
        numbers = runs.restored.base[0].before.numel() * (1 if part in BY_POSITION else self.problem.graph.n_heads)
        size = max(1, min(_LAYERS if self.chosen is None else len(left), _NUMBERS // max(1, numbers)))
        return (left[first : first + size] for first in range(0, len(left), size))

    def _measure(
        self,
        runs: PatchedBatch,
        ways: Mapping[str, Restoring],
        part: str,
        layers: Sequence[int],
        where: Bool[Tensor, "name row pos"],
        into: PatchedMetric,
    ) -> None:
        """Replace a part at some layers in all ways."""
        rows, cells = runs.batch.prompts.prompts.cpu(), self._cells(part, layers)
        layer, column = cells.nonzero().unbind(1)
        at = torch.tensor(layers)[layer][:, None], column[:, None], rows[None]
        for way, replacing in ways.items():
            final = _replaced(replacing, part, layers, where, cells)[layer, column]
            getattr(into, way)[at] = measured(self.problem, runs.batch, final)


def _replacing(runs: PatchedBatch, way: str) -> Restoring | None:
    """What is put into what; None where there is no other prompt."""
    restored = runs.restored
    match way:
        case "denoising":
            return restored
        case "noising":
            return replace(restored, base=restored.source, source=restored.base)
        case _ if len(runs.batch.prompts.prompts) < 2:
            return None
        case _:
            # for each row the first row of the next prompt of the batch
            another = runs.first_rows.roll(-1)[runs.batch.prompts.prompt_numbers]
            return replace(restored, source=tuple(stream.select(another) for stream in restored.source))


def _replaced(
    runs: Restoring, part: str, layers: Sequence[int], where: Bool[Tensor, "name row pos"], cells: Chosen
) -> Float[Tensor, "layer column row d_model"]:
    with torch.no_grad():
        match part:
            case "residual":
                return runs.residual(layers, where, cells)
            case "attention":
                return runs.attention(layers, where, cells)
            case "mlp":
                return runs.mlp(layers, where, cells)
            case "q" | "k" | "v":
                return runs.heads(layers, part, cells)
            case _:
                return runs.heads(layers, None, cells)
