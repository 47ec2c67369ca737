"""How the time of a search grows with the edges of the graph, the prompts and their length: an exponent for each.

Time is this process's CPU time on one thread, which other work on the machine changes little. The models are random and
of one shape but for their depth. Run as `python -m tests.benchmarks.growth [edges] [prompts] [tokens]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from scipy.stats import linregress

from acdc import graphs
from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning
from acdc.drain import drain
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from tests.acdc.behaviours import behaviour
from tests.checkpoints import token_ids, write

LAYERS = (4, 8, 12, 16, 24)
PROMPTS = (4, 8, 16, 32, 64)
LENGTHS = (8, 16, 32, 64, 128)
FEW_LAYERS, FEW_PROMPTS, USUAL = 4, 8, 16
"""Layers and prompts where something else is varied that makes it slow, and prompts and tokens otherwise."""
THRESHOLD = 0.01
"""Of greedy pruning, as a part of what ablating the whole model costs."""
_DENSE = 0.9
_ENOUGH = 1.0
"""Seconds after which work is not measured once more."""


@dataclass(frozen=True)
class GrowthPoint:
    """The size of what was varied, and the seconds of CPU time that each work took."""

    size: int
    seconds: dict[str, float]


@cache
def model(layers: int, folder: Path) -> Model:
    """A random model of so many layers of four heads and an MLP."""
    from transformers import GPT2Config

    directory = folder / str(layers)
    write(GPT2Config(n_embd=128, n_layer=layers, n_head=4, n_positions=max(LENGTHS), **token_ids()), directory)
    return graphs.load(directory)


def works(problem: Problem) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    full, none = problem.bounds
    greedy = GreedyPruning(THRESHOLD * abs(full - none))
    every = list(problem.graph.edges())
    kept = torch.rand(len(every), generator=torch.Generator().manual_seed(0)) < _DENSE
    dense = Circuit(problem.graph, frozenset(edge for edge, one in zip(every, kept.tolist(), strict=True) if one))
    return {
        "greedy": lambda: drain(greedy.walk(problem)),
        "eap-ig": lambda: drain(IntegratedGradients().walk(problem)),
        "one dense circuit": lambda: problem.measure([dense]),
    }


def measured(layers: int, prompts: int, length: int, folder: Path) -> tuple[int, dict[str, float]]:
    """The edges of the graph, and the seconds that each work takes: the least of three, of those that are quick."""
    loaded = model(layers, folder)
    problem = Problem(loaded, behaviour(loaded, [length] * prompts), LogitDifference(), Ablation.RESAMPLE)
    found = {}
    for name, work in works(problem).items():
        spent: list[float] = []
        while len(spent) < 3 and sum(spent) < _ENOUGH:
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
        found[name] = min(spent)
    return loaded.graph.n_edges, found


def growths(folder: Path, varied: Sequence[str]) -> Iterator[tuple[str, list[GrowthPoint]]]:
    """What is varied, with what was measured."""
    measured(FEW_LAYERS, FEW_PROMPTS, USUAL, folder)  # the first time everything is got ready
    if "edges" in varied:
        yield "edges", [GrowthPoint(*measured(each, USUAL, USUAL, folder)) for each in LAYERS]
    if "prompts" in varied:
        yield "prompts", [GrowthPoint(each, measured(FEW_LAYERS, each, USUAL, folder)[1]) for each in PROMPTS]
    if "tokens" in varied:
        yield "tokens", [GrowthPoint(each, measured(FEW_LAYERS, FEW_PROMPTS, each, folder)[1]) for each in LENGTHS]


def main(*varied: str) -> None:
    """Print a table for each that is varied, all of them if none is named."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, points in growths(Path(folder), varied or ("edges", "prompts", "tokens")):
            print(f"\n| {name} | {' | '.join(f'{point.size:,}' for point in points)} | exponent |", flush=True)
            for work in points[0].seconds:
                spent = [point.seconds[work] for point in points]
                line = linregress(torch.tensor([point.size for point in points]).log(), torch.tensor(spent).log())
                times = " | ".join(f"{seconds:.2f}" for seconds in spent)
                print(f"| {work} | {times} | {line.slope:.2f} ± {line.stderr:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
