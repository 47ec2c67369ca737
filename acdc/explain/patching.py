"""Activation patching: how much of the behaviour comes back, or is lost, with one part of the model's run replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.explain.estimates import Estimates, ratios
from acdc.explain.final_metric import measured
from acdc.explain.heat_map import Scale, draw
from acdc.explain.named_positions import NamedPositions
from acdc.explain.patched_batch import PatchedBatch
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.allocation import freed_memory_kept
from acdc.graphs.execution.restoring import Restoring
from acdc.problem import Problem
from acdc.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from acdc.judges.distance import Watch

BY_POSITION = {"residual": "residual stream before the layer", "attention": "attention output", "mlp": "MLP output"}
BY_HEAD = {"head": "head output", "q": "queries", "k": "keys", "v": "values"}
PARTS = BY_POSITION | BY_HEAD
"""What can be replaced, and what it is called: at the positions of a name, or of a head at all positions."""
_LAYERS = 8
"""Of how many layers what is replaced by position is run together."""


@dataclass(frozen=True)
class PatchingMap:
    """The effect of replacing a part of the run, by layer (row) and by position or head (column).

    `denoising` puts what the clean run has into the corrupt run and says which fraction of the behaviour comes back;
    `noising` puts what the corrupt run has into the clean run and says which fraction is lost: 0 nothing, 1 all that
    the metric of the clean and of the corrupt prompts differ by. `others` is the control: denoising with the clean run
    of another prompt of the batch. What no prompt has is NaN, and a prompt without a position does not count there.

    Source: Wang et al. 2022; Heimersheim and Nanda 2024, How to use and interpret activation patching.
    """

    part: str
    columns: tuple[str, ...]
    denoising: Estimates
    noising: Estimates
    others: Estimates

    @property
    def title(self) -> str:
        """What is replaced, in words."""
        return PARTS[self.part]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        kinds = {name: getattr(self, name).to_json() for name in ("denoising", "noising", "others")}
        return {"part": self.part, "columns": list(self.columns), **kinds}

    def strongest(self, count: int) -> list[tuple[int, int]]:
        """The layer and the column of the cells that bring most back, in falling order."""
        values = np.nan_to_num(self.denoising.value, nan=-np.inf)
        order = np.argsort(-values, axis=None, kind="stable")[:count]
        cells = zip(*np.unravel_index(order, values.shape), strict=True)
        return [(int(row), int(column)) for row, column in cells if np.isfinite(values[row, column])]

    def plot(self) -> Figure:
        """Three maps beside each other, in one scale."""
        maps = {
            "restored: clean into corrupt": self.denoising.value,
            "lost: corrupt into clean": self.noising.value,
            "control: another prompt's clean run": self.others.value,
        }
        return draw(
            maps,
            rows=[str(layer) for layer in range(len(self.denoising.value))],
            columns=self.columns,
            title=f"Activation patching: {self.title}",
            scale=Scale("fraction of the behaviour", 1.0),
            axes_names=("layer", "position" if self.part in BY_POSITION else "head"),
        )


@freed_memory_kept()
def patching(
    problem: Problem, parts: Sequence[str] = tuple(PARTS), seed: int = 0, *, watch: Watch | None = None
) -> tuple[PatchingMap, ...]:
    """The maps of these parts on a problem's prompts; the model's MLPs have one only where there are any.

    Clean and corrupt are always those of the prompt pairs, whatever the problem's ablation.

    Raises: UnmeasurableBehaviour where the metric does not tell the clean from the corrupt prompts.
    """
    wanted = [part for part in parts if part != "mlp" or problem.graph.has_mlp]
    full, none = bounds(problem)
    positions = NamedPositions.of(problem)
    heads = tuple(f"h{head}" for head in range(problem.graph.n_heads))
    columns = {part: positions.names if part in BY_POSITION else heads for part in wanted}
    values = {part: _PatchedMetric.nowhere(problem, columns[part]) for part in wanted}
    has = torch.zeros(len(positions.names), len(problem.pairs), dtype=torch.bool)
    total, done = len(wanted) * problem.graph.n_layers * len(problem.prompt_batches), 0
    for batch in problem.batches:
        runs = PatchedBatch.of(problem, batch)
        where = positions.where(batch.prompts, batch.runs.delta.shape[-2])
        prompts = batch.prompts.prompts.cpu()
        has[:, prompts] = torch.stack([has_it[runs.first_rows] for has_it in where.any(-1)]).cpu()
        for part in wanted:
            for layers in _together(part, problem.graph.n_layers):
                _measure(problem, runs, part, layers, where, values[part])
                done += len(layers)
                if watch is not None:
                    watch(Progress(f"patching: {PARTS[part]}", done, total))
        del batch
    everywhere = torch.ones(len(heads), len(problem.pairs), dtype=torch.bool)
    return tuple(
        values[part].compared(part, columns[part], has if part in BY_POSITION else everywhere, (full, none), seed)
        for part in wanted
    )


def bounds(problem: Problem) -> tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]:
    """The metric of the clean and of the corrupt prompts.

    Raises: UnmeasurableBehaviour where it does not tell them apart.
    """
    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0]
    return full, none


@dataclass(frozen=True)
class _PatchedMetric:
    """The metric with a part replaced, by layer, column and prompt."""

    denoising: Float[Tensor, "layer column prompt"]
    noising: Float[Tensor, "layer column prompt"]
    others: Float[Tensor, "layer column prompt"]

    @classmethod
    def nowhere(cls, problem: Problem, columns: Sequence[str]) -> _PatchedMetric:
        """Not measured yet."""
        shape = (problem.graph.n_layers, len(columns), len(problem.pairs))
        return cls(*(torch.full(shape, torch.nan, dtype=torch.float64) for _ in range(3)))

    def compared(
        self,
        part: str,
        columns: Sequence[str],
        has: Bool[Tensor, "column prompt"],
        ends: tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]],
        seed: int,
    ) -> PatchingMap:
        """As fractions of the way from the corrupt to the clean prompts, over those prompts that have a column."""
        full, none = ends
        whole = full - none
        changes = (self.denoising - none, full - self.noising, self.others - none)
        return PatchingMap(part, tuple(columns), *(_fractions(change, whole, has, seed) for change in changes))


def _fractions(
    change: Float[Tensor, "layer column prompt"],
    whole: Float[Tensor, " prompt"],
    has: Bool[Tensor, "column prompt"],
    seed: int,
) -> Estimates:
    shape = change.shape[:2]
    found = Estimates(*(np.full(shape, np.nan) for _ in range(3)))
    has = has & change.isfinite().all(0)
    kinds, kind_of = torch.unique(has, dim=0, return_inverse=True)
    for number, prompts in enumerate(kinds):
        columns = (kind_of == number).nonzero().squeeze(1)
        if prompts.any():
            some = ratios(change[:, columns][..., prompts], whole[prompts], seed)
            for name in ("value", "low", "high"):
                getattr(found, name)[:, columns.numpy()] = getattr(some, name)
    return found


def _together(part: str, layers: int) -> list[range]:
    """The layers in groups that are run together: heads of a layer are many already."""
    size = _LAYERS if part in BY_POSITION else 1
    return [range(first, min(first + size, layers)) for first in range(0, layers, size)]


def _measure(
    problem: Problem,
    runs: PatchedBatch,
    part: str,
    layers: range,
    where: Bool[Tensor, "name row pos"],
    into: _PatchedMetric,
) -> None:
    """Replace a part at some layers in all three ways."""
    rows, restored = runs.batch.prompts.prompts.cpu(), runs.restored
    ways = {"denoising": restored, "noising": replace(restored, base=restored.source, source=restored.base)}
    if len(rows) > 1:
        # for each row the first row of the next prompt of the batch
        another = runs.first_rows.roll(-1)[runs.batch.prompts.prompt_numbers]
        ways["others"] = replace(restored, source=tuple(stream.select(another) for stream in restored.source))
    for way, replacing in ways.items():
        for layer, final in zip(layers, _replaced(replacing, part, layers, where), strict=True):
            getattr(into, way)[layer][:, rows] = measured(problem, runs.batch, final)


def _replaced(
    runs: Restoring, part: str, layers: range, where: Bool[Tensor, "name row pos"]
) -> Float[Tensor, "layer column row d_model"]:
    with torch.no_grad():
        match part:
            case "residual":
                return runs.residual(layers, where)
            case "attention":
                return runs.attention(layers, where)
            case "mlp":
                return runs.mlp(layers, where)
            case "q" | "k" | "v":
                return torch.stack([runs.heads(layer, part) for layer in layers])
            case _:
                return torch.stack([runs.heads(layer) for layer in layers])
