"""How much work a method is for a goal: pruning runs, pieces of work, and operations, with how far off they may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import assert_never

from acdc.cost.expectation import EFFECTS, expected, threshold_of
from acdc.cost.operations import Operations
from acdc.graphs.computation import ComputationalGraph
from acdc.settings import PARTS_TRIED, Edges, Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Method, Minutes, Threshold

GRADIENTS = (
    "eap",
    "relp",
    "gim",
    "atp-star",
    "average",
    "eap-ig-stable",
    "eap-ig",
    "eap-ig-activations",
    "hisp",
    "eap+acdc",
    "shortlist",
    "coarse",
)
"""The methods that take gradients of the metric."""
_SCORED, _PRUNED, _SWEPT = 1.8, 2.0, 4.0
"""How many times as long, or as short, the three may take: scores, one pruning run, and a series of them."""
_REFINEMENTS = 3
_LEVEL = 16  # a circuit keeps nearly all of a behaviour where no edge of it is worth more than this part of the rest
_UNDECIDED = 0.5  # the part of removals of all edges that need the vocabulary; what a shortlist leaves are harder ones
_REFINED, _SWEEPS = 1.5, 3
"""How many times as long a run takes whose circuit is swept, and the sweeps over a circuit that scores chose."""
_ALONE = 0.3  # the part of a forward that removing one edge from the whole model takes
_GONE = 16  # edges without which all effects are measured again, at the most
_RANKING, _PER_PROMPT = 16, 125  # prompts that name the edges of learned masks, at least, and one for so many edges
PROMPTS_PER_STEP = 4
CONSTANTS_LEARNED_ON = 512
"""The prompts that the constants of optimal ablation are learned on, if there are so many, each once."""
_LEARNED = 2.5  # forwards that a prompt takes in that: a run of the model, and half of one there and back
_SETTINGS = 280, PROMPTS_PER_STEP, 3, 2_000, 3
"""Of learned masks: steps, prompts of a step, gradients of the ranking, edges of a circuit met in the mean, and how
many runs of it a step takes."""
_ELIMINATED, _ROUNDS, _RUNS = 50, 20, 8
"""Edges of a circuit whose small ones are ordered by elimination, in the mean, rounds, and how many runs one takes."""
_SHORTLIST, _FEWEST, _PER_EDGE, _BEYOND, _ENOUGH = 4_000, 500, 8, 70, 75
_MANY, _AGAIN = 2_000, 500  # on the shortlist if some are trained again, and how many
_FEW, _LOWER, _RISE = 400, 10, math.log(500 / 3)
"""The edges beyond which the first price is lower, how many times at most, and how often it otherwise grows by e."""
_NODES = 3.0  # times the square root of how many edges: how many nodes are worth as much
_FIRST, _FALL, _SIZINGS = 1 / 32, 4.0, 9  # of a search for so many minutes


@dataclass(frozen=True)
class Work:
    """What a search takes: pruning runs (0: none), pieces of work in one of them or in all, and operations.

    `spread` is how many times as many operations, or as few, there may be.
    """

    runs: int
    passes: int
    operations: float
    spread: float


def work_of(method: Method, goal: Goal, operations: Operations, metric: str) -> Work:
    """The work of a method for a goal, measured by a metric of that name; for minutes, until it ends by itself."""
    graph = operations.shape.graph
    ranking = _scoring(method, goal, operations)
    if not method.entry.prunes:
        searching = ranking + _sizing(goal, operations)
        spread = _SWEPT if method.refine else _SCORED
        return Work(0, _pieces(method, goal, operations), searching + refining(method, goal, operations), spread)
    falling = _thresholds(goal, EFFECTS[metric], graph)
    runs = [_run(method, threshold, operations) for threshold in falling]
    met = expected(graph, falling[-1], shortlist=method.name == "shortlist")
    return Work(len(runs), math.ceil(met.run), ranking + sum(runs), _PRUNED if len(runs) == 1 else _SWEPT)


def learning(operations: Operations, prompts: int) -> float:
    """The operations of learning the constants of optimal ablation, given those on so many prompts."""
    return _LEARNED * operations.forward * CONSTANTS_LEARNED_ON / prompts


def refining(method: Method, goal: Goal, operations: Operations) -> float:
    """The sweeps over the single edges of a circuit that scores chose; 0 for methods that prune, whose runs have them.

    Learned masks meet a level, or what minutes are for, with far fewer edges than attribution.
    """
    if method.entry.prunes or not method.refine:
        return 0.0
    graph = operations.shape.graph
    match goal:
        case Edges(count):
            edges: float = min(count, graph.n_edges)
        case Threshold():
            edges = 0.02 * graph.n_edges
        case _:
            edges = (0.01 if method.name == "masks" else 0.1) * graph.n_edges
    part = expected(graph, threshold_of(edges, graph)).part
    layers = operations.forward - operations.unembedding
    return _SWEEPS * (edges * (part * layers + operations.unembedding) + operations.measuring(edges))


def runs_in(seconds: float, method: Method, operations: Operations, speed: float) -> int:
    """How many pruning runs at falling thresholds fit into so many seconds, once the edges are ranked; one at least."""
    left = seconds - (_scoring(method, Minutes(), operations) + _SIZINGS * operations.measuring(3_000)) / speed
    threshold, count = _FIRST, 0
    while threshold > _FIRST / _FALL**6:
        left -= _run(method, threshold, operations) / speed
        if left < 0:
            break
        threshold, count = threshold / _FALL, count + 1
    return max(1, count)


def _run(method: Method, threshold: float, operations: Operations) -> float:
    """One pruning run, without the ranking."""
    graph = operations.shape.graph
    met = expected(graph, threshold, shortlist=method.name == "shortlist")
    ended = operations.measuring(met.kept)
    if method.name == "eap+acdc":
        groups = 1.5 * met.kept * math.log2(max(2.0, graph.n_edges / met.kept))
        return groups * operations.measuring(max(3 * met.kept, graph.n_edges / 50)) + ended
    if method.name == "coarse":
        return _coarse(method, met.kept, operations) + ended
    layers = operations.forward - operations.unembedding
    each = met.part * layers + (1 if method.name == "shortlist" else _UNDECIDED) * operations.unembedding
    return met.run * each * (_REFINED if method.refine else 1) + ended


def _coarse(method: Method, kept: float, operations: Operations) -> float:
    """The removals of nodes from what is mostly the whole model, then those of slots and edges from what is left."""
    graph = operations.shape.graph
    senders = len(graph.senders)
    nodes: float = min(senders, _NODES * kept**0.5)
    left = graph.n_edges * (nodes / senders) ** 2
    work = 2 * nodes * math.log2(max(2.0, senders / nodes)) * operations.measuring(graph.n_edges)
    if method.level != "node":
        work += 2 * 3 * nodes * operations.measuring(left)
    if method.level == "edge":
        work += 2 * kept * math.log2(max(2.0, left / kept)) * operations.measuring(max(3 * kept, left / 4))
    return work


def _thresholds(goal: Goal, effect: float, graph: ComputationalGraph) -> list[float]:
    """The thresholds of all runs, as parts of the whole effect: halved until the goal is met, then closed in on."""
    match goal:
        case Threshold(value):
            return [value / effect]
        case Edges(count):
            last = threshold_of(min(count, graph.n_edges), graph)
        case KeptFaithfulness(fraction) | KeptAccuracy(fraction):
            last = max(1 - fraction, 0.01) / _LEVEL
        case MeanKL(nats):
            last = nats / effect / _LEVEL
        case Minutes():
            return [_FIRST]
        case _:
            assert_never(goal)
    last = min(last, 0.5)
    halvings = math.ceil(math.log2(0.5 / last)) + 1
    return [0.5 / 2**number for number in range(halvings)] + [last] * _REFINEMENTS


def _scoring(method: Method, goal: Goal, operations: Operations) -> float:
    """The scores of all edges, or the ranking that pruning begins with."""
    graph = operations.shape.graph
    match method.name:
        case "eap" | "relp" | "gim" | "hisp":
            return operations.gradient
        case "atp-star":  # half a way back for each layer
            back = operations.gradient - operations.forward
            return operations.gradient + graph.n_layers / 2 * back + operations.without_senders
        case "average":
            return operations.forward + (method.steps + 2) * operations.gradient
        case "eap-ig-stable":
            return method.steps * operations.gradient
        case "eap-ig" | "shortlist" | "eap+acdc" | "coarse":
            return operations.forward + method.steps * operations.gradient
        case "eap-ig-activations":  # in the mean, half of the layers come after what moves
            return _pieces(method, goal, operations) * operations.gradient / 2
        case "exact":
            return graph.n_edges * _ALONE * operations.forward
        case "exact-redundant":
            return (1 + _GONE) * graph.n_edges * _ALONE * operations.forward
        case "masks":
            _, prompts, gradients, edges, runs = _SETTINGS
            trainings = _trainings(goal, graph.n_edges)
            shorter = trainings[0][1]
            part = min(1.0, prompts / max(1, operations.rows))
            named_on = max(_RANKING, int(shorter * _SHORTLIST) // _PER_PROMPT)
            ranking = min(1.0, named_on / max(1, operations.rows)) * (
                operations.forward + gradients * operations.gradient
            )
            ordering = _ROUNDS * _RUNS * operations.measuring(min(_ELIMINATED, graph.n_edges))
            training = sum(
                steps * runs * part * operations.measuring(min(listed * edges, graph.n_edges))
                for steps, listed in trainings
            )
            return ranking + training + ordering
        case "information-flow":
            return 3 * operations.forward
        case "acdc" | "random":
            return 0.0
        case _:
            raise AssertionError(f"what {method.name} costs is not said here")


def _trainings(goal: Goal, edges: int) -> list[tuple[int, float]]:
    """The steps of each training of masks in a graph of so many edges, and by how much its shortlist is shorter."""
    part = min(1.0, max(_FEWEST, _PER_EDGE * (goal.count - _BEYOND)) / _SHORTLIST) if isinstance(goal, Edges) else 1.0
    lower = min(max(1.0, edges / _FEW), _LOWER)
    lowered = round(_SETTINGS[0] * (1 + math.log(lower) / _RISE))
    trainings = [(lowered if part == 1 else _steps(part), part)]
    few = _AGAIN / _SHORTLIST
    return [*trainings, (_steps(few), few)] if min(edges, part * _SHORTLIST) >= _MANY else trainings


def _steps(part: float) -> int:
    return max(_ENOUGH, round(_SETTINGS[0] * float(part**0.8)))


def _pieces(method: Method, goal: Goal, operations: Operations) -> int:
    """The pieces of work of a scoring on one batch of prompts, as they are counted while it runs."""
    graph = operations.shape.graph
    match method.name:
        case "eap-ig" | "eap-ig-stable":
            return method.steps
        case "average":
            return method.steps + 2
        case "eap-ig-activations":
            groups = 1 + graph.n_layers * (1 if graph.parallel or not graph.has_mlp else 2)
            return groups * method.steps
        case "exact":
            return graph.n_edges
        case "exact-redundant":
            return 1 + _GONE
        case "masks":
            return sum(steps for steps, _ in _trainings(goal, graph.n_edges)) + _SETTINGS[2] + _ROUNDS
        case (
            "eap"
            | "relp"
            | "gim"
            | "atp-star"
            | "hisp"
            | "information-flow"
            | "random"
            | "acdc"
            | "eap+acdc"
            | "shortlist"
            | "coarse"
        ):
            return 1
        case _:
            raise AssertionError(f"in how many pieces {method.name} works is not said here")


def _sizing(goal: Goal, operations: Operations) -> float:
    """Measuring circuits of the highest scores, until one meets the goal."""
    edges = operations.shape.graph.n_edges
    match goal:
        case Edges(count):
            return sum(operations.measuring(min(part * count, edges)) for part in PARTS_TRIED)
        case Threshold():
            return operations.measuring(0.02 * edges)
        case _:  # sizes are doubled, and the last doubling is halved down to a hundredth
            enough = 0.1 * edges
            return math.log2(max(2.0, enough)) * operations.measuring(0.01 * edges) + 7 * operations.measuring(enough)
