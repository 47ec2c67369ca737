"""Which ranking of all edges is the best? Those of every method that scores, judged at a few sizes, from one load.

Run as `python -m tests.benchmarks.attributions --model MODEL --task TASK --metric METRIC`. It is what `acdc bench
--frontier` measures, of fewer prompts and sizes, for minutes instead of nights: every method scores on the same
prompts, and circuits of its highest absolute scores are judged on others. Beside faithfulness stand the interval and
how many of the prompts the circuit gets right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

import torch

from acdc import tasks
from acdc.bench.frontier_cell import at_most, joining_order
from acdc.discovery.selection import Selection
from acdc.errors import AcdcError
from acdc.graphs.circuit import Circuit
from acdc.judges.faithfulness import faithfulness_of_each
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Method, Setup

METHODS = ("eap", "eap-ig", "eap-ig-stable", "relp", "gim", "average", "atp-star")
SIZES = (30, 100, 300, 1_000)


def rows(discovery: Problem, judgement: Problem, methods: Sequence[str], sizes: Sequence[int]) -> Iterator[str]:
    """A row of a table for each method, as soon as it is there."""
    for method in methods:
        began = time.process_time()
        try:
            joining = joining_order(discovery, Method(method), minutes=60, seed=0)
        except AcdcError as error:
            yield f"| {method} | refused: {error} |"
            continue
        spent = time.process_time() - began
        scores = {edge: score for edge, score in joining.items() if score is not None}
        order = Selection(Circuit(discovery.graph, frozenset(joining), scores), tuple(joining))
        found = faithfulness_of_each(judgement, [at_most(order, size) for size in sizes])
        kept = (
            f"{one.normalised.value:.2f} [{one.normalised.low:.2f}, {one.normalised.high:.2f}], "
            f"{one.accuracy.circuit:.0%}"
            for one in found
        )
        yield f"| {method} | {spent:.0f} s | {' | '.join(kept)} |"


def main(arguments: list[str] | None = None) -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.attributions", description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--metric", default="logit_difference")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas between")
    parser.add_argument("--prompts", type=int, default=64, help="to judge by (64)")
    parser.add_argument("--scored", type=int, default=16, help="that methods score on (16)")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="with commas between")
    asked = parser.parse_args(arguments)
    sizes = [int(size) for size in asked.sizes.split(",")]
    setup = Setup(asked.metric, prompts=asked.prompts)
    discovery, judgement = problems(tasks.get(asked.task), load_named(asked.model, setup), setup)
    few = discovery.on(discovery.pairs.select(range(min(asked.scored, len(discovery.pairs)))))
    print(f"{few.graph.n_edges:,} edges; scored on {len(few.pairs)} prompts, judged on {len(judgement.pairs)}")
    print(f"{torch.get_num_threads()} threads; {asked.model}, {asked.task}, {asked.metric}")
    print("| method | of a processor |" + "".join(f" {size:,} edges |" for size in sizes))
    print("|---|---|" + "---|" * len(sizes), flush=True)
    for row in rows(few, judgement, asked.methods.split(","), sizes):
        print(row, flush=True)


if __name__ == "__main__":
    main()
