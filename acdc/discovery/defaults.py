"""What is chosen where nothing is asked: method, goal and number of prompts, by the size of the model's graph.

On a small graph, exact greedy pruning for 90% of the behaviour takes seconds to minutes. On a large one that circuit
has hundreds to thousands of edges and pruning takes hours; so masks are learned, the time is bounded, and the circuit
given that keeps 90%, if it is small, or is at the knee of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from acdc.graphs.computation import ComputationalGraph
from acdc.methods import PRUNING
from acdc.models import expanded, is_gguf
from acdc.settings import Goal, KeptAccuracy, KeptFaithfulness, MeanKL, Method, Minutes, Setup

LARGE, LARGE_METHOD = 5_000, "masks"
"""Edges from which on a graph is large, and how it is searched."""
SPLIT_METHOD = "eap-ig"
"""How a graph is searched whose MLPs are split: into hundreds of senders, of which few matter."""
PROMPTS = 64
EXPLORED, EXPLORED_IF_LARGE = 16, 8
"""How many prompts are explored unless told otherwise."""
CHOSEN_IF_LARGE, EXPLAINED_IF_LARGE = 8, 16
"""How many prompts roles of a large model are chosen on, and have to hold on, unless told otherwise; others: all."""
TO_THE_MODEL = (*PRUNING, "masks")
"""The methods that keep a circuit near the model: measured by KL where no metric is named."""


@dataclass(frozen=True)
class Defaults:
    """What was chosen for a graph; `why` says so in a sentence, and is empty where the graph is small."""

    method: Method
    goal: Goal
    prompts: int
    why: str = ""

    @classmethod
    def of(
        cls, graph: ComputationalGraph | None, *, method: Method | None, goal: Goal | None, prompts: int | None
    ) -> Defaults:
        """What is given, and for all that is None what suits the graph (None: not known, and taken for small)."""
        if graph is None or graph.n_edges < LARGE:
            return cls(method or Method(), goal or KeptFaithfulness(), prompts or PROMPTS)
        chosen = {
            f"method {(method or Method(LARGE_METHOD)).name} (--method)": method is None,
            f"{prompts or PROMPTS} prompts (--prompts)": prompts is None,
            "the circuit at the knee of what 10 minutes allow (--minutes, --faithfulness, --edges)": goal is None,
        }
        words = ", ".join(words for words, is_default in chosen.items() if is_default)
        return cls(
            method or Method(LARGE_METHOD),
            goal or Minutes(),
            prompts or PROMPTS,
            f"the model has {graph.n_edges:,} edges, so by default: {words}" if words else "",
        )


def measured_for(goal: Goal, method: Method, setup: Setup) -> Setup:
    """The setup with the metric that a goal needs where none is named.

    Pruning or learning masks to a KL or an accuracy, or along a curve, measures by KL.

    A falling threshold of another metric need never bring the circuit near the model, as edges that work against the
    behaviour are always dropped.
    """
    if setup.metric is None and method.name in TO_THE_MODEL and isinstance(goal, (MeanKL, KeptAccuracy, Minutes)):
        return replace(setup, metric="kl")
    return setup


def default_directory(task: str, model: str) -> Path:
    """Where the command line keeps what it finds unless told otherwise: `runs/<task>-<model>`, both by name."""
    model = expanded(model)
    if is_gguf(model):
        name = Path(model).stem
    else:
        name = Path(model).resolve().name if Path(model).is_dir() else model.replace("/", "--").replace(":", "-")
    return Path("runs") / f"{task}-{name}"
