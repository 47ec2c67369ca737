"""One run in which some senders are missing altogether: everything that reads them reads constants in their place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph, LayerIndices
from acdc.graphs.execution.layer import LayerRun
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
    model, graph, present = runs.model, runs.graph, _joined(runs.graph, kept)

    def wrote(senders: range, run: Callable[[], Tensor]) -> Float[Tensor, "sender #batch #pos d_model"]:
        """What these senders write: what is run, or constants."""
        some = slice(senders.start, senders.stop)
        if not present[some].any():
            return constants[some]
        return torch.where(present[some].to(clean.device)[:, None, None, None], run(), constants[some])

    clean = runs.delta[0] + runs.ablated.outputs[0]
    residual = clean if kept[0] else constants[0].expand_as(clean)
    for layer, indices in zip(runs.layers, graph.layers, strict=True):
        residual = _after(layer, indices, residual, wrote)
    logits: Float[Tensor, "batch vocab"] = model.unembedding(runs.scored(residual).squeeze(-2))
    return logits


def _joined(graph: ComputationalGraph, kept: Bool[Tensor, " sender"]) -> Bool[Tensor, " sender"]:
    """The senders kept that a path over all edges from such joins to `input`."""
    joined = kept.clone()
    for layer in graph.layers:
        for senders, reads in ((layer.heads, layer.reads), *((node.senders, node.reads) for node in layer.nodes)):
            joined[senders.start : senders.stop] &= joined[graph.since(reads) : reads].any()
    return joined


def _after(
    layer: LayerRun,
    indices: LayerIndices,
    before: Float[Tensor, "batch pos d_model"],
    wrote: Callable[[range, Callable[[], Tensor]], Tensor],
) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream after a layer."""

    def attention() -> Tensor:
        q, k, v = (layer.project_all(slot, before) for slot in SLOTS)
        return layer.attention(q, k, v)

    residual = before + wrote(indices.heads, attention).sum(0) + layer.layer.attention.output.bias
    for node in indices.nodes:
        read = before if node.reads == indices.reads else residual
        parts = wrote(node.senders, partial(layer.layer.node_parts, node.kind, read))
        residual = layer.layer.after_node(node.kind, residual, parts)
    return residual
