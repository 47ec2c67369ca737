"""The rows of the benchmark: each a ratio between our work and a reference, measured in one process in turns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Literal, get_args

import torch
from typing_extensions import assert_never

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution.executor import Executor
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge
from acdc.judges.random_circuits import DRAWS, Draw, random_circuits
from acdc.judges.sufficiency import RANDOM
from acdc.tasks.batches import PromptBatch
from acdc.tasks.metrics import LogitDifference, Targets
from tests.benchmarks import crossed, memory, planted
from tests.benchmarks.one_forward_per_edge import OneAtATime, plain_forward, trials
from tests.benchmarks.plain_gradients import PlainGradients
from tests.benchmarks.stopwatch import in_turns, timed, walk_in_turns
from tests.benchmarks.subjects import Subject

Kind = Literal[
    "greedy",
    "decisions",
    "attribution",
    "integrated",
    "circuits",
    "random",
    "exact",
    "crossing",
    "memory",
    "transformer_lens",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
METRICS = ("kl", "logit_difference")
SIZES = (32, 80)
"""Edges of random circuits."""

SMALL = ("periodic-2l", "everyday-4l", "planted-2l-tiny")
"""Models on which work is so short that it is repeated."""

SUBJECTS: Mapping[Kind, tuple[str, ...]] = {
    "greedy": ("periodic-2l", "everyday-4l", "planted-4l", "planted-8l", "planted-12l"),
    "decisions": ("planted-4l", "planted-12l"),
    "attribution": ("everyday-4l", "planted-12l"),
    "integrated": ("everyday-4l", "planted-12l"),
    "circuits": ("everyday-4l", "planted-12l"),
    "random": ("everyday-4l",),
    "exact": ("everyday-4l",),
    "crossing": ("everyday-4l",),
    "memory": ("planted-12l",),
    "transformer_lens": ("periodic-2l", "everyday-4l", "planted-12l"),
}
"""What each kind of row is measured on, unless other models are asked for."""


@dataclass(frozen=True)
class Row:
    """One ratio: `row` says of what to what, `note` what else was seen; times in seconds, memory in MB of 10^6 bytes.

    Where a row is about memory the ratio is one of memory, and the times are those of the same work.
    """

    row: str
    model: str
    ratio: float
    seconds: float
    reference_seconds: float
    peak_mb: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Effort:
    """How often short work is repeated, how many forwards an extrapolation rests on, and receivers decided twice."""

    repeats: int = 5
    forwards: int = 100
    receivers: int = 10
    few: bool = False

    def repeats_on(self, subject: Subject) -> int:
        """Less often where the model is large."""
        return self.repeats if subject.name in SMALL else min(3, self.repeats)


QUICK = Effort(repeats=1, forwards=5, receivers=3, few=True)


def rows(kind: Kind, subject: Subject, effort: Effort) -> Iterator[Row]:
    """The rows of this kind on this subject.

    Raises: DifferentDecisions when greedy pruning keeps other edges than one run per edge does.
    """
    match kind:
        case "greedy":
            yield from (_greedy(subject, measured, effort) for measured in METRICS)
        case "decisions":
            yield from (_decisions(subject, measured, effort) for measured in METRICS)
        case "attribution":
            yield from _gradients(subject, Attribution(), 1, effort)
        case "integrated":
            yield from _gradients(subject, IntegratedGradients(steps=5), 5, effort)
        case "circuits":
            yield _circuits(subject, effort)
        case "random":
            yield from (_random(subject, kind, size, effort) for kind in DRAWS for size in SIZES)
        case "exact":
            yield _exact(subject, effort)
        case "crossing":
            yield _crossing(subject, effort)
        case "memory":
            yield from _memory(subject, effort)
        case "transformer_lens":
            yield _transformer_lens(subject, effort)
        case _:
            assert_never(kind)


class DifferentDecisions(AssertionError):
    """Greedy pruning has kept other edges than one run per edge keeps."""


def _greedy(subject: Subject, measured: str, effort: Effort) -> Row:
    """The whole run, the clean and corrupt runs it starts from included."""
    forward = plain_forward(subject)
    algorithm = GreedyPruning(subject.threshold(measured))
    forward()
    ours, theirs = [], []
    for _ in range(effort.repeats if subject.name in SMALL else 1):
        walked = walk_in_turns(algorithm.walk(subject.problem(measured)), forward, effort.forwards, subject.device)
        ours.append(walked.seconds)
        theirs.append(median(walked.reference) * walked.result.tested)
    pruned = walked.result
    return Row(
        f"greedy pruning, {measured}: times faster than one plain forward per tested edge",
        subject.name,
        median(theirs) / median(ours),
        median(ours),
        median(theirs),
        note=f"{len(pruned.circuit)} of {subject.model.graph.n_edges:,} edges kept, {pruned.tested:,} tested; "
        f"plain forward {median(walked.reference):.3g} s, {len(walked.reference)} of them timed",
    )


def _decisions(subject: Subject, measured: str, effort: Effort) -> Row:
    """The edges kept are those of one run per edge: in the whole model, or at some receivers where it is large."""
    problem, threshold = subject.problem(measured), subject.threshold(measured)
    algorithm, one_at_a_time = GreedyPruning(threshold), OneAtATime(problem, threshold)
    ours, pruned = timed(partial(algorithm.discover, problem), subject.device)
    if subject.model.graph.n_layers <= 4:
        spent, (circuit, tested) = timed(one_at_a_time.prune, subject.device)
        check_same(pruned.circuit, circuit, f"{measured} on {subject.name}")
        where = f"all {tested:,} tested edges"
    else:
        spent, tested = 0.0, 0
        taken = trials(algorithm.walk(problem), problem, effort.receivers)
        for trial in taken:
            decide = partial(one_at_a_time.decide, trial.before, trial.receiver)
            took, (circuit, count) = timed(decide, subject.device)
            check_same(trial.after, circuit, f"{trial.receiver.name}, {measured} on {subject.name}")
            spent, tested = spent + took, tested + count
        where = f"the {tested:,} edges into {len(taken)} receivers"
    theirs = spent / tested * pruned.tested
    return Row(
        f"greedy pruning, {measured}: times faster than one circuit run per tested edge, same edges kept",
        subject.name,
        theirs / ours,
        ours,
        theirs,
        note=f"{where} decided the same; closest decision {pruned.closest:.2g} from the threshold of {threshold:.2g}",
    )


def check_same(ours: Circuit, theirs: Circuit, where: str) -> None:
    different = ours ^ theirs
    if len(different):
        names = ", ".join(edge.name for edge in different.ordered()[:5])
        raise DifferentDecisions(f"{where}: {len(different)} edges decided differently, such as {names}")


def _gradients(
    subject: Subject, algorithm: Attribution | IntegratedGradients, backwards: int, effort: Effort
) -> Iterator[Row]:
    """Scores of all edges, the clean and corrupt runs included."""
    works = (
        lambda: list(algorithm.walk(subject.problem("logit_difference"))),
        PlainGradients(subject).runs(backwards),
        PlainGradients(subject, weights=True).runs(backwards),
    )
    ours, *references = in_turns(works, effort.repeats_on(subject), subject.device)
    name = "edge attribution" if backwards == 1 else f"integrated gradients, {backwards} steps"
    work = "2 forwards + 1 backward" if backwards == 1 else f"{backwards} forward-backwards + 1 forward"
    for theirs, to in zip(references, ("to embeddings", "to weights"), strict=True):
        yield Row(f"{name}: times the cost of {work} ({to})", subject.name, ours / theirs, ours, theirs)


def _circuits(subject: Subject, effort: Effort) -> Row:
    """Random circuits of one edge in a hundred, but of 20 at least; the clean and corrupt runs are there already."""
    graph, draw = subject.model.graph, random.Random(0)
    edges = list(graph.edges())
    size, count = max(20, len(edges) // 100), 4 if effort.few else 32
    circuits = [Circuit(graph, frozenset(draw.sample(edges, size))) for _ in range(count)]
    executors = [Executor.of(batch.runs) for batch in subject.problem("kl").batches]
    forward = plain_forward(subject)
    ours, theirs = in_turns(
        (lambda: [executor.run(circuits) for executor in executors], lambda: [forward() for _ in circuits]),
        effort.repeats_on(subject),
        subject.device,
    )
    return Row(
        f"{count} sparse circuits in a batch: times faster than as many plain forwards",
        subject.name,
        theirs / ours,
        ours,
        theirs,
        note=f"{size} edges each",
    )


def _random(subject: Subject, kind: Draw, size: int, effort: Effort) -> Row:
    """As many random circuits as a hypothesis test draws, drawn and measured on every prompt, whatever comes of it."""
    count, problem = 4 if effort.few else RANDOM, subject.problem("logit_difference")
    [circuit] = random_circuits(_of_heads(subject.model.graph, size), 1, "uniform")
    forward = plain_forward(subject)
    problem.bounds, forward()
    ours, _ = timed(lambda: problem.measure(random_circuits(circuit, count, kind)), subject.device)
    theirs = median(timed(forward, subject.device)[0] for _ in range(effort.forwards)) * count
    return Row(
        f"{count:,} {kind} random circuits of {size} edges, drawn and measured: times faster than as many plain "
        "forwards",
        subject.name,
        theirs / ours,
        ours,
        theirs,
        note=f"{len(subject.pairs)} prompts",
    )


def _of_heads(graph: ComputationalGraph, size: int) -> Circuit:
    """A circuit of so many edges: of heads that read the input and write to the logits, then between all of these."""
    heads = [node for node in graph.senders if node.kind == "head"]
    edges = [edge for head in heads for edge in (*(Edge(INPUT, head, slot) for slot in SLOTS), Edge(head, LOGITS))]
    edges += [edge for edge in graph.edges() if {edge.sender, edge.receiver} <= set(heads)]
    return Circuit(graph, frozenset(edges[:size]))


def _exact(subject: Subject, effort: Effort) -> Row:
    """Every edge's exact effect, the clean and corrupt runs included."""
    forward, edges = plain_forward(subject), subject.model.graph.n_edges
    forward()
    ours, theirs = [], []
    for _ in range(effort.repeats if subject.name in SMALL else 1):
        walk = ExactPatching().walk(subject.problem("logit_difference"))
        walked = walk_in_turns(walk, forward, effort.forwards, subject.device)
        ours.append(walked.seconds)
        theirs.append(median(walked.reference) * edges)
    return Row(
        "exact patching of all edges: times faster than one plain forward per edge",
        subject.name,
        median(theirs) / median(ours),
        median(ours),
        median(theirs),
        note=f"{edges:,} edges; plain forward {median(theirs) / edges:.3g} s",
    )


def _crossing(subject: Subject, effort: Effort) -> Row:
    """Every clean prompt with every corrupt one, all in a process of its own, with whatever is said of the pairs."""
    forward, circuit = plain_forward(subject), crossed.circuit(subject)
    pairs = len(crossed.problem(subject, few=effort.few).pairs) ** 2
    forward()
    peak = memory.measure(subject.name, "crossing", subject.device, few=effort.few)
    times = [timed(forward, subject.device)[0] for _ in range(effort.forwards)]
    theirs = median(times) / len(subject.pairs) * pairs
    return Row(
        "crossing of clean and corrupt prompts: times faster than a plain forward per pair",
        subject.name,
        theirs / peak.seconds,
        peak.seconds,
        theirs,
        peak.megabytes,
        note=f"{pairs:,} pairs, a circuit of {len(circuit)} edges; plain forward {theirs / pairs:.3g} s",
    )


def _memory(subject: Subject, effort: Effort) -> Iterator[Row]:
    def measure(work: memory.Work) -> memory.Peak:
        return memory.measure(subject.name, work, subject.device, few=effort.few)

    works: tuple[tuple[memory.Work, str], ...] = (
        ("attribution", "edge attribution"),
        ("integrated-gradients", "integrated gradients, 5 steps"),
        ("greedy-kl", "greedy pruning, kl"),
        ("greedy-logit_difference", "greedy pruning, logit_difference"),
    )
    plain = measure("plain")
    for work, name in works[: 1 if effort.few else None]:
        peak = measure(work)
        yield Row(
            f"{name}: times the peak memory, above the model, of 2 forwards + 1 backward (to embeddings)",
            subject.name,
            peak.megabytes / plain.megabytes,
            peak.seconds,
            plain.seconds,
            peak.megabytes,
            note=f"peak of the reference {plain.megabytes:.0f} MB",
        )


def _transformer_lens(subject: Subject, effort: Effort) -> Row:
    """On a prompt of 8 tokens where the model is large, since each takes it long; else on four of the task's."""
    from transformer_lens.tools.analysis.attribution_patching import (
        AttributionResult,
        EdgeAttributionConfig,
        attribution_patch,
    )

    large = subject.name not in SMALL
    pairs = planted.prompts(subject.model, 1, 8) if large else subject.pairs.select(range(4))
    asked = Subject(subject.name, subject.model, pairs)
    config = EdgeAttributionConfig(granularity="edge")

    def theirs() -> list[AttributionResult]:
        return [
            attribution_patch(subject.model.bridge, batch.clean, batch.corrupt, _difference(batch), config)
            for batch in (batch.to(subject.device) for batch in pairs.batches(1))
        ]

    def ours() -> object:
        return list(Attribution().walk(asked.problem("logit_difference")))

    mine, other = in_turns((ours, theirs), 1 if large else effort.repeats, subject.device)
    return Row(
        "edge attribution: times faster than TransformerLens' attribution_patch",
        subject.name,
        other / mine,
        mine,
        other,
        note=f"{len(pairs)} prompt{'s' * (len(pairs) > 1)}, one at a time there; its edges are split by position",
    )


def _difference(prompt: PromptBatch) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logit difference of a single prompt's logits at every position."""
    targets = Targets(prompt.answers, prompt.distractors, torch.zeros(1, 1))

    def difference(logits: torch.Tensor) -> torch.Tensor:
        return LogitDifference()(logits[:, int(prompt.scored_positions[0])], targets).sum()

    return difference
