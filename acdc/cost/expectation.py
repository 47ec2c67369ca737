"""What pruning is expected to meet at a threshold: edges kept, removals tried, and what each costs.

Nobody can know it without pruning. These are power laws through runs on real models (indirect objects, KL, 16 prompts):
SmolLM2-135M kept 26, 112 and 278 edges at thresholds of .1, .02 and .006 nats, and smaller models fewer. Another
behaviour or model may be off by a factor of three, and the time of a run with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from acdc.graphs.computation import ComputationalGraph

EFFECTS = {
    "logit_difference": 4.0,
    "probability_difference": 0.6,
    "log_probability_difference": 4.0,
    "kl": 2.5,
    "nll": 3.0,
    "accuracy": 0.8,
    "l2": 300.0,
}
"""By metric, about what ablating the whole of a language model costs that shows a behaviour."""
_KEPT, _KEPT_POWER = 1.8, -0.84
_OF_EDGES, _SIZE_POWER = 100_000, 0.2
_REACHED = 9.5
_READ = 2 / 3
_PER_RECEIVER = 15
_PER_TRIAL = 0.27
_LARGEST = 0.3


@dataclass(frozen=True)
class Expected:
    """A pruning run at one threshold: how many edges it keeps, removals it tries, and circuits it runs for them.

    `part` is the part of a forward that each takes.
    """

    kept: float
    tried: float
    run: float
    part: float


def expected(graph: ComputationalGraph, threshold: float, *, shortlist: bool = False) -> Expected:
    """What a run at a threshold meets, as a part of what ablating the whole model costs.

    A circuit of many edges reaches more receivers, about as the square root; each of these has the senders before it
    tried. With a `shortlist`, most of them go together.
    """
    kept = max(1.0, min(graph.n_edges / 2, _scale(graph) * threshold**_KEPT_POWER))
    receivers = min(len(graph.receivers), _REACHED * kept**0.5)
    tried = min(graph.n_edges, receivers * _READ * len(graph.senders))
    run = min(tried, receivers * _PER_RECEIVER) if shortlist else tried
    return Expected(kept, tried, run, min(_LARGEST, _PER_TRIAL * kept / len(graph.senders)))


def threshold_of(kept: float, graph: ComputationalGraph) -> float:
    """The threshold, as a part of the whole effect, at which so many edges are expected to be kept."""
    return float(min(0.5, (kept / _scale(graph)) ** (1 / _KEPT_POWER)))


def _scale(graph: ComputationalGraph) -> float:
    """How many edges would be kept at a threshold of the whole effect, if the law held so far; fewer in small ones."""
    return float(_KEPT * min(1.0, graph.n_edges / _OF_EDGES) ** _SIZE_POWER)
