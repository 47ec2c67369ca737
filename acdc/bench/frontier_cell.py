"""What one method's circuits of every size keep of a behaviour, on the prompts it was given and on others."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from acdc.algorithms.learned_masks import LearnedMasks
from acdc.bench.process_memory import peak_bytes
from acdc.bench.size_curve import SHARES, SizeCurve, SizePoint
from acdc.discovery.pruning_runs import prunes
from acdc.discovery.scored_search import clearly_best
from acdc.discovery.search import algorithm_of, search
from acdc.discovery.selection import Rule, Selection
from acdc.drain import drain
from acdc.errors import AcdcError, DownloadFailed, UnusableCache
from acdc.footprint import MEMORY_FACTOR
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import DoubtfulModel, GraphsError, ModelUnreachable
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import Faithfulness, faithfulness_of_each
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.request import Request
from acdc.settings import PARTS_TRIED, Method, Minutes, Setup
from acdc.tasks.errors import TaskError

LEVELS = (0.5, 0.7, 0.8, 0.9)
"""The parts of the behaviour for which it is told how many edges keep them."""


def measured(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a cell of these settings, which are those of `Frontier.settings`, as plain JSON data.

    Where the method, the model or the prompts do not allow it, `refused` says why and nothing else is there.

    Raises: ModelUnreachable, DownloadFailed, UnusableCache: what the machine lacks today it may have tomorrow.
    """
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", DoubtfulModel)
        try:
            result = _searched_and_judged(settings)
        except (ModelUnreachable, DownloadFailed, UnusableCache):
            raise
        except (AcdcError, GraphsError, TaskError) as error:
            result = {"refused": str(error)}
    notes = [str(doubt.message) for doubt in doubts if issubclass(doubt.category, DoubtfulModel)]
    return {"settings": dict(settings), **result, **({"notes": list(dict.fromkeys(notes))} if notes else {})}


def _searched_and_judged(settings: Mapping[str, Any]) -> dict[str, Any]:
    setup = Setup(settings["metric"], settings.get("ablation", "resample"), settings["prompts"], settings["seed"])
    method, task = Method(**settings["method"]), Request.of(settings["task"], settings["model"]).task
    model = load_named(settings["model"], setup)
    discovery, judgement = problems(task, model, setup, MEMORY_FACTOR * method.max_bytes)
    _ = discovery.bounds  # the runs that all methods start from are no method's time
    began, processor = time.perf_counter(), time.process_time()
    joining = joining_order(discovery, method, settings["minutes"], setup.seed)
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - processor}
    peak = peak_bytes()
    memory = {"peak_mb": None if peak is None else peak / 1e6}
    return {**spent, **memory, **judged(discovery, judgement, joining, settings["sizes"])}


def joining_order(problem: Problem, method: Method, minutes: float, seed: int) -> Mapping[Edge, float | None]:
    """The edges in the order in which the method has them join, after so many minutes at most, with their scores.

    A method that prunes does so at falling thresholds until the time is up; one that scores does so once.

    Raises: UnmeasurableBehaviour; BadSetting when the method cannot use the metric.
    """
    algorithm = algorithm_of(method, seed)
    if prunes(algorithm):  # no fraction is enough, so that the search takes all of its time
        return drain(search(method, Minutes(minutes, 1.0), seed).walk(problem))[1].joining
    if isinstance(algorithm, LearnedMasks):
        algorithm = replace(algorithm, seconds=60 * minutes)
    scored = drain(algorithm.walk(problem))
    return {edge: scored.scores[edge] for edge in Selection.of(scored, Rule(method.select)).order}


def judged(
    discovery: Problem, judgement: Problem, joining: Mapping[Edge, float | None], sizes: Sequence[int]
) -> dict[str, Any]:
    """What circuits of these sizes keep on both sides, and the areas over MIB's shares of all edges.

    The edges join in this order; of a size a smaller circuit is taken, of the parts that `--edges` tries, where that
    clearly keeps more of the prompts to find with. Of a size or a share with more edges than the order has there is no
    circuit; `cpr` and `cmd` are None where that is so of any share. A share's circuit is that of so many edges, less
    those that are dead.

    Raises: UnmeasurableBehaviour.
    """
    scores = {edge: score for edge, score in joining.items() if score is not None}
    order = Selection(Circuit(discovery.graph, frozenset(joining), scores), tuple(joining))
    every = discovery.graph.n_edges
    asked = [size for size in sizes if size < every and size <= len(joining)]
    circuits = [_keeping_most(discovery, order, size) for size in asked]
    shares = [share for share in SHARES if int(share * every) <= len(joining)]
    of_shares = [order.first(int(share * every)) for share in shares]
    found = faithfulness_of_each(discovery, circuits)
    kept = faithfulness_of_each(judgement, [*circuits, *of_shares])
    points = [
        {"asked": size, "edges": len(circuit), "found": _numbers(one), "judged": _numbers(other)}
        for size, circuit, one, other in zip(asked, circuits, found, kept, strict=False)
    ]
    curve = tuple(
        SizePoint(share, len(circuit), one.normalised.value)
        for share, circuit, one in zip(shares, of_shares, kept[len(circuits) :], strict=True)
    )
    whole = len(curve) == len(SHARES)
    return {
        "edges": {"of_graph": every, "named": len(joining)},
        "prompts": {"found": len(discovery.pairs), "judged": len(judgement.pairs)},
        "model_accuracy": kept[0].accuracy.full,
        "points": points,
        "edges_for": {f"{level:g}": edges_for(level, points) for level in LEVELS},
        "shares": [asdict(point) for point in curve],
        "cpr": SizeCurve(curve, curve).cpr if whole else None,
        "cmd": SizeCurve(curve, curve).cmd if whole else None,
    }


def _keeping_most(problem: Problem, order: Selection, size: int) -> Circuit:
    """The circuit of at most so many edges, or of a part that `--edges` tries, where that clearly keeps more."""
    whole, *smaller = [at_most(order, math.ceil(part * size)) for part in PARTS_TRIED]
    circuits = list({circuit.edges: circuit for circuit in (whole, *filter(len, smaller))}.values())
    return circuits[clearly_best(problem.normalised(problem.measure(circuits)[0].mean(-1)).tolist())]


def at_most(order: Selection, size: int) -> Circuit:
    """The circuit of the longest beginning of the order that has at most so many edges after dead ones are gone."""
    low, high = 0, len(order.order)
    while low < high:  # a longer beginning never has a smaller circuit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(order.first(middle)) <= size else (low, middle - 1)
    return order.first(low)


def edges_for(level: float, points: Sequence[Mapping[str, Any]]) -> float | None:
    """How many edges keep a level of the judged behaviour, on straight lines over the logarithm of the size.

    None where no circuit keeps so much; where the smallest does already, its edges.
    """
    before: tuple[int, float] | None = None
    for point in points:
        edges, kept = point["edges"], point["judged"]["value"]
        if not edges:
            continue
        if kept >= level:
            if before is None:
                return float(edges)
            part = (level - before[1]) / (kept - before[1])
            return math.exp(math.log(before[0]) + part * math.log(edges / before[0]))
        before = edges, kept
    return None


def _numbers(one: Faithfulness) -> dict[str, float]:
    return {**asdict(one.normalised), "kl": one.kl.circuit, "accuracy": one.accuracy.circuit}
