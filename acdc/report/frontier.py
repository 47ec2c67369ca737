"""The tables of `acdc bench --frontier`: pure functions from results to what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from acdc.bench.frontier import subject_of
from acdc.report.columns import plain_table

LEGEND = (
    "Judged: faithfulness on prompts that no method saw, with its 95% interval; found: on those it was found with; KL "
    "and right: of the circuit on the judged prompts. Edges for 50%...: that keep so much of the judged behaviour, on "
    "straight lines between sizes by logarithm. CPR (higher is better) and CMD (lower is better): areas over MIB's "
    "shares of all edges. min: minutes that the search took; CPU: those of processors, all together. MB: the most "
    "memory of its process until then, model and prompts included. -: the method names too few edges, or no circuit "
    "keeps so much."
)

_Result = Mapping[str, Any]
_NONE = "-"


def tables(results: Sequence[_Result]) -> Iterator[RenderableType]:
    """Two tables for every subject, by size and by method; with why there is no result, if so."""
    for subject, of_subject in by_subject(results).items():
        yield Group(*_of_subject(subject, of_subject))
    yield Text(LEGEND, style="dim")


def by_subject(results: Sequence[_Result]) -> dict[tuple[str, ...], list[_Result]]:
    """The results by model, task, metric and ablation, in the order in which they come."""
    groups: dict[tuple[str, ...], list[_Result]] = {}
    for result in results:
        settings = result["settings"]
        model, task, metric = (settings[part] for part in ("model", "task", "metric"))
        subject = subject_of(model, task, metric, settings.get("ablation", "resample"))
        groups.setdefault(subject, []).append(result)
    return groups


def _of_subject(subject: tuple[str, ...], results: Sequence[_Result]) -> Iterator[RenderableType]:
    yield Text(", ".join(subject), style="bold")
    measured = [result for result in results if "points" in result]
    if measured:
        one = measured[0]
        yield Text(
            f"{one['edges']['of_graph']:,} edges; {one['prompts']['judged']} prompts to judge by, of which the model "
            f"gets {one['model_accuracy']:.0%} right"
        )
        yield _by_size(measured)
        yield Text()
        yield _by_method(results)
    for result in results:
        method = result["settings"]["method"]["name"]
        if why := result.get("refused") or result.get("failed"):
            yield Text(f"Note: no result of {method}: {why}")
    for note in dict.fromkeys(note for result in results for note in result.get("notes", ())):
        yield Text(f"Note: {note}")


def _by_size(results: Sequence[_Result]) -> Table:
    """What circuits of each size keep, one method beside the other; sizes that the graph does not have are left out."""
    table = plain_table()
    for title in ("edges,\nat most", "\nmethod", "\nedges", "\njudged", "\n95%", "\nfound", "\nKL", "\nright"):
        table.add_column(title, justify="left" if title in ("\nmethod", "\n95%") else "right", no_wrap=True)
    sizes = [size for size in results[0]["settings"]["sizes"] if size < results[0]["edges"]["of_graph"]]
    for size in sizes:
        for number, result in enumerate(results):
            point = next((point for point in result["points"] if point["asked"] == size), None)
            shown = f"{size:,}" if number == 0 else ""
            table.add_row(shown, result["settings"]["method"]["name"], *_numbers(point))
    return table


def _numbers(point: _Result | None) -> tuple[str, ...]:
    if point is None:
        return (_NONE,) * 6
    judged = point["judged"]
    return (
        f"{point['edges']:,}",
        _two(judged["value"]),
        f"[{_two(judged['low'])}, {_two(judged['high'])}]",
        _two(point["found"]["value"]),
        _two(judged["kl"]),
        f"{judged['accuracy']:.0%}",
    )


def _by_method(results: Sequence[_Result]) -> Table:
    table = plain_table()
    table.add_column("\nmethod", no_wrap=True)
    settings = next((list(result["edges_for"]) for result in results if "edges_for" in result), [])
    for number, level in enumerate(settings):
        above = "\n" if number else "edges\nfor "
        table.add_column(f"{above}{float(level):.0%}", justify="right", no_wrap=True)
    for title in ("\nCPR", "\nCMD", "\nmin", "\nCPU", "\nMB"):
        table.add_column(title, justify="right", no_wrap=True)
    for result in results:
        counts = result.get("edges_for", {})
        edges = (_shown(counts.get(level), "{:,.0f}") for level in settings)
        areas = (_shown(result.get(area), "{:.2f}") for area in ("cpr", "cmd"))
        seconds = (result.get(which) for which in ("seconds", "cpu_seconds"))
        minutes = (_shown(None if one is None else one / 60, "{:.1f}") for one in seconds)
        memory = _shown(result.get("peak_mb"), "{:,.0f}")
        table.add_row(result["settings"]["method"]["name"], *edges, *areas, *minutes, memory)
    return table


def _shown(value: float | None, form: str) -> str:
    return _NONE if value is None else form.format(value)


def _two(value: float) -> str:
    # adding 0.0 takes the sign off a rounded -0.0
    return f"{round(value, 2) + 0.0:.2f}"
