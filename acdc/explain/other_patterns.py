"""Which heads look elsewhere on the variations of a task, and which look where they always do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from acdc.explain.head_behaviours import HeadBehaviours, on_prompts
from acdc.graphs.ablation import Ablation
from acdc.graphs.nodes import Node
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.tasks.errors import TaskError
from acdc.tasks.task import Task

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

CHANGES = 0.25
"""A head changes where it looks when its attention along its relation changes by so much."""


@dataclass(frozen=True)
class OnVariation:
    """The attention of heads along their relations on one variation of a task, and on its own prompts."""

    name: str
    usual: Mapping[Node, float]
    here: Mapping[Node, float]

    @property
    def changed(self) -> tuple[Node, ...]:
        """The heads that look elsewhere."""
        return tuple(head for head, usual in self.usual.items() if abs(self.here[head] - usual) >= CHANGES)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        heads = {
            head.name: {"usual": round(usual, 4), "here": round(self.here[head], 4)}
            for head, usual in self.usual.items()
        }
        return {"name": self.name, "heads": heads, "changed": [head.name for head in self.changed]}


def on_variations(
    problem: Problem,
    task: Task,
    usual: HeadBehaviours,
    relations: Mapping[Node, str],
    prompts: int,
    seed: int,
    watch: Watch | None = None,
) -> tuple[OnVariation, ...]:
    """The same on so many prompts of every variation that the model's tokenizer can express, if they have such keys.

    All positions of the prompts count alike, on both, as a variation need not show the behaviour.
    """
    found = []
    for number, variation in enumerate(task.variations if relations and prompts else ()):
        if watch is not None:
            watch(Progress("looking at the task's variations", number, len(task.variations)))
        try:
            pairs = variation.prompts.pairs(problem.model.tokenizer, prompts, np.random.default_rng(seed))
        except TaskError:
            continue
        # only where heads look on clean prompts is asked for, so no other run is made
        here = on_prompts(replace(problem.on(pairs), ablation=Ablation.ZERO, carried_from=None), list(relations))
        has = {head: one for head, one in relations.items() if here.reached(head, one) > 0}
        own, there = ({head: each.of(head, one) for head, one in has.items()} for each in (usual, here))
        found.append(OnVariation(variation.name, own, there))
    return tuple(found)
