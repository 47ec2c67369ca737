"""What a circuit file says about where its circuit comes from: enough to run the whole thing again."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tasks
from acdc.correctness import Right
from acdc.errors import BadSetting
from acdc.hashes import tokenizer_hash, weights_hash
from acdc.models import expanded, is_directory, is_known, name_of
from acdc.problem import Problem
from acdc.settings import Setup
from graphs.model import Model
from tasks.errors import lone_surrogates
from tasks.task import Task


@dataclass(frozen=True)
class Request:
    """What was asked for, in the words that would ask for it again: task, its file if it has one, the model's name.

    What was made in Python and goes by no name that finds it again is `in_memory`: "task", "model" or both.
    """

    task: Task
    file: str | None
    model: str
    in_memory: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: str | Path | Task, model: str | Model | None) -> Request:
        """What was asked for by a task, its name or file, and a model or its name (None: the task's own).

        Raises: BadSetting for a path that cannot be recorded; as `tasks.get`.
        """
        file, in_memory = None, []
        if not isinstance(task, Task):
            if task not in tasks.names():  # a name is a name even where a file is called the same
                file = recordable(str(Path(expanded(str(task))).resolve()))
            task = tasks.get(task)
        elif task.name not in tasks.names():
            in_memory.append("task")
        name = name_of(model) if isinstance(model, Model) else model or task.model
        if isinstance(model, Model) and not is_known(name):
            in_memory.append("model")
        where = recordable(str(Path(expanded(name)).resolve())) if is_directory(name) else name
        return cls(task, file, where, tuple(in_memory))


def recordable(path: str) -> str:
    """The path itself, if it can stand in a file: one that is no text would make a result that cannot be read.

    Raises: BadSetting.
    """
    if lone_surrogates(path):
        raise BadSetting(
            f"the path {path!a} cannot be recorded in a result: it has bytes that are no UTF-8 text; "
            "rename the directory or file, or work in another directory"
        )
    return path


RECORDED = ("model", "task", "prompts", "ablation", "metric")
"""The parts of a record that say what a circuit is measured with."""

_OF_SEVERAL_TOKENS = {
    "first-token": "Answers and distractors of several tokens are measured by their first token; what follows it is "
    "not looked at.",
    "whole": "Answers and distractors are measured whole: by all their tokens, each after the prompt and the tokens "
    "before it.",
}
_PACKAGES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "numpy")


def record(asked: Request, discovery: Problem, judgement: Problem, setup: Setup) -> dict[str, Any]:
    """Model, task, prompts, ablation, metric and software versions, as plain JSON data."""
    task = asked.task
    model = discovery.model
    record: dict[str, Any] = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {
            "name": asked.model,
            "revision": model.identity.revision,
            "weights": weights_hash(model),
            "tokenizer": tokenizer_hash(model.tokenizer),
            "dtype": str(model.dtype).removeprefix("torch."),
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
    for part in asked.in_memory:
        record[part]["in_memory"] = True
    notes = []
    answers_as = {pair.text.answers_as for pair in discovery.pairs.pairs}
    notes += [note for way, note in _OF_SEVERAL_TOKENS.items() if way in answers_as]
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
