"""Activation patching: how much of the behaviour comes back, or is lost, with one part of the model's run replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.explain.estimates import Estimates, ratios
from acdc.explain.heat_map import Scale, draw
from acdc.explain.named_positions import NamedPositions
from acdc.explain.patched_metric import BY_POSITION, PARTS, Chosen, PatchedMetric, PatchingPass
from acdc.explain.screen import Screen
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from acdc.judges.distance import Watch
_THOUSAND = 1000


@dataclass(frozen=True)
class Coverage:
    """On how many prompts each cell of a map was measured, and whether these are all that have its column."""

    prompts: npt.NDArray[np.int64]
    complete: npt.NDArray[np.bool_]

    def __str__(self) -> str:
        few, most = (int(self.prompts[which].max(initial=0)) for which in (~self.complete, self.complete))
        return f"framed cells: {most} prompts, the others: {few}"


@dataclass(frozen=True)
class PatchingMap:
    """The effect of replacing a part of the run, by layer (row) and by position or head (column).

    `denoising` puts what the clean run has into the corrupt run and says which fraction of the behaviour comes back;
    `noising` puts what the corrupt run has into the clean run and says which fraction is lost: 0 nothing, 1 all that
    the metric of the clean and of the corrupt prompts differ by. `others` is the control: denoising with the clean run
    of another prompt of the batch. What no prompt has is NaN, and a prompt without a position does not count there;
    cells that a screen found weak rest on few prompts and have no control.

    Source: Wang et al. 2022; Heimersheim and Nanda 2024, How to use and interpret activation patching.
    """

    part: str
    columns: tuple[str, ...]
    denoising: Estimates
    noising: Estimates
    others: Estimates
    rests_on: Coverage

    @property
    def title(self) -> str:
        """What is replaced, in words."""
        return PARTS[self.part]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        kinds = {name: getattr(self, name).to_json() for name in ("denoising", "noising", "others")}
        return {"part": self.part, "columns": list(self.columns), **kinds, "prompts": self.rests_on.prompts.tolist()}

    def strongest(self, count: int) -> list[tuple[int, int]]:
        """The layer and the column of the cells, of those on all prompts, that bring most back, in falling order."""
        values = np.where(self.rests_on.complete, np.nan_to_num(self.denoising.value, nan=-np.inf), -np.inf)
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
        complete = self.rests_on.complete
        rests_on = f"; {self.rests_on}" if not complete.all() else ""
        return draw(
            maps,
            rows=[str(layer) for layer in range(len(self.denoising.value))],
            columns=self.columns,
            title=f"Activation patching: {self.title}{rests_on}",
            scale=Scale("fraction of the behaviour", 1.0),
            axes_names=("layer", "position" if self.part in BY_POSITION else "head"),
            framed=complete if rests_on else None,
        )


def patching(
    problem: Problem,
    parts: Sequence[str] = tuple(PARTS),
    seed: int = 0,
    *,
    screen: Screen | None = None,
    watch: Watch | None = None,
) -> tuple[PatchingMap, ...]:
    """The maps of these parts on a problem's prompts; the model's MLPs have one only where there are any.

    Clean and corrupt are always those of the prompt pairs, whatever the problem's ablation. With a `screen` all cells
    are measured on few prompts, and the strongest on all.

    Raises: UnmeasurableBehaviour where the metric does not tell the clean from the corrupt prompts.
    """
    wanted = [part for part in parts if part != "mlp" or problem.graph.has_mlp]
    ends, positions = bounds(problem), NamedPositions.of(problem)
    heads = tuple(f"h{head}" for head in range(problem.graph.n_heads))
    columns = {part: positions.names if part in BY_POSITION else heads for part in wanted}
    named, every = positions.having(), torch.ones(len(heads), len(problem.pairs), dtype=torch.bool)
    drawn = {
        part: _Drawing(part, columns[part], named if part in BY_POSITION else every, ends, seed) for part in wanted
    }
    whole = PatchingPass(problem, positions, columns)
    few = [] if screen is None else screen.typical(problem, ends[0] - ends[1], named)
    if screen is None or len(few) >= len(problem.pairs):
        found = whole.measured(lambda share: _tell(watch, share))
        return tuple(drawn[part].map(found[part]) for part in wanted)
    typical = problem.on(problem.pairs.select(few))
    first = PatchingPass(typical, replace(positions, problem=typical), columns, ("denoising", "noising"))
    left = screen.cells * len(wanted) * problem.graph.n_layers / 2 * len(problem.pairs) * len(whole.ways)
    part_of_all = first.work / (first.work + left)
    found = first.measured(lambda share: _tell(watch, part_of_all * share))
    maps = {part: drawn[part].on(few).map(found[part]) for part in wanted}
    chosen = {part: screen.strongest(one.denoising, one.noising) for part, one in maps.items()}
    again = replace(whole, chosen=chosen).measured(lambda share: _tell(watch, part_of_all + (1 - part_of_all) * share))
    return tuple(drawn[part].map(again[part], chosen[part], maps[part]) for part in wanted)


def _tell(watch: Watch | None, share: float) -> None:
    if watch is not None:
        watch(Progress("activation patching", round(_THOUSAND * share), _THOUSAND))


def bounds(problem: Problem) -> tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]:
    """The metric of the clean and of the corrupt prompts.

    Raises: UnmeasurableBehaviour where it does not tell them apart.
    """
    problem.bounds  # noqa: B018  # refuses a behaviour that ablation does not touch
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0]
    return full, none


@dataclass(frozen=True)
class _Drawing:
    """What makes a map of a part from what was measured: its columns, and which prompts have each.

    `ends` are the metric of the clean and of the corrupt prompts; `seed` draws resamples.
    """

    part: str
    columns: Sequence[str]
    having: Bool[Tensor, "column prompt"]
    ends: tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]
    seed: int

    def on(self, prompts: list[int]) -> _Drawing:
        """The same on some of the prompts."""
        full, none = self.ends
        return replace(self, having=self.having[:, prompts], ends=(full[prompts], none[prompts]))

    def map(
        self, metric: PatchedMetric, chosen: Chosen | None = None, others: PatchingMap | None = None
    ) -> PatchingMap:
        """As fractions of the way from the corrupt to the clean prompts, over those prompts that have a column.

        Where only some cells were measured, the chosen ones, what is said of the others is in another map.
        """
        full, none = self.ends
        changes = {
            "denoising": metric.denoising - none,
            "noising": full - metric.noising,
            "others": metric.others - none,
        }
        cells = torch.ones(changes["denoising"].shape[:2], dtype=torch.bool) if chosen is None else chosen
        found = {name: self._fractions(change, cells) for name, change in changes.items()}
        prompts = np.broadcast_to(self.having.sum(1).numpy(), cells.shape)
        if others is not None:
            here = cells.numpy()
            for name, estimates in found.items():
                for kind in ("value", "low", "high"):
                    one, other = (getattr(each, kind) for each in (estimates, getattr(others, name)))
                    one[~here] = other[~here]
            prompts = np.where(here, prompts, others.rests_on.prompts)
        return PatchingMap(self.part, tuple(self.columns), **found, rests_on=Coverage(prompts, cells.numpy()))

    def _fractions(self, change: Float[Tensor, "layer column prompt"], cells: Chosen) -> Estimates:
        full, none = self.ends
        found = Estimates(*(np.full(cells.shape, np.nan) for _ in range(3)))
        layer, column = cells.nonzero().unbind(1)
        has = self.having[column] & change[layer, column].isfinite()
        kinds, kind_of = torch.unique(has, dim=0, return_inverse=True)
        for number, prompts in enumerate(kinds):
            some = kind_of == number
            if prompts.any():
                at = layer[some], column[some]
                ratio = ratios(change[at][:, prompts], (full - none)[prompts], self.seed)
                for name in ("value", "low", "high"):
                    getattr(found, name)[tuple(each.numpy() for each in at)] = getattr(ratio, name)
        return found
