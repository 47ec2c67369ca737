"""What the MLPs of a circuit do: the tokens they promote, and whether the first one acts as part of the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Node
from acdc.problem import Problem

PROMOTED = 5


@dataclass(frozen=True)
class MlpReading:
    """The tokens that an MLP, or a part of one, raises most at the scored positions, in the mean over prompts.

    `of_token` is for m0 only: what part of the variance of what it writes, over all positions, is what it writes when
    it is given the embeddings without what attention adds. 1: it is part of the embedding.
    """

    node: Node
    promotes: tuple[str, ...]
    of_token: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        of_token = None if self.of_token is None else round(self.of_token, 4)
        return {"node": self.node.name, "promotes": list(self.promotes), "of_token": of_token}


def mlp_readings(problem: Problem, nodes: Sequence[Node]) -> tuple[MlpReading, ...]:
    """What these MLPs, or parts of them, do on a problem's clean prompts."""
    model, graph = problem.model, problem.graph
    total = torch.zeros(len(nodes), graph.d_model, dtype=torch.float64)
    apart = spread = 0.0
    for batch in problem.batches:
        runs = batch.whole
        for index, node in enumerate(nodes):
            wrote = _wrote(runs, node)
            at_end = runs.scored(wrote).squeeze(-2)
            final = runs.scored(runs.clean_residual(len(graph.senders))).squeeze(-2)
            scale = final.double().std(-1, keepdim=True).clamp(min=1e-12)
            total[index] += (at_end.double() / scale).sum(0).cpu()
            if node.layer == 0 and not node.part:
                with torch.no_grad():
                    alone = runs.layers[0].mlp(runs.clean_residual(graph.layers[0].reads))
                apart += float((wrote - alone).double().square().sum())
                spread += float((wrote - wrote.mean((0, 1))).double().square().sum())
        del batch
    weight, norm = model.unembedding.weight.double().cpu(), model.unembedding.norm.weight
    folded = weight if norm is None else weight * norm.double().cpu()
    raised = (total - total.mean(-1, keepdim=True)) @ folded.T
    readings = []
    for node, row in zip(nodes, raised, strict=True):
        top = row.topk(min(PROMOTED, len(row)))
        # a feature that is on at no scored position raises nothing there
        best = [token for token, by in zip(top.indices.tolist(), top.values.tolist(), strict=True) if by > 0]
        of_token = max(0.0, 1 - apart / spread) if node.layer == 0 and not node.part and spread else None
        readings.append(MlpReading(node, tuple(_written(model.tokenizer, token) for token in best), of_token))
    return tuple(readings)


def _wrote(runs: Runs, node: Node) -> Float[Tensor, "row pos d_model"]:
    """What an MLP, or a part of one, writes in the clean run."""
    if node in runs.graph.sender_index:
        sender = runs.graph.sender_index[node]
        return runs.delta[sender] + runs.ablated.outputs[sender]
    senders = runs.graph.mlp_senders(node.layer)
    parts = slice(senders.start, senders.stop)
    nothing = torch.zeros_like(runs.delta[0])
    return runs.model.layers[node.layer].after_mlp(nothing, runs.delta[parts] + runs.ablated.outputs[parts])


def _written(tokenizer: Any, token: int) -> str:
    return str(token) if tokenizer is None else str(tokenizer.decode([token]))
