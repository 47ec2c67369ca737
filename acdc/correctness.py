"""Which prompts a model gets right, and a task's prompts without the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from acdc.batch import Batching
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.settings import Setup
from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.metrics import Accuracy
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Prompts, Task

SELDOM = 0.5
"""A model that is right on fewer of the prompts than this hardly does what they call for."""
_MOST = 16
"""How many times as many prompts as are wanted are drawn at most to find enough that the model gets right."""
_ROUNDING = 1e-6
"""By how much the shares of a prompt's positions may add up to less than 1 in float32, 25 of them for example."""
_BYTES = 1 << 30
"""About how much the runs of the prompts that are looked through may take."""


@dataclass(frozen=True)
class Right:
    """How many of some prompts the model gets right."""

    right: int
    of: int

    @classmethod
    def on(cls, problem: Problem) -> Right:
        """Of a problem's prompts."""
        return cls(int(correct(problem).sum()), len(problem.pairs))

    def to_json(self) -> dict[str, Any]:
        """Both as plain JSON data."""
        return {"count": self.of, "right": self.right}


def hardly_done(right: Right, problem: Problem) -> tuple[str, ...]:
    """What to know before a circuit is looked for, in a sentence: that the model hardly does what the prompts call for.

    That is where it is right on fewer than half of them, or not on more than without any of its edges, when it reads
    what the corrupt prompts or another ablation leave. `right` is how many of the problem's prompts it gets right.
    """
    share = f"{right.right:,} of {right.of:,} prompts ({right.right / right.of:.0%})"
    remedy = "choose a model that does (--model), or prompts that it gets right (--only-correct)"
    if right.right < SELDOM * right.of:
        return (
            f"the model hardly shows this behaviour: it is right on {share}, so a circuit of it tells little; {remedy}",
        )
    ablated = int((problem.measure([Circuit.empty(problem.graph)], [Accuracy()])[0, 0] > 1 - _ROUNDING).sum())
    if right.right > ablated:
        return ()
    return (
        f"the model is right on {share} and without any of its edges on {ablated:,}, so its answers do not hang on "
        "what the corrupt prompts change; use others that break the behaviour, or another ablation (--ablation)",
    )


def correct(problem: Problem) -> Bool[Tensor, " prompt"]:
    """Which prompts the model gets right: its most likely token is an answer, at every scored position.

    Raises: UnmeasurableBehaviour when a logit of the model is not a number.
    """
    found = torch.zeros(len(problem.pairs), dtype=torch.bool)
    for prompts, reference in problem.references():
        if reference.isnan().any():
            raise UnmeasurableBehaviour(
                f"the model's own logits are not numbers: got NaN on {int(reference.isnan().any(-1).sum())} prompts, "
                f"wanted numbers; use a wider --dtype than {str(reference.dtype).removeprefix('torch.')}"
            )
        right = prompts.added_up(Accuracy()(reference, prompts.targets(reference)).double()) > 1 - _ROUNDING
        found[prompts.prompts.cpu()] = right.cpu()
    return found


def drawn(task: Task, model: Model, setup: Setup) -> Prompts:
    """A task's prompts for a setup: all, or only those that the model gets right.

    The former are among those that are drawn anyway, in their order. Of listed prompts those that are right are taken;
    of templates others are drawn for those that are wrong.

    Raises: BadPrompts when the tokenizer cannot express enough of them, or the model gets too few right.
    """
    if not setup.only_correct:
        return task.build(model.tokenizer, setup.prompts, setup.seed)
    wanted = 2 * setup.prompts
    pairs = _pairs(task, model, setup, wanted)
    right, step, listed = _right(model, pairs), wanted, len(pairs) < wanted
    while len(right) < wanted and step > wanted // 8 and len(pairs) < _MOST * wanted:
        try:
            more = _pairs(task, model, setup, min(len(pairs) + step, _MOST * wanted))
        except BadPrompts:  # there are not so many more
            step //= 2
            continue
        listed |= len(more) < len(pairs) + step
        if len(more) == len(pairs):
            break
        pairs = more
        right, step = _right(model, pairs), len(pairs)
    if len(right) < (4 if listed else wanted):
        raise _too_few(len(right), len(pairs), wanted)
    return Prompts.halves(pairs.select(right[:wanted]))


def _pairs(task: Task, model: Model, setup: Setup, count: int) -> PromptPairs:
    return task.prompts.pairs(model.tokenizer, count, np.random.default_rng(setup.seed))


def _right(model: Model, pairs: PromptPairs) -> list[int]:
    """The indices of the prompts that the model gets right; what edges carry does not matter to that."""
    problem = Problem(model, pairs, Accuracy(), Ablation.ZERO, Batching(max_bytes=_BYTES))
    return [index for index, is_right in enumerate(correct(problem).tolist()) if is_right]


def _too_few(right: int, of: int, wanted: int) -> BadPrompts:
    remedy = "use a model that shows the behaviour (--model), or all prompts (without --only-correct)"
    return BadPrompts(
        PromptProblem(
            "the model gets too few prompts right",
            f"{right:,} of {of:,}",
            f"{wanted:,}: half for discovery and half for judgement",
            f"ask for at most {right // 2:,} (--prompts), or {remedy}" if right >= 4 else remedy,
        )
    )
