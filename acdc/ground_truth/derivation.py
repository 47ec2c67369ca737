"""The true edges of a model that was made and not trained: those whose ablation alone can change an output."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.execution.runs import TokenPairs, mean_outputs, prepare
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.precision import finite


def single_edge_effects(
    model: Model, batches: Collection[TokenPairs], ablation: Ablation
) -> dict[Edge, Float[Tensor, " prompt"]]:
    """How far each edge, ablated alone in the whole model, moves any logit at the scored position of each prompt.

    Means are those of all the corrupt prompts.
    """
    graph = model.graph
    means = mean_outputs(model, [batch.corrupt for batch in batches], ablation)
    found: dict[Edge, list[Float[Tensor, " prompt"]]] = {edge: [] for edge in graph.edges()}
    with torch.no_grad():
        for batch in batches:
            runs = prepare(model, batch, ablation, means)
            executor, full = IncrementalExecutor(runs), runs.reference()
            # What carries the same in both runs changes nothing: most of a compiled model's nodes write nothing at all.
            moving = runs.delta.flatten(1).any(dim=1).tolist()
            for receiver in reversed(graph.receivers):
                executor.begin(receiver)
                senders = [sender for sender in graph.may_read(receiver) if moving[sender]]
                moved = {edge: torch.zeros(len(full)) for edge in graph.incoming(receiver)}
                if senders:
                    logits = executor.try_removals(receiver, senders, together=False)
                    changes = (logits - full).abs().amax(-1)
                    moved |= {
                        Edge(graph.senders[sender], *receiver): row
                        for sender, row in zip(senders, changes, strict=True)
                    }
                for edge, row in moved.items():
                    found[edge].append(row)
    return {edge: torch.cat(rows) for edge, rows in found.items()}


def true_edges(model: Model, batches: Collection[TokenPairs], ablation: Ablation, tolerance: float) -> frozenset[Edge]:
    """The edges that, ablated alone in the whole model, move some logit of some prompt by more than `tolerance`.

    Raises: NotFinite.
    """
    effects = single_edge_effects(model, batches, ablation)
    return frozenset(
        edge for edge, effect in effects.items() if finite(effect, f"effects of {edge.name}").max() > tolerance
    )
