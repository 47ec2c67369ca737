"""What is asked for, in the words that would ask for it again, and the provenance of what comes of it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from acdc import tasks
from acdc.correctness import Right
from acdc.errors import BadSetting, ChangedSubject
from acdc.features.split import dictionaries_of, features_of
from acdc.features.split import recordable as recordable_split
from acdc.graphs.constants import Constants
from acdc.graphs.model import Model
from acdc.hashes import tokenizer_hash, weights_hash
from acdc.models import expanded, is_directory, is_gguf, is_known, name_of
from acdc.problem import Problem
from acdc.provenance import (
    ConstantsOrigin,
    MetricOrigin,
    ModelOrigin,
    PromptsOrigin,
    PromptsSide,
    Provenance,
    TaskOrigin,
    versions,
)
from acdc.settings import Setup
from acdc.tasks.errors import lone_surrogates
from acdc.tasks.task import Task

_OF_SEVERAL_TOKENS = {
    "first-token": "Answers and distractors of several tokens are measured by their first token; what follows it is "
    "not looked at.",
    "whole": "Answers and distractors are measured whole: by all their tokens, each after the prompt and the tokens "
    "before it.",
}
_CHAT = "Prompts are what a user says, in the tokenizer's own chat template; answers are what the model says first."
_FROZEN_SCALE = (
    "A norm follows the sum of this model's heads; its scale is frozen per prompt and position, at the clean run for "
    "what edges carry and at the corrupt run for what missing edges carry."
)


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
        where = name
        if is_directory(name) or is_gguf(name):
            where = recordable(str(Path(expanded(name)).resolve()))
        return cls(task, file, where, tuple(in_memory))

    def provenance(self, discovery: Problem, judgement: Problem, setup: Setup) -> Provenance:
        """What a circuit file says of model, task, prompts, ablation, metric and software."""
        task, model = self.task, discovery.model
        notes = self._notes(discovery)
        noted: dict[str, Any] = {"notes": notes} if notes else {}
        if features := features_of(model):
            noted["features"] = features
        if isinstance(discovery.carried_from, Constants):
            noted["constants"] = ConstantsOrigin(**discovery.carried_from.to_json())
        return Provenance(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=ModelOrigin(
                name=self.model,
                revision=model.identity.revision,
                weights=weights_hash(model),
                tokenizer=tokenizer_hash(model.tokenizer),
                dtype=str(model.dtype).removeprefix("torch."),
                **self._more_of(model),
                **_split_of(setup),
            ),
            task=TaskOrigin(
                name=task.name,
                about=task.about.sentence,
                source=task.about.source,
                file=self.file,
                **self._made_in_python("task"),
            ),
            prompts=PromptsOrigin(
                count=setup.prompts,
                seed=setup.seed,
                only_correct=setup.only_correct,
                **({"positions": "slots"} if discovery.graph.spans else {}),
                discovery=side(discovery),
                judgement=side(judgement),
            ),
            ablation=discovery.ablation.value,
            metric=MetricOrigin(name=discovery.metric.name, meaning=discovery.metric.meaning),
            versions=versions(),
            **noted,
        )

    def _more_of(self, model: Model) -> dict[str, Any]:
        quantisation = model.identity.quantisation
        return {**({"quantisation": quantisation} if quantisation else {}), **self._made_in_python("model")}

    def _made_in_python(self, part: str) -> dict[str, Any]:
        return {"in_memory": True} if part in self.in_memory else {}

    def require_named(self) -> None:
        """Refuse what another process cannot get by its name.

        Raises: BadSetting.
        """
        if self.in_memory:
            raise BadSetting(
                f"the {' and the '.join(self.in_memory)} made in Python cannot be found by a cluster's workers; give "
                "a name or a path, or let the work be done in this process"
            )

    def _notes(self, problem: Problem) -> list[str]:
        answers_as = {pair.text.scoring.answers_as for pair in problem.pairs.pairs}
        notes = [note for way, note in _OF_SEVERAL_TOKENS.items() if way in answers_as]
        notes += [_CHAT] if any(pair.text.wording.chat for pair in problem.pairs.pairs) else []
        return [*notes, _FROZEN_SCALE] if problem.graph.frozen_scale else notes


def _split_of(setup: Setup) -> dict[str, Any]:
    """What MLPs are split into, and the hashes of the dictionaries' files."""
    if not setup.split:
        return {}
    split = recordable_split(recordable(setup.split))
    dictionaries = dictionaries_of(split)
    reads = {"parts_read": True} if setup.parts_read else {}
    return {"split": split, **({"dictionaries": dictionaries} if dictionaries else {}), **reads}


def require_same(wanted: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a model, a task or prompts, as provenances' `measurement` has them, that are not what they must be.

    Raises: ChangedSubject.
    """
    if different := [part for part in wanted if here.get(part) != wanted[part]]:
        raise ChangedSubject(
            f"{' and '.join(different)} on {socket.gethostname()} are not those of the command itself; give all "
            "machines of the cluster the same files"
        )


def side(problem: Problem) -> PromptsSide:
    """The prompts of one side: how many, how many of them the model gets right, and their hash."""
    return PromptsSide(**Right.on(problem).to_json(), hash=f"sha256:{problem.pairs.fingerprint()}")


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
