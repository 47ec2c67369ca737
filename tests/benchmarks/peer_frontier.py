"""Where edge rankings of `circuitkit` lie on the frontier: scored on our prompts, judged at the same sizes as ours.

Run as `python -m tests.benchmarks.peer_frontier --peer-python VENV/bin/python --model MODEL --beside runs/frontier`,
where VENV is an environment of its own made with `pip install circuitkit==0.2.0`, and the folder is one that `acdc
bench --frontier` has filled: its results of the model, task and metric stand in the same table and picture. Its RelP,
EAP-GP, IBCircuit and CD-T score nodes only, and so have no order in which edges join.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import torch
from rich.console import Console

from acdc import tasks
from acdc.bench.frontier import SIZES
from acdc.bench.frontier_cell import judged
from acdc.discovery.selection import Rule, Selection
from acdc.graphs.files import write_atomically
from acdc.models import load_named, resolve
from acdc.problems import problems
from acdc.report.frontier import tables
from acdc.report.frontier_picture import pictures
from acdc.settings import Setup
from tests.benchmarks.peer import scored_by, scoring_task
from tests.benchmarks.peer_process import Scoring, ScoringFailed, ScoringProcess

METHODS = ("EAP-IG-inputs", "EAP-IG-activations", "clean-corrupted", "EAP")


def measured(asked: argparse.Namespace, peer_python: str) -> list[dict[str, Any]]:
    """A frontier result for each method, or why it has none, as it is measured; kept beside the others.

    Raises: AcdcError.
    """
    torch.set_num_threads(asked.threads)
    setup = Setup(asked.metric, prompts=asked.prompts)
    model = load_named(asked.model, setup)
    discovery, judgement = problems(tasks.get(asked.task), model, setup)
    some = discovery.pairs.select(range(min(asked.scored or asked.prompts, len(discovery.pairs))))
    results = []
    for method in asked.methods.split(","):
        name = f"circuitkit {method}"
        told = {"name": name, "points": asked.points, "prompts": len(some)}
        subject = {"model": asked.model, "task": asked.task, "metric": asked.metric}
        result: dict[str, Any] = {"settings": {**subject, "method": told, "sizes": list(SIZES)}}
        try:
            with tempfile.TemporaryDirectory() as scratch:
                scoring = Scoring(asked.points, method=method, metric=asked.metric)
                task = scoring_task(os.path.abspath(resolve(asked.model)), some, scoring, asked.threads, asked.batch)
                with ScoringProcess(peer_python, "tests.benchmarks.peer_circuitkit", task, Path(scratch)) as process:
                    spent = process.score()
                    ranking = scored_by(process, discovery.graph)
        except ScoringFailed as error:
            result["failed"] = str(error)
        else:
            joining = {edge: ranking.scores[edge] for edge in Selection.of(ranking, Rule.TOP).order}
            figures = {"seconds": spent.seconds, "cpu_seconds": spent.cpu_seconds, "peak_mb": spent.peak_mb}
            result |= figures | judged(discovery, judgement, joining, SIZES)
        write_atomically(
            asked.beside / f"peer-{asked.model}-{asked.task}-{asked.metric}-{method}.json",
            (json.dumps(result, indent=1, allow_nan=False) + "\n").encode(),
        )
        results.append(result)
    return results


def ours(folder: Path, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """What `acdc bench --frontier` keeps there of this model, task and metric."""
    found = (json.loads(file.read_text("utf-8")) for file in sorted((folder / "cells").glob("*.json")))
    wanted = asked.model, asked.task, asked.metric
    return [one for one in found if tuple(one["settings"][what] for what in ("model", "task", "metric")) == wanted]


def main(arguments: list[str] | None = None) -> int:
    """Measure, and show all; 2 if there is no such Python, 3 if theirs does not run."""
    asked = _arguments(arguments)
    if (python := shutil.which(asked.peer_python)) is None:
        print(f"there is no Python at {asked.peer_python}; give that of one with circuitkit", file=sys.stderr)
        return 2
    asked.beside.mkdir(parents=True, exist_ok=True)
    theirs = measured(asked, os.path.abspath(python))
    every = [*ours(asked.beside, asked), *theirs]
    for part in tables(every):
        Console(width=120).print(part)
    for name, picture in pictures(every):
        write_atomically(asked.beside / f"peers-{name}", picture)
        print(f"written to {asked.beside / f'peers-{name}'}")
    return 3 if any("failed" in result for result in theirs) else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer_frontier", description=__doc__)
    parser.add_argument("--peer-python", required=True, help="the Python of an environment that holds circuitkit")
    parser.add_argument("--model", required=True, help="a checkpoint's directory, or a model that is shipped or got")
    parser.add_argument("--task", default="ioi", help="whose prompts (ioi)")
    parser.add_argument("--metric", default="kl", choices=("kl", "logit_difference"), help="by which (kl)")
    parser.add_argument("--methods", default=METHODS[0], help=f"with commas between, of {', '.join(METHODS)}")
    parser.add_argument("--prompts", type=int, default=64, help="to find with, and to judge by, as for ours (64)")
    parser.add_argument("--scored", type=int, default=0, help="how many of the first it scores on (all of them)")
    parser.add_argument("--batch", type=int, default=16, help="prompts in a batch of theirs (16)")
    parser.add_argument("--points", type=int, default=5, help="of the path of integrated gradients (5)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (1)")
    parser.add_argument("--beside", type=Path, default=Path("runs/frontier"), help="where ours lie, and these go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
