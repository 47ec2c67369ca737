"""The table of `acdc bench`: pure functions from results to what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from acdc.report.columns import plain_table

LEGEND = (
    "Means over seeds. Edge and node AUC: the area under the ROC's pessimistic staircase; plain: under straight lines, "
    "ties counted half. Precision and recall of the circuit nearest the true size. CPR (higher is better) and CMD "
    "(lower is better) as MIB defines them. s: seconds that the method took."
)

_Result = Mapping[str, Any]
_COLUMNS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("edge\nAUC", ("ground_truth", "edges", "pessimistic"), 3),
    ("edge\nplain", ("ground_truth", "edges", "plain"), 3),
    ("node\nAUC", ("ground_truth", "nodes", "pessimistic"), 3),
    ("preci-\nsion", ("ground_truth", "at_true_size", "precision"), 2),
    ("\nrecall", ("ground_truth", "at_true_size", "recall"), 2),
    ("\nCPR", ("faithfulness", "cpr"), 2),
    ("\nCMD", ("faithfulness", "cmd"), 2),
    ("\ns", ("seconds",), 2),
)
"""What each column shows, where a result has it, and with how many decimals."""


def tables(results: Sequence[_Result]) -> Iterator[RenderableType]:
    """A table for every ablation, each with what must be known to read it, and a legend."""
    for ablation, under in by(results, "ablation").items():
        yield Group(*_table(ablation, under))
    yield Text(LEGEND, style="dim")


def by(results: Sequence[_Result], setting: str) -> dict[str, list[_Result]]:
    """The results by the value of a setting, in the order in which they come; methods by name."""
    groups: dict[str, list[_Result]] = {}
    for result in results:
        value = result["settings"][setting]
        groups.setdefault(value["name"] if setting == "method" else value, []).append(result)
    return groups


def _table(ablation: str, results: Sequence[_Result]) -> Iterator[RenderableType]:
    seeds = len({result["settings"]["seed"] for result in results})
    yield Text(f"{ablation} ablation, {seeds} seed{'s' * (seeds != 1)}", style="bold")
    table = plain_table()
    table.add_column("\nmethod", no_wrap=True)
    for title, _, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for model, of_model in by(results, "model").items():
        table.add_row(Text(model, style="bold"))
        for method, alike in by(of_model, "method").items():
            table.add_row(method, *(_mean(alike, keys, decimals) for _, keys, decimals in _COLUMNS))
    yield table
    for model, of_model in by(results, "model").items():
        made_under = of_model[0]["truth"]["made_under"]
        if made_under != ablation:
            yield Text(
                f"Note: the true edges of {model} were derived under {made_under} ablation; "
                f"under {ablation} others may be."
            )
    for why, refused in _refusals(results).items():
        yield Text(f"Note: no result of {', '.join(refused)}: {why}")


def _refusals(results: Sequence[_Result]) -> dict[str, list[str]]:
    """Why there is no result, and of which method on which model and seed."""
    refusals: dict[str, list[str]] = {}
    for model, of_model in by(results, "model").items():
        for method, alike in by(of_model, "method").items():
            seeds: dict[str, list[str]] = {}
            for result in alike:
                if "refused" in result:
                    seeds.setdefault(result["refused"], []).append(str(result["settings"]["seed"]))
            for why, some in seeds.items():
                which = "" if len(some) == len(alike) else f" (seed {', '.join(some)})"
                refusals.setdefault(why, []).append(f"{method} on {model}{which}")
    return refusals


def _mean(results: Sequence[_Result], keys: tuple[str, ...], decimals: int) -> str:
    values = [value for result in results if (value := _at(result, keys)) is not None]
    # adding 0.0 takes the sign off a rounded -0.0
    return f"{round(mean(values), decimals) + 0.0:.{decimals}f}" if values else "-"


def _at(result: _Result, keys: tuple[str, ...]) -> float | None:
    value: Any = result
    for key in keys:
        if value is None or key not in value:
            return None
        value = value[key]
    return float(value)
