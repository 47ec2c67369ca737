"""`make bench-gpu`: how long our work takes on a GPU, how much memory, and how busy the GPU is meanwhile."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import torch
from rich.console import Console
from rich.table import Table

from acdc import graphs, tasks
from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.files import write_atomically
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from acdc.tasks.prompts import PromptPairs
from tests.benchmarks import planted
from tests.benchmarks.bench import machine
from tests.benchmarks.planted import Shape
from tests.benchmarks.stopwatch import timed

SHAPES = {
    "planted-2l-tiny": Shape(2, 4, 32, 101, loud_heads=3, loud_mlps=1),
    "planted gpt2-small": Shape(12),
    "planted 24x16x1024": Shape(24, 16, 1024),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FRACTION = 0.01
"""Of what the metric changes when the whole model is ablated, how much an edge must be worth to be kept."""


@dataclass(frozen=True)
class Figure:
    """How long a piece of work took (the second of two runs), its peak memory beyond the model's, and what came of it.

    On a GPU the note also says in what share of the time a kernel ran.
    """

    work: str
    model: str
    dtype: str
    seconds: float
    peak_mb: float
    note: str


def main(arguments: list[str] | None = None) -> int:
    """Measure everything, show it, and write it down after every row."""
    asked = _arguments(arguments)
    console, figures = Console(width=160), list[Figure]()
    console.print(machine(asked.device), highlight=False)
    for name in asked.models:
        for dtype in asked.dtypes:
            for figure in measure(name, asked.checkpoint, DTYPES[dtype], asked.device):
                figures.append(figure)
                console.print(*asdict(figure).values(), highlight=False)
                write_atomically(asked.out, (json.dumps([asdict(one) for one in figures], indent=1) + "\n").encode())
    console.print(table(figures))
    return 0


def measure(name: str, checkpoint: str | None, dtype: torch.dtype, device: torch.device) -> Iterator[Figure]:
    """Every piece of work on one model in one precision."""
    model, pairs = _subject(name, checkpoint, dtype, device)
    kind = str(dtype).removeprefix("torch.")
    for work, once in _works(model, pairs).items():
        timed(once, device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        spent, note = timed(once, device)
        peak = (torch.cuda.max_memory_allocated(device) - before) / 1e6 if device.type == "cuda" else 0.0
        busy = f"; GPU busy {busy_share(once):.0%}" if device.type == "cuda" and spent < 30 else ""
        yield Figure(work, name, kind, spent, peak, note + busy)


def _works(model: Model, pairs: PromptPairs) -> dict[str, Callable[[], str]]:
    def problem(measured: str) -> Problem:
        return Problem(model, pairs, metric(measured))

    def effect(measured: str) -> float:
        full, none = problem(measured).measure([Circuit.full(model.graph), Circuit.empty(model.graph)])[0].mean(-1)
        return abs(float(full - none))

    thresholds = {measured: FRACTION * effect(measured) for measured in ("kl", "logit_difference")}
    edges, draw = list(model.graph.edges()), random.Random(0)
    circuits = [Circuit(model.graph, frozenset(draw.sample(edges, max(20, len(edges) // 100)))) for _ in range(64)]
    executors = [Executor.of(batch.runs) for batch in problem("kl").batches]

    def greedy(measured: str) -> str:
        found = GreedyPruning(thresholds[measured]).discover(problem(measured))
        return f"{len(found.circuit)} of {model.graph.n_edges:,} edges kept, {found.tested:,} tested"

    def sparse() -> str:
        for executor in executors:
            executor.run(circuits)
        return f"{len(circuits)} circuits of {len(circuits[0])} edges in a batch"

    def scored(algorithm: Attribution | IntegratedGradients) -> str:
        drain(algorithm.walk(problem("logit_difference")))
        return "scores of all edges"

    return {
        "sparse circuits": sparse,
        "attribution (eap)": lambda: scored(Attribution()),
        "eap-ig, 5 steps": lambda: scored(IntegratedGradients(steps=5)),
        "greedy, kl": lambda: greedy("kl"),
        "greedy, logit difference": lambda: greedy("logit_difference"),
    }


def busy_share(work: Callable[[], object]) -> float:
    """The share of the time of one more run in which a kernel ran, as torch's profiler sees it."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        spent = time.perf_counter() - start
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / spent


def _subject(name: str, checkpoint: str | None, dtype: torch.dtype, device: torch.device) -> tuple[Model, PromptPairs]:
    if name in SHAPES:
        model = planted.bridged(SHAPES[name], name, device=device, dtype=dtype)
        return model, planted.prompts(model, 8, 16)
    assert checkpoint is not None, f"say with --checkpoint where {name} is"
    model = graphs.load(checkpoint, device=device, dtype=dtype)
    return model, tasks.get("ioi").build(model.tokenizer, 16, 0).discovery


def table(figures: list[Figure]) -> Table:
    """The figures for people."""
    shown = Table()
    for column in ("work", "model", "dtype", "seconds", "peak MB", ""):
        shown.add_column(column)
    for one in figures:
        shown.add_row(one.work, one.model, one.dtype, f"{one.seconds:.3g}", f"{one.peak_mb:,.0f}", one.note)
    return shown


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-gpu", description=__doc__)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"), help="cuda, cuda:1, ...")
    parser.add_argument("--models", nargs="+", default=["planted gpt2-small", "planted 24x16x1024"], help="which")
    parser.add_argument("--checkpoint", help="directory of a real model, for a name that is not planted")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--out", type=Path, default=Path("runs/bench-gpu.json"), help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
