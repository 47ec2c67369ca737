"""Our EAP-IG and that of `circuitkit` on the same prompts, points and metric: time, memory and edges that are needed.

Run as `python -m tests.benchmarks.peer --peer-python VENV/bin/python --model DIRECTORY`, where VENV is an environment
of its own made with `pip install circuitkit==0.2.0`. Both score in processes of their own, in turns. Edges are matched
by their names, which are the same: keys and values that heads share are receivers of each query head in both. Both
rankings are measured by our executor.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import scipy.stats
import torch

from acdc import tasks
from acdc.discovery.levels import measured
from acdc.discovery.scored_search import sized
from acdc.discovery.selection import Rule, Selection
from acdc.drain import drain
from acdc.errors import AcdcError, UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.files import write_atomically
from acdc.graphs.mib import scored_graph
from acdc.models import load_model, resolve
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import KeptFaithfulness, Setup
from acdc.tasks.prompts import PromptPairs
from tests.benchmarks.bench import machine
from tests.benchmarks.peer_process import ScoredPrompt, Scoring, ScoringFailed, ScoringProcess, ScoringTask, Spent

LEVELS = (0.5, 0.7, 0.9)
TOP = 1000
"""Of how many of the strongest edges the share in common is told."""


@dataclass(frozen=True)
class Contestant:
    """An implementation: the Python that runs it, its script here, and whether it may take more points than asked."""

    name: str
    python: str
    module: str
    doubling: bool = False


@dataclass(frozen=True)
class Reached:
    """The smallest circuit found that keeps a level on the discovery prompts, and what it keeps of others."""

    level: float
    edges: int
    kept: float
    judged: float


@dataclass(frozen=True)
class RankingAgreement:
    """How alike two rankings of all edges are: correlations of scores and of ranks; Jaccard index of the strongest."""

    pearson: float
    spearman: float
    common: float

    @classmethod
    def of(cls, one: Circuit, other: Circuit) -> RankingAgreement:
        """That of two whole graphs with scores."""
        edges = one.ordered()
        scores = [[scored.scores[edge] for edge in edges] for scored in (one, other)]
        strongest = [set(scored.strongest_first()[:TOP]) for scored in (one, other)]
        return cls(
            float(scipy.stats.pearsonr(*scores).statistic),
            float(scipy.stats.spearmanr(*scores).statistic),
            len(strongest[0] & strongest[1]) / len(strongest[0] | strongest[1]),
        )


def contestants(peer_python: str) -> tuple[Contestant, ...]:
    """Theirs; ours at the same points; and ours as it is by default."""
    ours = "tests.benchmarks.peer_ours"
    return (
        Contestant("circuitkit", peer_python, "tests.benchmarks.peer_circuitkit"),
        Contestant("ours", sys.executable, ours),
        Contestant("ours, points doubled where too few", sys.executable, ours, doubling=True),
    )


def scoring_task(model: str, pairs: PromptPairs, scoring: Scoring, threads: int, batch: int = 0) -> ScoringTask:
    """These prompts for a process to score, in one batch unless told; of several answers or distractors the first."""
    prompts = [
        ScoredPrompt(
            pair.text.clean,
            pair.text.corrupt,
            list(pair.clean),
            list(pair.corrupt),
            pair.answers[0],
            pair.distractors[0],
        )
        for pair in pairs.pairs
    ]
    return ScoringTask(model, prompts, scoring, threads, batch or len(prompts))


def in_turns(processes: Sequence[ScoringProcess], repeats: int) -> tuple[Spent, ...]:
    """What each took, the median of each figure, every one scoring once before any scores again."""
    every = []
    for turn in range(1, repeats + 1):
        every.append([process.score() for process in processes])
        seconds = ", ".join(f"{one.seconds:.1f} s ({one.cpu_seconds:.1f} s of a processor)" for one in every[-1])
        print(f"turn {turn} of {repeats}: {seconds}", flush=True)
    return tuple(
        Spent(**{key: median(getattr(one, key) for one in column) for key in Spent.__dataclass_fields__})
        for column in zip(*every, strict=True)
    )


def score_all(
    entered: Sequence[Contestant], problem: Problem, asked: argparse.Namespace
) -> tuple[tuple[Spent, ...], list[Circuit]]:
    """What each took to score the problem's prompts, and the whole graph with its scores.

    Raises: ScoringFailed.
    """
    directory = os.path.abspath(resolve(asked.model))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        processes = []
        for number, one in enumerate(entered):
            scoring = Scoring(asked.points, one.doubling)
            task = scoring_task(directory, problem.pairs, scoring, asked.threads)
            process = ScoringProcess(one.python, one.module, task, scratch / str(number))
            processes.append(stack.enter_context(process))
            versions = ", ".join(f"{name} {version}" for name, version in process.versions.items())
            print(f"{one.name}: {versions}", flush=True)
        spent = in_turns(processes, asked.repeats)
        return spent, [scored_by(process, problem.graph) for process in processes]


def scored_by(process: ScoringProcess, graph: ComputationalGraph) -> Circuit:
    """The whole graph with a process's scores.

    Raises: ScoringFailed when it has scored other edges.
    """
    found = scored_graph(json.loads(process.scores.read_text("utf-8")), frozen_scale=graph.frozen_scale)
    if found.graph != graph:
        raise ScoringFailed(f"edges of another graph were scored: got {found.graph}, wanted {graph}")
    return found


def sizes(scored: Circuit, discovery: Problem, judgement: Problem) -> Iterator[Reached]:
    """How many edges, of the highest absolute scores and without dead ones, each level takes."""
    selection = Selection.of(scored, Rule.TOP)
    for level in LEVELS:
        try:
            chosen, met = drain(sized(discovery, selection, KeptFaithfulness(level)))
        except UnreachableGoal:
            continue
        circuit = met[chosen.edges][1]
        yield Reached(level, chosen.edges, chosen.faithfulness, measured(judgement, circuit, 0.0).faithfulness)


def line(name: str, spent: Spent, reached: Sequence[Reached]) -> str:
    """A row of the table."""
    by_level = {one.level: f"{one.edges:,} ({one.judged:.0%})" for one in reached}
    time = f"{spent.seconds:.0f} s ({spent.cpu_seconds:.0f} s)"
    memory = f"{spent.peak_mb:,.0f} MB ({spent.above_mb:,.0f} MB)"
    return (
        f"| {name} | {spent.points:.0f} | {time} | {memory} | "
        + " | ".join(by_level.get(level, "-") for level in LEVELS)
        + " |"
    )


def compare(asked: argparse.Namespace, peer_python: str) -> None:
    """Measure, print the table row by row, and write the figures down."""
    torch.set_num_threads(asked.threads)
    setup = Setup("logit_difference", prompts=asked.prompts, seed=asked.seed)
    model = load_model(asked.model)
    discovery, judgement = problems(tasks.get(asked.task), model, setup)
    print(f"{machine(model.device)}; load average {os.getloadavg()[0]:.1f}")
    print(
        f"{asked.task}: {asked.prompts} prompts to score and as many others; {model.graph.n_edges:,} edges", flush=True
    )
    entered = contestants(peer_python)
    spent, scored = score_all(entered, discovery, asked)
    levels = " | ".join(f"edges for {level:.0%} (others keep)" for level in LEVELS)
    print(f"| EAP-IG | points | time (of a processor) | peak memory (beyond the model) | {levels} |")
    print(f"|---|---|---|---|{'---|' * len(LEVELS)}", flush=True)
    rows: list[dict[str, Any]] = []
    for one, took, ranking in zip(entered, spent, scored, strict=True):
        reached = tuple(sizes(ranking, discovery, judgement))
        print(line(one.name, took, reached), flush=True)
        alike = asdict(RankingAgreement.of(scored[0], ranking))
        found = {"spent": asdict(took), "reached": [asdict(each) for each in reached], "agreement": alike}
        rows.append({"name": one.name, **found})
        write_atomically(asked.out, (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode())
    for row in rows[1:]:
        figures = ", ".join(f"{name} {value:.8f}" for name, value in row["agreement"].items())
        print(f"{row['name']} against {rows[0]['name']}: {figures} (of the {TOP:,} strongest)")
    print(f"written to {asked.out}; load average {os.getloadavg()[0]:.1f}")


def main(arguments: list[str] | None = None) -> int:
    """Compare; 2 if something is asked for that is not there, 3 if an implementation does not run."""
    asked = _arguments(arguments)
    if (python := shutil.which(asked.peer_python)) is None:
        print(
            f"there is no Python at {asked.peer_python}; give that of an environment with circuitkit", file=sys.stderr
        )
        return 2
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        compare(asked, os.path.abspath(python))
    except ScoringFailed as error:
        print(f"{error}; theirs needs circuitkit==0.2.0 and a checkpoint that it can load", file=sys.stderr)
        return 3
    except AcdcError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer", description=__doc__)
    parser.add_argument("--peer-python", required=True, help="the Python of an environment that holds circuitkit")
    parser.add_argument("--model", required=True, help="a checkpoint's directory, or a model that is shipped or got")
    parser.add_argument("--task", default="ioi", help="whose prompts (ioi)")
    parser.add_argument("--prompts", type=int, default=16, help="how many to score, and as many others (16)")
    parser.add_argument("--points", type=int, default=5, help="of the path of integrated gradients (5)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (1)")
    parser.add_argument("--repeats", type=int, default=3, help="of which the median is told (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts (0)")
    parser.add_argument("--out", type=Path, default=Path("runs/peer.json"), help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
