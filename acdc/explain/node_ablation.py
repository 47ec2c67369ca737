"""What the behaviour is worth without some nodes of the whole model: what they write is what it is in the ablated run.

The same as a circuit of all edges but those that leave these nodes, for the cost of one ordinary run from the first of
their layers on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Node
from acdc.precision import finite_metric
from acdc.problem import Problem


def costs_without(problem: Problem, groups: Sequence[Collection[Node]]) -> Float[Tensor, "group prompt"]:
    """What ablating each group of heads and MLPs in the whole model costs, prompt by prompt.

    As a part of what the behaviour is: 0 where it is kept, 1 where it is as without any edge, in the mean over prompts.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    full, none = problem.bounds
    values = torch.empty(1 + len(groups), len(problem.pairs), dtype=torch.float64)
    for batch in problem.batches:
        rows = batch.prompts.prompts.cpu()
        for index, group in enumerate(((), *groups)):
            with torch.no_grad():
                logits = logits_without(batch.runs, group)[None]
                measured = finite_metric(problem.metric, logits, batch.targets, problem.model).double()
            values[index, rows] = batch.prompts.added_up(measured.cpu())[0]
        del batch
    return (values[0] - values[1:]) / (full - none)


def logits_without(
    runs: Runs, nodes: Collection[Node], where: Bool[Tensor, " pos"] | None = None
) -> Float[Tensor, "batch vocab"]:
    """The logits at the scored positions of the clean run, when these heads and MLPs write what the ablated run has.

    Heads do so at the positions that `where` says only, if it is given.
    """
    graph, model = runs.graph, runs.model
    if not nodes:
        return runs.reference()
    first = min(node.layer for node in nodes)
    residual = runs.clean_residual(graph.layers[first].reads)
    for number, layer in enumerate(runs.layers[first:], start=first):
        q, k, v = (layer.project_all(slot, residual) for slot in ("q", "k", "v"))
        wrote = layer.heads(q, k, v)
        for node in nodes:
            if node.kind == "head" and node.layer == number:
                ablated = runs.ablated.outputs[graph.sender_index[node]]
                wrote[node.head] = ablated if where is None else torch.where(where[:, None], ablated, wrote[node.head])
        after = residual + wrote.sum(0) + layer.layer.attention.output.bias
        if layer.indices.mlp is None:
            residual = after
        elif any(node.kind == "mlp" and node.layer == number for node in nodes):
            senders = layer.indices.mlp.senders
            residual = layer.layer.after_mlp(after, runs.ablated.outputs[senders.start : senders.stop])
        else:
            residual = after + layer.mlp(residual if graph.parallel else after)
    return model.unembedding(runs.scored(residual).squeeze(-2))
