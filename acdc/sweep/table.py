"""The table of a grid: a row for each cell, as CSV and as Parquet where pyarrow is installed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas
from scipy.stats import binomtest

from acdc.errors import UnwritableOutput
from acdc.graphs.files import write_atomically
from acdc.sweep.change import Course
from acdc.sweep.results import CellResult, SweepResults

if TYPE_CHECKING:
    from acdc.sweep.change import CourseStep

CSV, PARQUET = "sweep.csv", "sweep.parquet"
TIMINGS = ("seconds",)
"""The columns that another run of the same grid does not give again."""
_COUNTS = (
    *("seed", "prompts", "edges", "of_edges", "nodes", "heads", "gained", "lost"),
    *("claims_passed", "claims_failed", "claims_errors"),
)


def table(results: SweepResults, over: Sequence[Course]) -> pandas.DataFrame:
    """A row for each cell in the grid's order; what is not known or does not apply is missing.

    `faithfulness` has its bootstrap interval (`_low`, `_high`), `model_accuracy` that of Wilson, both of 95%;
    `jaccard`, `gained` and `lost` are against the circuit of `before`, an earlier model, if it is of the same shape;
    `overlap` is of what both are made of, by role (or else kind) and depth, whatever the shapes.
    """
    steps = {step.cell.hash: step for course in over for step in course.steps}
    frame = pandas.DataFrame([_row(cell, steps.get(cell.hash)) for cell in results.cells])
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))


def write(frame: pandas.DataFrame, directory: Path) -> tuple[Path, ...]:
    """Write the table, each file whole or not at all; the files.

    Raises: UnwritableOutput.
    """
    contents = {CSV: frame.to_csv(index=False).encode()}
    if find_spec("pyarrow") is not None:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False, engine="pyarrow")
        contents[PARQUET] = buffer.getvalue()
    try:
        for name, content in contents.items():
            write_atomically(directory / name, content)
    except OSError as error:
        raise UnwritableOutput(
            f"the table cannot be written to {directory}: {error.strerror}; make room there"
        ) from error
    return tuple(directory / name for name in contents)


def _row(cell: CellResult, step: CourseStep | None) -> dict[str, Any]:
    change, makeup = (None, None) if step is None else (step.change, step.makeup)
    setup, figures = cell.settings["setup"], cell.figures
    record = cell.record or {}
    goal = cell.settings["goal"]
    return {
        "cell": cell.hash,
        "task": cell.task,
        "model": cell.model,
        "method": cell.method,
        "goal": " ".join([goal["kind"], *(f"{value:g}" for key, value in goal.items() if key != "kind")]),
        "seed": cell.seed,
        "prompts": setup["prompts"],
        "metric": figures.get("metric", setup["metric"]),
        "ablation": setup["ablation"],
        "device": setup["compute"]["device"],
        "dtype": setup["compute"]["dtype"],
        "status": cell.status,
        "message": cell.message or None,
        **_judged(figures),
        **_followed(figures),
        "before": makeup and makeup.before,
        "jaccard": change and change.jaccard,
        "gained": None if change is None else len(change.gained),
        "lost": None if change is None else len(change.lost),
        "overlap": makeup and makeup.overlap,
        "overlap_by": makeup and makeup.now.by,
        "notes": "; ".join(record.get("notes", ())) or None,
        "seconds": record.get("seconds"),
    }


def _judged(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the circuit keeps, on the prompts that judge it."""
    judged = figures.get("faithfulness", {})
    size, kept, accuracy = (judged.get(name, {}) for name in ("size", "normalised", "accuracy"))
    low, high = _wilson(figures.get("right"))
    return {
        **{name: size.get(name) for name in ("edges", "of_edges", "nodes", "heads")},
        "faithfulness": kept.get("value"),
        "faithfulness_low": kept.get("low"),
        "faithfulness_high": kept.get("high"),
        "kl": judged.get("kl", {}).get("circuit"),
        "kl_p95": judged.get("kl_tail", {}).get("p95"),
        "accuracy": accuracy.get("circuit"),
        "model_accuracy": accuracy.get("full"),
        "model_accuracy_low": low,
        "model_accuracy_high": high,
        "ablated_accuracy": accuracy.get("none"),
    }


def _followed(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What came of what was done with the circuit afterwards."""
    stable, claims = figures.get("stability") or {}, figures.get("claims", {})
    return {
        "verdict": figures.get("evaluation", {}).get("verdict"),
        "worst_kl": figures.get("attack", {}).get("worst_kl"),
        "resamples_jaccard": (stable.get("resamples") or {}).get("with_circuit"),
        "seeds_jaccard": (stable.get("seeds") or {}).get("with_circuit"),
        "claims_passed": claims.get("passed"),
        "claims_failed": claims.get("failed"),
        "claims_errors": claims.get("errors"),
    }


def _wilson(right: Mapping[str, Any] | None) -> Iterator[float | None]:
    """The interval of a fraction of prompts."""
    if not right or right["right"] is None or not right["count"]:
        return iter((None, None))
    interval = binomtest(right["right"], right["count"]).proportion_ci(0.95, method="wilson")
    return iter((float(interval.low), float(interval.high)))
