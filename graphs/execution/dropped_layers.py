"""Estimates of every edge's effect that neither a saturated softmax nor effects that cancel hide (AtP*).

Two things differ from the gradient's. An edge into queries or keys is scored by what its head would gather without it,
norm and softmax run, times the gradient there; a saturated softmax has none at queries and keys. And every score is the
mean size of several, each by a gradient from which what one layer writes is left out, so that a direct effect shows
which that layer cancels. They share one run, and their backward passes all that is above the layer left out.

Source: Kramar et al. 2024 (arXiv:2403.00745), sections 3.1.1 (QK fix) and 3.1.2 (GradDrop), for nodes at positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.execution.gradients import Linearisation, rows_first, wide
from acdc.graphs.execution.linear_layer import LinearLayer
from acdc.graphs.nodes import SLOTS

_AT_ONCE = 1 << 24
"""How many numbers of what heads gather without a sender are held at once."""


@torch.no_grad()
def sizes_of_effects(
    run: Linearisation, gradient: Float[Tensor, "batch column"], prompts: Int[Tensor, " batch"]
) -> Float[Tensor, "receiver sender"]:
    """For every edge the sum over prompts of the mean size of its estimates; never negative.

    `gradient` is a function's at the logits of a run from the embeddings by the gradient's own rules, and `prompts` the
    number of the prompt that each row is of. An edge has an estimate for each layer other than its receiver's: that
    whose gradient leaves out what the layer writes; in a model of one layer, one whose gradient is whole. Can be called
    once, instead of `edge_scores`.
    """
    runs, graph = run.runs, run.runs.graph
    at_final = run.at_final(gradient)
    scores = runs.delta.new_zeros(len(graph.receivers), len(graph.senders), dtype=wide(runs.delta.dtype))
    at_logits = run.by_row(at_final[None, :, None], rows_first(runs.scored(runs.delta))).sum(2)
    scores[-1] = _sizes(at_logits, prompts)[0]
    scores[-1, : graph.since(len(graph.senders))] = 0
    delta, whole, dropped = rows_first(runs.delta), run.spread(at_final), list[Tensor]()
    while run.layers:
        layer, below = run.layers.pop(), len(run.layers)
        found, before = _estimates(run, layer, delta, [*dropped, whole])
        # to leave out a layer below changes no gradient here
        of_whole = below if graph.n_layers > 1 else 1
        total = of_whole * _sizes(found[-1], prompts) + sum(_sizes(estimate, prompts) for estimate in found[:-1])
        rows = runs.rows[layer.receivers.start : layer.receivers.stop].flatten()
        scores[rows, : layer.reads] = total / max(1, graph.n_layers - 1)
        dropped, whole = [*before[:-1], whole], before[-1]
    return scores * run.scale


def _estimates(
    run: Linearisation,
    layer: LinearLayer,
    by_rows: Float[Tensor, "batch all number"],
    flows: Sequence[Float[Tensor, "batch pos d_model"]],
) -> tuple[list[Float[Tensor, "batch receiver sender"]], list[Float[Tensor, "batch pos d_model"]]]:
    """For each gradient at the residual stream after a layer, estimates of the edges into it, and that before it."""
    reads, n_heads, delta = layer.run.indices.reads, layer.graph.n_heads, run.runs.delta
    positions, spans = run.runs.positions, layer.graph.spans
    heads = len(SLOTS) * n_heads
    found, at_gathered, before = list[Tensor](), list[Tensor](), list[Tensor]()
    for number, flowing in enumerate(flows, start=1):
        gradients = layer.pull_back(flowing, again=number < len(flows))
        estimates = run.into_layer(layer, gradients, by_rows)
        assert gradients.gathered is not None
        found.append(estimates)
        at_gathered.append(gradients.gathered.to(estimates.dtype))
        before.append(gradients.before)
    each = n_heads * delta[0, ..., 0].numel() * max(delta.shape[-2], at_gathered[0].shape[-1])
    at_once = max(1, _AT_ONCE // each)
    for slot, first in zip(SLOTS, range(0, heads, n_heads), strict=True):
        if slot == "v":
            continue
        rows = slice(first, first + n_heads)
        for start, span in product(range(0, reads, at_once), range(len(spans) or 1)):
            some = slice(start, min(start + at_once, reads))
            there = positions.confined(delta[some], span if spans else None)
            less = layer.gathered_less(slot, there).to(found[0].dtype)
            for estimates, slope in zip(found, at_gathered, strict=True):
                estimates[:, rows, span, some] = torch.einsum("hbpk,hsbpk->bhs", slope, less)
    for estimates in found:
        layer.not_read(estimates)
    return [estimates.flatten(1, 2) for estimates in found], before


def _sizes(
    estimates: Float[Tensor, "batch receiver sender"], prompts: Int[Tensor, " batch"]
) -> Float[Tensor, "receiver sender"]:
    """Those of each prompt's estimates, added up over prompts."""
    per_prompt = estimates.new_zeros(int(prompts.max()) + 1, *estimates.shape[1:])
    return per_prompt.index_add_(0, prompts.to(estimates.device), estimates).abs().sum(0)
