"""How the time of a search grows with the edges of the graph, the prompts and their length: an exponent for each.

Time is this process's CPU time on one thread, which other work on the machine changes little. The models are random and
of one shape but for their depth. Run as `python -m tests.benchmarks.growth`; six minutes on a quiet machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
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
PROMPTS = (8, 16, 32, 64, 128)
LENGTHS = (8, 16, 32, 64, 128)
USUAL = (8, 16, 16)
"""Layers, prompts and length where something else is varied."""
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


def growths(folder: Path) -> Iterator[tuple[str, list[GrowthPoint]]]:
    """Everything that is varied, with what was measured."""
    layers, prompts, length = USUAL
    measured(layers, prompts, length, folder)  # the first time everything is got ready
    yield "edges", [GrowthPoint(*measured(each, prompts, length, folder)) for each in LAYERS]
    yield "prompts", [GrowthPoint(each, measured(layers, each, length, folder)[1]) for each in PROMPTS]
    yield "tokens of a prompt", [GrowthPoint(each, measured(layers, prompts, each, folder)[1]) for each in LENGTHS]


def main() -> None:
    """Print a table for each."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for varied, points in growths(Path(folder)):
            print(f"\n| {varied} | {' | '.join(f'{point.size:,}' for point in points)} | exponent |", flush=True)
            for name in points[0].seconds:
                spent = [point.seconds[name] for point in points]
                line = linregress(torch.tensor([point.size for point in points]).log(), torch.tensor(spent).log())
                times = " | ".join(f"{seconds:.2f}" for seconds in spent)
                print(f"| {name} | {times} | {line.slope:.2f} ± {line.stderr:.2f} |", flush=True)


if __name__ == "__main__":
    main()
