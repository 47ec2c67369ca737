"""What work costs beside the forwards and backwards it cannot do without: `python -m tests.benchmarks.floors`.

On a real model, every cost as a ratio to plain forwards (Hugging Face's, logits at the last position only) of the same
prompts, all taken in turns or next to each other in one run.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.greedy import GreedyPruning, Step, WalkState
from acdc.discovery.selection import Rule, Selection
from acdc.drain import drain
from acdc.models import load_named, resolve
from acdc.problem import Problem
from acdc.problems import problems
from acdc.request import Request
from acdc.settings import Setup
from tests.benchmarks.stopwatch import timed, walk_in_turns

STEPS = 5
Row = tuple[str, str, str]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="floors", description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--edges", type=int, nargs="+", default=(1_000, 10_000), help="of circuits that are measured")
    parser.add_argument("--kept", type=int, nargs="+", default=(110, 1_000), help="edges kept while others are tested")
    parser.add_argument("--threshold", type=float, default=0.1, help="in nats, of a whole greedy walk; 0: none")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(arguments)
    setup = Setup(metric="kl", prompts=asked.prompts)
    name = Request.of(asked.task, asked.model).model
    problem, _ = problems(Request.of(asked.task, asked.model).task, load_named(name, setup), setup, 4 << 30)
    _ = problem.bounds
    console = Console(width=120)
    table = Table(title=f"{asked.task} on {name}, {asked.prompts} prompts, KL, {torch.get_num_threads()} threads")
    for column in ("work", "time", "against plain forwards"):
        table.add_column(column)
    for row in rows(problem, _plain(name), asked):
        console.print(*row, sep=" | ")
        table.add_row(*row)
    console.print(table)


def rows(problem: Problem, plain: Any, asked: argparse.Namespace) -> Iterator[Row]:
    """Every measurement: what, how long, and beside its floor."""
    device = problem.model.device
    forward, both = (lambda: _forward(plain, problem)), (lambda: _forward_and_backward(plain, problem))
    scores = IntegratedGradients("inputs", STEPS, math.inf)
    times = _medians((forward, both, lambda: drain(scores.walk(problem))), asked.repeats, device)
    floor = STEPS * times[1] + times[0]
    yield "plain forward", f"{times[0]:.2f} s", "1"
    yield "forward and backward", f"{times[1]:.2f} s", f"{times[1] / times[0]:.2f}"
    ratio = f"{times[2] / floor:.2f} of {STEPS} forwards and backwards and a forward"
    yield f"integrated gradients, {STEPS} steps", f"{times[2]:.1f} s", ratio
    selection = Selection.of(drain(scores.walk(problem)), Rule.TOP)
    for count in asked.edges:
        circuit = selection.first(count)
        plainly, spent = _medians((forward, lambda: problem.measure([circuit])), asked.repeats, device)  # noqa: B023
        yield f"a circuit of {len(circuit):,} edges", f"{spent:.2f} s", f"{spent / plainly:.2f}"
    if asked.threshold:
        walked = walk_in_turns(GreedyPruning(asked.threshold).walk(problem), forward, 2 * asked.repeats + 1, device)  # type: ignore[arg-type]
        each, found = walked.seconds / walked.result.tested, walked.result
        what = f"greedy at {asked.threshold:g}: {found.tested:,} tested, {len(found.circuit)} kept"
        yield what, f"{walked.seconds:.1f} s", f"{median(walked.reference) / each:.0f} times faster per tested edge"
    for count in asked.kept:
        each = _per_test(problem, selection, count)
        plainly, _ = timed(forward, device)
        what = f"greedy beside {count:,} edges of that ranking"
        yield what, f"{1000 * each:.1f} ms a test", f"{plainly / each:.0f} times faster per tested edge"


def _medians(works: Sequence[Callable[[], object]], repeats: int, device: torch.device) -> list[float]:
    times = [[timed(work, device)[0] for work in works] for _ in range(repeats + 1)]
    return [median(column) for column in zip(*times[1:], strict=True)]


def _per_test(problem: Problem, selection: Selection, count: int) -> float:
    """The seconds of a test where so many edges are kept: a few receivers of middle layers, the rest decided."""
    graph, circuit = problem.graph, selection.of_size(count)
    spent, tested = 0.0, 0
    for part in (0.7, 0.4):
        undecided = int(part * len(graph.receivers))
        downstream = set(graph.receivers[undecided:])
        scores = {edge.name: 1.0 for edge in circuit.edges if edge.target in downstream}
        walk = GreedyPruning(0.02).walk(problem, WalkState(len(graph.receivers) - undecided, scores, size=16))
        seen = 0
        began = time.perf_counter()
        for step in walk:
            if isinstance(step, Step) and step.tested:
                tested, seen = tested + step.tested, seen + 1
            if seen == 6:
                break
        walk.close()
        spent += time.perf_counter() - began
    return spent / max(1, tested)


def _plain(name: str) -> Any:
    from transformers import AutoModelForCausalLM

    plain: Any = AutoModelForCausalLM.from_pretrained(resolve(name), dtype=torch.float32)
    return plain.requires_grad_(False).eval()


@torch.no_grad()
def _forward(plain: Any, problem: Problem) -> None:
    for batch in problem.prompt_batches:
        plain(batch.clean, logits_to_keep=1)


@torch.enable_grad()
def _forward_and_backward(plain: Any, problem: Problem) -> None:
    for batch in problem.prompt_batches:
        embedded = plain.get_input_embeddings()(batch.clean).detach().requires_grad_()
        plain(inputs_embeds=embedded, logits_to_keep=1).logits.log_softmax(-1).sum().backward()


if __name__ == "__main__":
    main()
