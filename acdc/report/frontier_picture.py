"""The pictures of `acdc bench --frontier`: for every model, task and metric, what circuits keep by size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from acdc.bench.frontier import file_stem
from acdc.report.frontier import by_subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Result = Mapping[str, Any]
# Okabe and Ito's colours, which stay apart under every common colour blindness, but for the yellow, which white hides;
# markers tell methods apart in grey, and where there are more methods than colours
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "d")


def pictures(results: Sequence[_Result]) -> Iterator[tuple[str, bytes]]:
    """For every model, task, metric and ablation that has a result a file's name and a PNG."""
    for subject, of_subject in by_subject(results).items():
        measured = [result for result in of_subject if any(point["edges"] for point in result.get("points", ()))]
        if measured:
            yield f"{file_stem('frontier', *subject)}.png", _picture(", ".join(subject), measured)


def _picture(title: str, results: Sequence[_Result]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    for index, result in enumerate(results):
        _curve(axes, result, _COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)])
    axes.axhline(1, color="grey", linewidth=0.5, linestyle=":")
    axes.set(xscale="log", xlabel="edges", ylabel="faithfulness (dashed: prompts to find with)", title=title)
    kept = [point["judged"]["value"] for result in results for point in result["points"]]
    axes.set_ylim(max(min(0.0, *kept), -0.5) - 0.05, min(max(1.0, *kept), 3.0) + 0.1)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return picture.getvalue()


def _curve(axes: Axes, result: _Result, color: str, marker: str) -> None:
    """Judged faithfulness with its interval, and that of the prompts to find with, dashed."""
    points = [point for point in result["points"] if point["edges"]]
    edges = [point["edges"] for point in points]
    judged = [point["judged"] for point in points]
    name = f"{result['settings']['method']['name']} ({result['seconds'] / 60:.1f} min)"
    axes.plot(edges, [one["value"] for one in judged], marker=marker, markersize=5, color=color, label=name)
    axes.fill_between(edges, [one["low"] for one in judged], [one["high"] for one in judged], color=color, alpha=0.1)
    axes.plot(edges, [point["found"]["value"] for point in points], linestyle="--", linewidth=0.8, color=color)
