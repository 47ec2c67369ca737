"""The direction in the residual stream that tells answers from distractors at the end, the last norm's scale frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.model import Model
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.problem import Problem
from acdc.tasks.batches import PromptBatch, rectangle
from acdc.tasks.metrics import LogitDifference, Targets


@dataclass(frozen=True)
class Answers:
    """The answers and distractors of rows of a batch, as tokens; -1 pads.

    What they measure is the mean logit of the answers less that of the distractors.
    """

    answers: Int[Tensor, "row answer"]
    distractors: Int[Tensor, "row distractor"]

    @classmethod
    def of(cls, batch: PromptBatch) -> Answers:
        """A batch's own."""
        return cls(batch.answers, batch.distractors)

    @classmethod
    def of_others(cls, problem: Problem, batch: PromptBatch, other: Sequence[int]) -> Answers:
        """Those of another prompt for each, `other` by the number of the prompt, at its first scored position."""
        pairs = [problem.pairs.pairs[other[index]] for index in batch.index.tolist()]
        device = batch.index.device
        return cls(
            rectangle([pair.answers for pair in pairs]).to(device),
            rectangle([pair.distractors for pair in pairs]).to(device),
        )

    def difference(self, logits: Float[Tensor, "*any row vocab"]) -> Float[Tensor, "*any row"]:
        """The mean logit of the answers less that of the distractors."""
        any_of_them = logits.reshape(-1, *logits.shape[-2:])[0]  # a reference, at which this metric does not look
        return LogitDifference().of_rows(logits, Targets(self.answers, self.distractors, any_of_them))


@dataclass(frozen=True)
class Direction:
    """What a residual stream is multiplied with, and what is added, to get the answers' logits less the distractors'.

    The final norm has the scale that it has in the run the direction is of, and a soft cap of the logits is left out.
    """

    vector: Float[Tensor, "row d_model"]
    bias: Float[Tensor, " row"]

    def __call__(self, part: Float[Tensor, "*any row d_model"]) -> Float[Tensor, "*any row"]:
        """What a part of the residual stream adds; the bias is apart from all of them."""
        return (part * self.vector).sum(-1)


def direction(model: Model, final: Float[Tensor, "row d_model"], of: Answers) -> Direction:
    """The direction at the residual streams that the final norm reads."""
    uncapped = replace(model.unembedding, soft_cap=None)
    columns = torch.cat((of.answers, of.distractors), dim=1)
    numbers = torch.arange(columns.shape[1], device=columns.device).expand_as(columns).masked_fill(columns < 0, -1)
    width = of.answers.shape[1]
    among = Answers(numbers[:, :width], numbers[:, width:])
    with torch.enable_grad():
        at = final.detach().requires_grad_()
        # of the rules that freeze the norm's scale, which differ in nothing else here
        logits = uncapped(at, columns.clamp(min=0), BackwardRules.RELEVANCE)
        (vector,) = torch.autograd.grad(among.difference(logits).sum(), at)
    return Direction(vector, among.difference(_constants(model, columns)))


def _constants(model: Model, columns: Int[Tensor, "row column"]) -> Float[Tensor, "row column"]:
    """What the biases of the final norm and of the unembedding add to the logits."""
    end, tokens = model.unembedding, columns.clamp(min=0)
    constants = torch.zeros(columns.shape, dtype=model.dtype, device=model.device)
    if end.bias is not None:
        constants = constants + end.bias[tokens]
    if end.norm.kind == "layer" and end.norm.bias is not None:
        constants = constants + end.weight[tokens] @ end.norm.bias
    return constants
