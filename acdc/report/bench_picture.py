"""The picture of `acdc bench`: for every model the ROC of each method, and below it faithfulness by size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from acdc.report.bench import by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 4
"""How many models stand beside each other."""

_Result = Mapping[str, Any]


def pictures(results: Sequence[_Result]) -> Iterator[tuple[str, bytes]]:
    """For every ablation its name and a PNG."""
    for ablation, under in by(results, "ablation").items():
        yield ablation, _picture(ablation, under)


def _picture(ablation: str, results: Sequence[_Result]) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    models, methods = by(results, "model"), list(by(results, "method"))
    across = min(_ACROSS, len(models))
    bands = -(-len(models) // across)
    figure = Figure(figsize=(3.1 * across + 0.4, 5.2 * bands + 0.9), layout="constrained")
    axes = figure.subplots(2 * bands, across, squeeze=False)
    palette = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
    styles = {
        method: {
            "color": palette[index % 10],
            "linestyle": ("-", "--")[index // 10 % 2],
            "linewidth": 1 + 3 * (1 - index / len(methods)),  # where curves coincide, all can be seen
        }
        for index, method in enumerate(methods)
    }
    for index, (model, of_model) in enumerate(models.items()):
        row, column = divmod(index, across)
        _roc(axes[2 * row][column], of_model, styles)
        axes[2 * row][column].set_title(model)
        _sizes(axes[2 * row + 1][column], of_model, styles)
    for index in range(len(models), bands * across):
        for below in (0, 1):
            axes[2 * (index // across) + below][index % across].set_axis_off()
    lines = [Line2D([], [], **styles[method]) for method in methods]
    figure.legend(lines, methods, loc="outside lower center", ncols=min(len(methods), 2 * across), fontsize="small")
    figure.suptitle(f"{ablation} ablation")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _roc(axes: Axes, results: Sequence[_Result], styles: Mapping[str, Mapping[str, Any]]) -> None:
    """The pessimistic staircases over edges, a thin line for every seed."""
    for method, alike in by(results, "method").items():
        for result in alike:
            if curve := result.get("ground_truth", {}).get("edges"):
                x, y = zip(*curve["points"], strict=True)
                axes.plot(x, y, drawstyle="steps-post", alpha=_alpha(alike), **styles[method])
    axes.plot((0, 1), (0, 1), color="grey", linewidth=0.5, linestyle=":")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_aspect("equal")


def _sizes(axes: Axes, results: Sequence[_Result], styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Faithfulness of the circuits by absolute score, by the edges they have, and where the true size is."""
    highest = 1.0
    for method, alike in by(results, "method").items():
        for result in alike:
            points = result.get("faithfulness", {}).get("absolute", ())
            # the edges do not always rise with those asked for
            curve = sorted({(point["edges"], point["faithfulness"]) for point in points})
            x, y = [size for size, _ in curve], [value for _, value in curve]
            highest = max([highest, *y])
            axes.plot(x, y, alpha=_alpha(alike), marker=".", markersize=4, **styles[method])
    for size in {result["truth"]["edges"] for result in results}:
        axes.axvline(size, color="grey", linewidth=0.5, linestyle=":")
    axes.axhline(1, color="grey", linewidth=0.5, linestyle=":")
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlim=(0, None), ylim=(-0.55, min(highest, 3) + 0.2), xlabel="edges (dotted: true)", ylabel="faithfulness")


def _alpha(results: Sequence[_Result]) -> float:
    return float(max(0.15, len(results) ** -0.5))
