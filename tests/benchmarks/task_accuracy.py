"""How many prompts of every task of ordinary text build for some models, and how many of them these get right.

Run as `python -m tests.benchmarks.task_accuracy MODEL...`: the table of docs/behaviours.md, in Markdown.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch

from acdc import tasks
from acdc.batch import Batch, Batching
from acdc.correctness import correct
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.models import load_named
from acdc.problem import Problem
from acdc.settings import Setup
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import Accuracy
from acdc.tasks.prompts import PromptPairs
from tests.tasks.subword_tokenizers import TEXT

PROMPTS = 128
"""As many as `acdc discover` draws with its defaults, half of them to judge by."""
_BYTES = 1 << 29


@dataclass(frozen=True)
class TaskAccuracy:
    """How many prompts there are, on how many the likeliest token is an answer, and on how many an answer is likelier
    than every distractor.
    """

    prompts: int
    right: int = 0
    preferred: int = 0

    def __str__(self) -> str:
        if not self.prompts:
            return "0 prompts"
        return f"{self.prompts}: {self.right / self.prompts:.0%}, {self.preferred / self.prompts:.0%}"


def accuracy(name: str, model: Model) -> TaskAccuracy:
    """That of a task on a model."""
    pairs = _drawn(name, model)
    if not len(pairs):
        return TaskAccuracy(0)
    problem = Problem(model, pairs, Accuracy(), Ablation.ZERO, Batching(max_bytes=_BYTES))
    return TaskAccuracy(len(pairs), int(correct(problem).sum()), sum(map(_preferred, problem.batches)))


def _drawn(name: str, model: Model) -> PromptPairs:
    """As many prompts as the model's tokenizer can express, by halves."""
    count = PROMPTS
    while count >= 4:
        try:
            return tasks.get(name).prompts.pairs(model.tokenizer, count, np.random.default_rng(0))
        except BadPrompts:
            count //= 2
    return PromptPairs(())


def _preferred(batch: Batch) -> int:
    logits = batch.targets.reference
    best = [
        logits.gather(-1, words.clamp(min=0)).masked_fill(words < 0, -torch.inf).amax(-1)
        for words in (batch.targets.answers, batch.targets.distractors)
    ]
    return int((best[0] > best[1]).sum())


def main(*names: str) -> None:
    """Print the table of these models."""
    columns: dict[str, dict[str, str]] = {}
    for name in names:
        model = load_named(name, Setup())
        columns[name] = {task: str(accuracy(task, model)) for task in TEXT}
    print(f"| task | {' | '.join(names)} |")
    print(f"|---|{'---|' * len(names)}")
    for task in TEXT:
        print(f"| `{task}` | {' | '.join(columns[name][task] for name in names)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
