"""At which positions what a head writes matters to the answer: an estimate by gradients, for every head at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.answer_direction import Answers
from acdc.graphs.execution.runs import Runs

STEPS = 5
_NOTHING = 1e-9
"""Less than this part of the largest effect of any head is no gradient."""


def position_weights(batch: Batch) -> Float[Tensor, "head batch pos"]:
    """How much of what each head does to a prompt's answer it does at each position; adds up to 1 over positions.

    The size of the gradient times what the head writes there less what it does in the ablated run; the gradient is of
    the answers' logits less the distractors', the mean of those on the straight way from the ablated run's embeddings
    to the clean ones. Where no gradient comes through, as where a softmax is saturated, it is the size of what the head
    writes there less what it does in the ablated run alone. All 0 where a head writes nothing of its own.

    Source: Hanna et al. 2024, Have Faith in Faithfulness (arXiv:2403.17806), whose integrated gradients these are.
    """
    runs = batch.runs
    gradients = _gradients(runs, Answers.of(batch.prompts))
    weights, sizes = [], []
    for layer, gradient in zip(runs.graph.layers, gradients, strict=True):
        delta = runs.delta[layer.heads.start : layer.heads.stop]
        weights.append((delta * gradient).sum(-1).abs())
        sizes.append(delta.norm(dim=-1))
    effect, size = torch.cat(weights), torch.cat(sizes)
    total = effect.sum(-1, keepdim=True)
    effect = torch.where(total > _NOTHING * total.amax(0), effect, size)
    total = effect.sum(-1, keepdim=True)
    return torch.where(total > 0, effect / total.clamp(min=torch.finfo(total.dtype).tiny), 0)


def _gradients(runs: Runs, of: Answers) -> list[Float[Tensor, "batch pos d_model"]]:
    """Per layer, the mean gradient at the residual stream that the heads have been added to."""
    ablated = runs.ablated.residuals[runs.graph.layers[0].reads]
    total = [torch.zeros_like(ablated) for _ in runs.layers]
    for step in range(STEPS):
        part = (step + 0.5) / STEPS
        with torch.enable_grad():
            residual = (ablated + part * runs.delta[0]).detach()
            after: list[Tensor] = []
            for layer in runs.layers:
                q, k, v = (layer.project_all(slot, residual) for slot in ("q", "k", "v"))
                summed = layer.heads(q, k, v).sum(0)
                summed = summed if summed.requires_grad else summed.requires_grad_()
                after.append(summed)
                joined = residual + summed + layer.layer.attention.output.bias
                mlp = layer.indices.mlp
                residual = joined if mlp is None else joined + layer.mlp(residual if runs.graph.parallel else joined)
            logits = runs.model.unembedding(runs.scored(residual).squeeze(-2))
            found = torch.autograd.grad(_difference(of, logits).sum(), after)
        total = [before + gradient / STEPS for before, gradient in zip(total, found, strict=True)]
    return total


def _difference(of: Answers, logits: Float[Tensor, "row vocab"]) -> Float[Tensor, " row"]:
    """The mean logit of the answers less that of the distractors, of those that a row has."""

    def mean(tokens: Tensor) -> Tensor:
        is_token = tokens >= 0
        chosen = logits.gather(1, tokens.clamp(min=0)).masked_fill(~is_token, 0)
        return chosen.sum(1) / is_token.sum(1).clamp(min=1)

    return mean(of.answers) - mean(of.distractors)
