"""One run in which some senders are missing altogether: everything that reads them reads constants in their place."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import SLOTS


def without_senders(
    runs: Runs, kept: Bool[Tensor, " sender"], constants: Float[Tensor, "sender 1 1 d_model"]
) -> Float[Tensor, "batch vocab"]:
    """The logits at the scored positions when senders that are not kept write their constants; with gradients to these.

    `runs` give the prompts, and `kept` is on the CPU. It is the circuit of all edges from the senders that are kept, at
    about the price of one forward run of these: nothing that is not kept is run, and all receivers of a layer read the
    same.
    """
    model, graph = runs.model, runs.graph
    clean = runs.delta[0] + runs.ablated.outputs[0]
    residual = clean if kept[0] else constants[0].expand_as(clean)
    for layer, indices in zip(runs.layers, graph.layers, strict=True):
        heads = slice(indices.heads.start, indices.heads.stop)
        wrote = constants[heads]
        if kept[heads].any():
            q, k, v = (layer.project_all(slot, residual) for slot in SLOTS)
            wrote = torch.where(kept[heads].to(residual.device)[:, None, None, None], layer.heads(q, k, v), wrote)
        after = residual + wrote.sum(0) + layer.layer.attention.output.bias
        if indices.mlp is None:
            residual = after
            continue
        parts = slice(indices.mlp.senders.start, indices.mlp.senders.stop)
        added = constants[parts]
        if kept[parts].any():
            ran = layer.mlp_parts(residual if graph.parallel else after)
            added = torch.where(kept[parts].to(residual.device)[:, None, None, None], ran, added)
        residual = layer.layer.after_mlp(after, added)
    logits: Float[Tensor, "batch vocab"] = model.unembedding(runs.scored(residual).squeeze(-2))
    return logits
