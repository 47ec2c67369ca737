"""Maps of numbers as pictures: one or more beside each other, in one scale of colours that colour-blind people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_MOST_LABELS = 32
"""How many labels an axis has room for."""
_NUMBERS = 200
"""A map of at most so many cells has its numbers in them."""


@dataclass(frozen=True)
class Scale:
    """What colours mean: `name` beside the bar; signed from -limit to limit, or from 0 to it (None: the largest)."""

    name: str
    limit: float | None = None
    signed: bool = True


def draw(
    maps: Mapping[str, npt.NDArray[np.float64]],
    *,
    rows: Sequence[str],
    columns: Sequence[str] | tuple[Sequence[str], ...],
    title: str,
    scale: Scale,
    axes_names: tuple[str, str] = ("layer", ""),
    across: int = 3,
    framed: npt.NDArray[np.bool_] | None = None,
) -> Figure:
    """Maps of the same rows, from the bottom up, each with its name above it; NaN is left grey.

    Their columns are the same, or those of each. Cells that are `framed` have a frame in all maps.
    """
    from matplotlib.figure import Figure

    alike = all(isinstance(name, str) for name in columns)
    names: list[Sequence[str]] = [columns] * len(maps) if alike else list(columns)  # type: ignore[list-item]  # just asked

    across = min(across, len(maps))
    bands = -(-len(maps) // across)
    width, height = (
        max(3.7, 0.42 * max(map(len, names)) + 0.9),
        max(1.4, 0.28 * len(rows) + 0.5) + 0.07 * max(len(label) for some in names for label in some),
    )
    width, height = min(width, 9.0), min(height, 8.0)
    figure = Figure(figsize=(across * width + 1.2, bands * height + 0.8), layout="constrained")
    grid = figure.subplots(bands, across, squeeze=False, sharey=True)
    limit = scale.limit or max(
        (float(np.nanmax(np.abs(one))) for one in maps.values() if np.isfinite(one).any()), default=1.0
    )
    limit = limit or 1.0
    for index, (name, values) in enumerate(maps.items()):
        image = _map(grid[index // across][index % across], values, rows, names[index], scale, limit)
        grid[index // across][index % across].set_title(name, fontsize="medium")
        if framed is not None:
            _frame(grid[index // across][index % across], framed)
    for index in range(len(maps), bands * across):
        grid[index // across][index % across].set_axis_off()
    for band in grid:
        band[0].set_ylabel(axes_names[0])
    for axes in grid[-1]:
        axes.set_xlabel(axes_names[1])
    figure.colorbar(image, ax=grid, label=scale.name, shrink=0.9, aspect=30)
    figure.suptitle(title, fontsize="medium")
    return figure


def _map(
    axes: Axes,
    values: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    scale: Scale,
    limit: float,
) -> AxesImage:
    # vermilion for negative and blue for positive, as in the pictures of circuits
    colours, lowest = ("RdBu", -limit) if scale.signed else ("viridis", 0.0)
    axes.set_facecolor("0.85")
    image = axes.imshow(values, origin="lower", aspect="auto", cmap=colours, vmin=lowest, vmax=limit)
    for axis, labels in ((axes.xaxis, columns), (axes.yaxis, rows)):
        step = -(-len(labels) // _MOST_LABELS)
        axis.set_ticks(range(0, len(labels), step), labels[::step])
    axes.tick_params(labelsize="small", length=2)
    if max(map(len, columns), default=0) > 3:
        axes.tick_params(axis="x", labelrotation=90)
    if values.size <= _NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = abs(value) > 0.6 * limit if scale.signed else value < 0.5 * limit
                colour = "white" if dark else "black"
                number = axes.text(column, row, _short(value), ha="center", va="center", fontsize=6, color=colour)
                number.set_in_layout(False)  # within its cell it moves nothing, and measuring each takes long
    return image


def _frame(axes: Axes, cells: npt.NDArray[np.bool_]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    frames = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in np.argwhere(cells)]
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor="black", linewidth=0.8))


def _short(value: float) -> str:
    # adding 0.0 takes the sign off a rounded -0.0
    text = f"{round(value, 2) + 0.0:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
