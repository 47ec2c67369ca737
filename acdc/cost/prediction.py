"""What a discovery would cost, told before any weight is read: from shapes, the prompts, and how fast the device is.

Memory follows from shapes. Time is the number of operations over the device's speed, which is measured; how many
removals pruning tries, and what each reaches, is what real runs met (`acdc.cost.expectation`). So it is a range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from acdc.cost.device_speed import operations_per_second
from acdc.cost.file_tokenizer import FileTokenizer
from acdc.cost.operations import Operations
from acdc.cost.work import GRADIENTS, PROMPTS_PER_STEP, Work, learning, refining, runs_in, work_of
from acdc.discovery.defaults import Defaults, measured_for
from acdc.errors import UnmeasurableBehaviour
from acdc.footprint import MEMORY_FACTOR, Footprint
from acdc.graphs.ablation import Ablation
from acdc.graphs.shapes import ModelShape
from acdc.models import resolve, shape_of, tokenizer_of
from acdc.settings import Compute, Method, Minutes, Setup
from acdc.spans import spans_of
from acdc.tasks.errors import BadPrompts
from acdc.tasks.known_metrics import metric_name
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Prompts, Task

_LIBRARIES = 950_000_000
"""The bytes that Python, torch, transformers and TransformerLens take before there is a model."""
_TOKENIZER = 10  # how many times as much as its file a tokenizer takes
_EFFICIENCY = 0.8  # the part of the speed of one product that a whole forward reaches
_OF_ANSWERS = "logit_difference"
"""The metric that looks at the logits of answers and distractors alone."""
_COLUMNS = 64  # how many these are, about
_STATIONARY = ("kl", "l2")
_LOADING, _PER_BILLION = 8.0, 40.0
"""Seconds that loading and checking a model takes: libraries, and for every billion parameters."""
_LOADED = 2.0  # how many times as long, or as short, that may take
_RESAMPLES = 41  # with the prompts as they are
_SEARCHING = 0.8  # of the minutes that are allowed


@dataclass(frozen=True)
class Holding:
    """Bytes: of the model's weights, of what is held above the loaded model at the peak, and of all of it.

    `devices` are those on each device by its name, where the layers are shared by several.
    """

    weights: int
    above: int
    whole: int
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CostPrediction:
    """What a discovery would cost, from the configuration alone.

    `seconds` are the fewest and the most that all of it takes, loading and judging included.
    """

    chosen: Defaults
    shape: ModelShape
    prompts: PromptPairs
    holding: Holding
    work: Work
    seconds: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data, under the names that a sampled forecast has too, where it says the same."""
        graph, lengths = self.shape.graph, [len(pair.clean) for pair in self.prompts.pairs]
        return {
            "from": "configuration",
            "nodes": len(graph.senders) + 1,
            "edges": graph.n_edges,
            "receivers": len(graph.receivers),
            "prompts": {"count": len(lengths), "shortest": min(lengths), "longest": max(lengths)},
            "method": self.chosen.method.name,
            "goal": type(self.chosen.goal).__name__,
            "why": self.chosen.why,
            "runs": self.work.runs,
            "passes": self.work.passes,
            "weights": self.holding.weights,
            "bytes": self.holding.above,
            "bytes_with_model": self.holding.whole,
            **({"bytes_by_device": dict(self.holding.devices)} if self.holding.devices else {}),
            "seconds": self.seconds[0],
            "slowest": self.seconds[1],
        }


def predict(task: Task, model: str, chosen: Defaults, setup: Setup) -> CostPrediction | None:
    """What a discovery on the model of that name would cost; None where its files do not tell before it is loaded.

    Raises: BadPrompts, BadSetting, UnmeasurableBehaviour, as the discovery would.
    """
    shape = shape_of(model)
    if shape is None:
        return None
    method, setup = chosen.method, measured_for(chosen.goal, chosen.method, setup)
    metric = metric_name(setup.metric or task.metric)
    drawn = _prompts(task, model, setup)
    prompts = drawn.discovery
    if setup.positions == "slots":
        spans = spans_of((drawn.discovery, drawn.judgement), FileTokenizer.of(Path(resolve(model))))
        shape = replace(shape, graph=shape.graph.with_spans(spans))
    _check(method, metric, whole=prompts.whole)
    rows, tokens, longest = _size(prompts)
    itemsize = {"float64": 8, "float32": 4}.get(setup.compute.dtype, 2)
    ablated = Ablation(setup.ablation) is Ablation.RESAMPLE
    footprint = Footprint(shape.graph, shape.vocabulary, itemsize, rows, tokens, ablated)
    footprint = footprint.batch(MEMORY_FACTOR * method.max_bytes, longest)
    whole = max(pair.length * len(pair.scored) for pair in prompts.pairs)
    training = footprint.training(method.max_bytes, PROMPTS_PER_STEP, whole)
    above = footprint.peak(_working(method, footprint, shape, longest, training, vocabulary=metric != _OF_ANSWERS))
    holding = _holding(Path(resolve(model)), shape, itemsize, above)
    holding = replace(holding, devices=_by_device(setup.compute, shape, itemsize, above))
    vocabulary = min(_COLUMNS, shape.vocabulary) if metric == _OF_ANSWERS else shape.vocabulary
    operations = Operations(shape, tokens, longest, rows, vocabulary)
    width = max(1, shape.mlp // (2 * shape.graph.n_layers * shape.graph.d_model)) or shape.graph.d_model
    first = _first_device(setup.compute)
    speed = _EFFICIENCY * operations_per_second(tokens, shape.graph.d_model, width, first, setup.compute.dtype)
    work = work_of(method, chosen.goal, operations, metric)
    learned = learning(operations, len(prompts)) if Ablation(setup.ablation).is_learned else 0.0
    return CostPrediction(chosen, shape, prompts, holding, *_timed(chosen, work, operations, speed, learned))


def _timed(
    chosen: Defaults, work: Work, operations: Operations, speed: float, learned: float
) -> tuple[Work, tuple[float, float]]:
    """The work that is done, and the fewest and the most seconds of all of it; `learned` is what comes before."""
    shape = operations.shape
    loading = _LOADING + _PER_BILLION * shape.parameters / 1e9
    every = shape.graph.n_edges
    measuring = 2 * operations.measuring(every) + operations.measuring(every / 50)
    around = (2 * operations.runs + measuring + learned) / speed
    searching = work.operations / speed
    if isinstance(chosen.goal, Minutes):
        allowed = 60 * chosen.goal.minutes
        least = loading + around + searching / work.spread
        if work.runs:
            runs = runs_in(_SEARCHING * allowed - loading - around, chosen.method, operations, speed)
            work = Work(runs, work.passes, work.operations, work.spread)
            return work, (max(allowed * _SEARCHING, least), max(allowed, least))
        allowed += refining(chosen.method, chosen.goal, operations) * work.spread / speed  # which comes after
        if chosen.method.name == "masks":  # whose training has so much time and no more
            return work, (min(_SEARCHING * 60 * chosen.goal.minutes, least), allowed)
        return work, (min(allowed, least), max(allowed, least))
    return work, (
        loading / _LOADED + (around + searching) / work.spread,
        loading * _LOADED + (around + searching) * work.spread,
    )


def _holding(directory: Path, shape: ModelShape, itemsize: int, above: int) -> Holding:
    """All that is held, given what the discovery holds above the loaded model.

    The matrices of attention are there twice, as the model has them and head by head; and hashing the weights copies
    the largest.
    """
    file = directory / "tokenizer.json"
    libraries = _LIBRARIES + _TOKENIZER * (file.stat().st_size if file.exists() else 0)
    weights, largest = shape.parameters * itemsize, shape.vocabulary * shape.graph.d_model * itemsize
    return Holding(weights, above, libraries + weights + shape.attention * itemsize + max(above, largest))


def _by_device(compute: Compute, shape: ModelShape, itemsize: int, above: int) -> dict[str, int]:
    """What each of several devices holds: its layers, and the first one all else; {} where there is but one.

    Raises: BadDevices, as loading would.
    """
    if len(compute.devices) == 1:
        return {}
    from acdc.graphs.model.placement import Placement, devices_of

    layers = shape.graph.n_layers
    outside = min(shape.parameters - shape.attention - shape.mlp, 2 * shape.vocabulary * shape.graph.d_model)
    each = (shape.parameters - outside + shape.attention) * itemsize // layers
    placement = Placement.evenly(devices_of(compute.device) or (), layers)
    found = {str(device): each * count for device, count in Counter(placement.layers).items()}
    return {**found, str(placement.home): found[str(placement.home)] + outside * itemsize + above}


def _first_device(compute: Compute) -> str:
    if compute.device != "auto":
        return compute.devices[0]
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _prompts(task: Task, model: str, setup: Setup) -> Prompts:
    """The prompts as they are drawn; all of them where only those that the model gets right are wanted.

    Raises: BadPrompts.
    """
    tokenizer = FileTokenizer.of(Path(resolve(model)))
    if tokenizer is not None:
        try:
            return task.build(tokenizer, setup.prompts, setup.seed)
        except BadPrompts:  # or so this tokenizer says, which knows no chat template
            pass
    return task.build(tokenizer_of(model), setup.prompts, setup.seed)


def _size(prompts: PromptPairs) -> tuple[int, int, int]:
    """How many scored positions there are, tokens that are run, and tokens of the longest prompt."""
    rows = sum(len(pair.scored) for pair in prompts.pairs)
    tokens = sum(pair.length * len(pair.scored) for pair in prompts.pairs)
    return rows, tokens, max(pair.length for pair in prompts.pairs)


def _check(method: Method, metric: str, *, whole: bool) -> None:
    """Refuse what the discovery would refuse: a metric that the answers or the method cannot be measured with."""
    if whole or metric == "log_probability_difference":
        from acdc.tasks.metrics import metric as named

        named(metric).require(whole=whole)
    if metric == "accuracy" and method.name in (*GRADIENTS, "masks"):
        from acdc.algorithms.metric_gradient import differentiable
        from acdc.tasks.metrics import metric as named

        differentiable(named(metric))
    if metric in _STATIONARY and method.name in ("eap", "relp", "gim", "atp-star", "average", "hisp"):
        raise UnmeasurableBehaviour(
            f"the gradient of {metric} is 0 at every edge: at the clean run it is at its best already; use another "
            "metric (--metric logit_difference), integrated gradients (--method eap-ig) or --method acdc"
        )


def _working(
    method: Method, footprint: Footprint, shape: ModelShape, longest: int, training: int, *, vocabulary: bool
) -> int:
    """What the method itself holds: trials, a gradient, or a step of `training`."""
    gradient = footprint.gradient(shape.d_head, shape.mlp // shape.graph.d_model, longest)
    trials = footprint.trials(method.max_bytes, vocabulary=vocabulary)
    if method.refine and not method.entry.prunes:
        unrefined = replace(method, refine=False)
        return max(trials, _working(unrefined, footprint, shape, longest, training, vocabulary=vocabulary))
    match method.name:
        case "acdc" | "exact" | "exact-redundant":
            return trials
        case "shortlist" | "eap+acdc" | "coarse":
            return max(trials, gradient)
        case "masks":
            return max(gradient, training)
        case "information-flow" | "random":
            return footprint.stream
        case "eap" | "relp" | "gim" | "atp-star" | "average" | "eap-ig" | "eap-ig-activations" | "hisp":
            return gradient
        case "eap-ig-stable":  # scores of every row, twice, and of every resample
            scores = 8 * len(shape.graph.receivers) * len(shape.graph.senders)
            return gradient + (footprint.rows + _RESAMPLES) * scores
        case _:
            raise AssertionError(f"what {method.name} holds in memory is not said here")
