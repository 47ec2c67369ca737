"""Shipped models that were trained to compute a known program along known edges (strict interchange intervention)."""

from __future__ import annotations

import json

from acdc import tasks
from acdc.errors import AcdcError
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import load
from acdc.ground_truth.known import Known

TRUTH = "truth.json"


def names() -> tuple[str, ...]:
    """The shipped models whose true edges are known."""
    return tuple(name for name in tasks.shipped_models() if (tasks.shipped_model(name) / TRUTH).is_file())


def known(name: str) -> Known:
    """The shipped model of that name with its task and the edges that it was trained to compute the task along.

    The edges follow from the program and from where training put its variables; `truth.json` beside the model says how.

    Raises: UnknownShippedModel; AcdcError for a shipped model whose true edges are not known.
    """
    path = tasks.shipped_model(name) / TRUTH
    if not path.is_file():
        raise AcdcError(f"the true edges of {name} are not known; wanted one of {', '.join(names())}")
    truth = json.loads(path.read_text("utf-8"))
    model = load(tasks.shipped_model(name))
    edges = Circuit.from_names(model.graph, truth["edges"]).edges
    return Known(name, tasks.get(truth["task"]), model, {Ablation(truth["ablation"]): edges})
