"""What a circuit file says about where its circuit comes from: enough to run the whole thing again."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from acdc.correctness import Right
from acdc.problem import Problem
from acdc.setup import Setup
from tasks.task import Task


@dataclass(frozen=True)
class Asked:
    """What was asked for, in the words that would ask for it again: task, its file if it has one, the model's name."""

    task: Task
    file: str | None
    model: str


_PACKAGES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "numpy")


def record(asked: Asked, discovery: Problem, judgement: Problem, setup: Setup) -> dict[str, Any]:
    """Model, task, prompts, ablation, metric and software versions, as plain JSON data."""
    task = asked.task
    model = discovery.model
    record: dict[str, Any] = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {
            "name": asked.model,
            "revision": model.identity.revision,
            "weights": f"sha256:{model.fingerprint()}",
            "dtype": setup.dtype,
        },
        "task": {"name": task.name, "about": task.about.sentence, "source": task.about.source, "file": asked.file},
        "prompts": {
            "count": setup.prompts,
            "seed": setup.seed,
            "only_correct": setup.only_correct,
            "discovery": side(discovery),
            "judgement": side(judgement),
        },
        "ablation": discovery.ablation.value,
        "metric": {"name": discovery.metric.name, "meaning": discovery.metric.meaning},
        "versions": versions(),
    }
    notes = []
    if any(pair.text.first_token for pair in discovery.pairs.pairs):
        notes.append(
            "Answers and distractors of several tokens are measured by their first token; what follows it is not "
            "looked at."
        )
    if model.graph.frozen_scale:
        notes.append(
            "A norm follows the sum of this model's heads; its scale is frozen per prompt and position, at the clean "
            "run for what edges carry and at the corrupt run for what missing edges carry."
        )
    return {**record, "notes": notes} if notes else record


def side(problem: Problem) -> dict[str, Any]:
    """The prompts of one side: how many, how many of them the model gets right, and their hash."""
    return {**Right.on(problem).to_json(), "hash": f"sha256:{problem.pairs.fingerprint()}"}


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that results depend on; None for what is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
