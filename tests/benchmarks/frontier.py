"""What circuits of every size keep of a behaviour on a real model, by method: `python -m tests.benchmarks.frontier`.

Each method searches for so many minutes; the order in which edges join its circuits is cut at every size, and the
circuits are measured on the prompts they were found with and on others. A model, task, metric and method is a file in
the folder; what is there is not measured again. Peak memory is that of the whole process, so give one method at a time
to compare it.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from acdc.discovery.search import search
from acdc.discovery.selection import Selection
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.files import write_atomically
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.request import Request
from acdc.settings import Method, Minutes, Setup

SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
LEVELS = (0.5, 0.7, 0.8, 0.9)
MODELS, TASKS = ("smollm2-135m", "gemma3-270m", "everyday-4l"), ("ioi", "greater_than", "capitals")


@dataclass(frozen=True)
class FrontierCell:
    """One method on one model, task and metric ("": the task's own)."""

    model: str
    task: str
    metric: str
    method: str

    @property
    def file(self) -> str:
        """What the file that keeps its result is called."""
        return f"{self.model}-{self.task}-{self.metric or 'own'}-{self.method}.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not in the folder yet, then print a table and draw a picture for each model, task and metric."""
    asked = _asked(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    for model in asked.models:
        for task in asked.tasks:
            for metric in asked.metrics:
                cells = [FrontierCell(model, task, metric, method) for method in asked.methods]
                for cell in cells:
                    file = asked.out / cell.file
                    if not file.exists():
                        console.print(f"{model}, {task}, {metric or 'own metric'}: {cell.method}")
                        result = _measured(cell, asked.prompts, asked.minutes)
                        write_atomically(file, (json.dumps(result, indent=1) + "\n").encode())
                results = [json.loads((asked.out / cell.file).read_text()) for cell in cells]
                console.print(_table(f"{model}, {task}, {metric or 'own metric'}", results))
                _draw(results, asked.out / f"{model}-{task}-{metric or 'own'}.png")


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="frontier", description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--metrics", nargs="+", default=("kl", ""), help='"" for the task\'s own')
    parser.add_argument("--methods", nargs="+", default=("masks", "shortlist", "eap-ig"))
    parser.add_argument("--prompts", type=int, default=64, help="to find with, and as many others to judge by")
    parser.add_argument("--minutes", type=float, default=10.0, help="that each method may search for")
    parser.add_argument("--out", type=Path, default=Path("runs/frontier"), help="where results are kept")
    return parser.parse_args(arguments)


def _measured(cell: FrontierCell, prompts: int, minutes: float) -> dict[str, Any]:
    setup = Setup(metric=cell.metric or None, prompts=prompts)
    task = Request.of(cell.task, cell.model).task
    discovery, judgement = problems(task, load_named(cell.model, setup), setup, 4 << 30)
    began = time.perf_counter()
    _, summary = drain(search(Method(cell.method), Minutes(minutes, 1.0), 0).walk(discovery))
    seconds = time.perf_counter() - began
    joining = summary.joining
    scores = {edge: score for edge, score in joining.items() if score is not None}
    order = Selection(Circuit(discovery.graph, frozenset(joining), scores), tuple(joining))
    points = [_point(size, order, discovery, judgement) for size in SIZES if size < discovery.graph.n_edges]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**asdict(cell), "prompts": prompts, "seconds": seconds, "peak_mb": peak, "points": points}


def _point(size: int, order: Selection, discovery: Problem, judgement: Problem) -> dict[str, Any]:
    """The largest circuit of at most so many edges after dead ones are gone, on both sides."""
    low, high = 0, len(order.order)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(order.first(middle)) <= size else (low, middle - 1)
    circuit = order.first(low)
    found, judged = (faithfulness(problem, circuit) for problem in (discovery, judgement))
    return {"asked": size, "edges": len(circuit), "found": _told(found), "judged": _told(judged)}


def _told(measured: Faithfulness) -> dict[str, Any]:
    accuracy = {"accuracy": measured.accuracy.circuit, "model_accuracy": measured.accuracy.full}
    return {**asdict(measured.normalised), "kl": measured.kl.circuit, **accuracy}


def edges_for(level: float, points: Sequence[dict[str, Any]]) -> float | None:
    """How many edges keep a level of the judged behaviour, on straight lines over the logarithm of the size."""
    before: tuple[int, float] | None = None
    for point in points:
        edges, kept = point["edges"], point["judged"]["value"]
        if kept >= level and edges:
            if before is None or not before[0]:
                return float(edges)
            part = (level - before[1]) / (kept - before[1])
            return math.exp(math.log(before[0]) + part * math.log(edges / before[0]))
        before = edges, kept
    return None


def _table(title: str, results: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title, caption="judged faithfulness [95%], discovery in brackets, accuracy; by edges")
    table.add_column("edges at most", justify="right")
    for result in results:
        table.add_column(f"{result['method']}\n{result['seconds'] / 60:.1f} min, {result['peak_mb']:,.0f} MB")
    for index, size in enumerate(point["asked"] for point in results[0]["points"]):
        table.add_row(f"{size:,}", *(_words(result["points"][index]) for result in results))
    for level in LEVELS:
        counts = (edges_for(level, result["points"]) for result in results)
        table.add_row(f"for {level:.0%}", *("-" if count is None else f"{count:,.0f} edges" for count in counts))
    return table


def _words(point: dict[str, Any]) -> str:
    judged = point["judged"]
    interval = f"[{judged['low']:.2f}, {judged['high']:.2f}]"
    return f"{judged['value']:.2f} {interval} ({point['found']['value']:.2f}) {judged['accuracy']:.0%}"


def _curve(points: Sequence[dict[str, Any]]) -> Iterator[tuple[int, float, float, float]]:
    for point in points:
        if point["edges"]:
            judged = point["judged"]
            yield point["edges"], judged["value"], judged["low"], judged["high"]


def _draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for result in results:
        edges, kept, low, high = zip(*_curve(result["points"]), strict=True)
        axes.plot(edges, kept, marker="o", markersize=3, label=f"{result['method']} ({result['seconds'] / 60:.0f} min)")
        axes.fill_between(edges, low, high, alpha=0.15)
    axes.set(xscale="log", xlabel="edges", ylabel="judged faithfulness", ylim=(None, 1.0))
    axes.set_title(f"{results[0]['task']} on {results[0]['model']}, {results[0]['metric'] or 'own metric'}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
