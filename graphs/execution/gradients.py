"""The gradient at every receiver of one run, contracted at once with what every sender would change.

Only queries, keys, values (d_head wide), MLP inputs and the final residual are kept for the backward pass; what a
receiver's residual input would have as gradient follows from its projection and norm, and is used up layer by layer.

In half precision, gradients flow scaled to about 1, or float16 would round small ones to 0, and what is contracted is
added up in float32.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.execution.linear_layer import LayerGradients, LinearLayer
from acdc.graphs.execution.runs import Runs
from acdc.graphs.model.backward_rules import BackwardRules

_WIDENED = 1 << 24
"""How many numbers in half precision are held in single precision at a time."""


class Linearisation:
    """A run of the whole model that can be differentiated at every receiver.

    It starts from a residual stream, `residual`, that stands where `read` senders have written; by
    default from the embeddings of the clean run. `logits` are those at the scored positions, of the whole vocabulary or
    of `columns`; they carry no gradient history. By other `rules` than the gradient's, only derivatives differ.
    """

    def __init__(
        self,
        runs: Runs,
        residual: Float[Tensor, "_ pos d_model"] | None = None,
        read: int = 1,
        *,
        columns: Int[Tensor, "batch column"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> None:
        self.runs, self.rules = runs, rules
        self.layers: list[LinearLayer] = []
        residual = runs.clean_residual(read) if residual is None else residual
        for run in runs.layers:
            layer, residual = LinearLayer.of(runs.graph, run, residual, read, rules)
            if layer.receivers:
                self.layers.append(layer)
        self._final = runs.scored(residual).squeeze(-2).detach().requires_grad_()
        with torch.enable_grad():
            self._unembedded = runs.model.unembedding(self._final, columns, rules)
        self.logits: Float[Tensor, "batch column"] = self._unembedded.detach()

    def edge_scores(
        self, gradient: Float[Tensor, "batch column"], senders: range | None = None
    ) -> Float[Tensor, "receiver sender"]:
        """For every edge, by how much a function of the logits would fall if the edge carried what a missing one does.

        To first order, with derivatives by the rules: the inner product, over prompts and positions, of the receiver's
        gradient and the sender's clean output less its ablated one (over the positions of the receiver's span, if
        edges are by position). `gradient` is the function's at `logits`; `senders`
        (None: all) are those whose edges are wanted, by index, the rest is left 0. Can be called once.

        Source: Nanda 2023 (attribution patching); Syed et al. 2023 (arXiv:2310.10348), equation 2.
        """
        runs, graph = self.runs, self.runs.graph
        self._scores = runs.delta.new_zeros(len(graph.receivers), len(graph.senders), dtype=wide(runs.delta.dtype))
        self._senders = range(len(graph.senders)) if senders is None else senders
        at_final = self.at_final(gradient)
        logits = range(len(runs.rows) - 1, len(runs.rows))
        self._contract(logits, len(graph.senders), runs.scored(runs.delta), at_final[None, :, None])
        self._scores[-1, : graph.since(len(graph.senders))] = 0
        flowing = self.spread(at_final)
        self._flows: list[Tensor] = []
        while self.layers:
            layer = self.layers.pop()
            gradients = layer.pull_back(flowing)
            if self._senders:
                for inputs, at_read in layer.by_receiver(gradients):
                    self._contract(inputs, layer.reads, runs.delta, at_read)
            rows = runs.rows[layer.receivers.start : layer.receivers.stop]
            found = self._scores[rows]
            layer.not_read(found)
            self._scores[rows] = found
            for node, flow in zip(reversed(layer.nodes), reversed(gradients.at_nodes), strict=True):
                self._flows += [flow] * len(node.senders)
            self._flows += [gradients.at_heads] * len(layer.run.indices.heads)
            flowing = gradients.before
        self._flows.append(flowing)
        return self._scores * self.scale

    def row_scores(self, gradient: Float[Tensor, "batch column"]) -> Float[Tensor, "batch receiver sender"]:
        """The same row by row: what `edge_scores` would give, had each been run alone. Instead of `edge_scores`."""
        runs, graph = self.runs, self.runs.graph
        shape = len(runs.scored_positions), len(graph.receivers), len(graph.senders)
        scores = runs.delta.new_zeros(shape, dtype=wide(runs.delta.dtype))
        at_final = self.at_final(gradient)
        scores[:, -1] = self.by_row(at_final[None, :, None], rows_first(runs.scored(runs.delta))).sum((1, 2))
        scores[:, -1, : graph.since(len(graph.senders))] = 0
        delta, flowing = rows_first(runs.delta), self.spread(at_final)
        while self.layers:
            layer = self.layers.pop()
            gradients = layer.pull_back(flowing)
            rows = runs.rows[layer.receivers.start : layer.receivers.stop]
            found = self.into_layer(layer, gradients, delta)
            layer.not_read(found)
            scores[:, rows, : layer.reads] = found
            flowing = gradients.before
        return scores * self.scale

    @property
    def at_start(self) -> Float[Tensor, "batch pos d_model"]:
        """The gradient at the residual stream that the run started from, once `edge_scores` has been called."""
        return self._flows[-1].to(self._scores.dtype) * self.scale

    def sender_scores(self, gradient: Float[Tensor, "batch column"]) -> Float[Tensor, "sender batch"]:
        """For every sender, by how much the function would fall if all its edges carried what missing ones do.

        To first order and prompt by prompt, in a run from the embeddings: the sum of `edge_scores` over receivers, had
        each prompt been run alone. Can be called once, instead of `edge_scores`.
        """
        self.edge_scores(gradient, range(0))
        pairs = zip(self.runs.delta, reversed(self._flows), strict=True)
        added = self._scores.dtype
        products = [(delta.to(added) * flow.to(added)).sum(-1) for delta, flow in pairs]
        return self.runs.positions.by_prompt(torch.stack(products)) * self.scale

    def at_final(self, gradient: Float[Tensor, "batch column"]) -> Float[Tensor, "batch d_model"]:
        """The gradient at what the final norm reads, divided by `scale` to be about 1; to be asked for once."""
        self.scale = power_of_two(gradient)
        scaled = (gradient / self.scale).to(self._unembedded.dtype)
        (at_final,) = torch.autograd.grad(self._unembedded, self._final, scaled)
        return at_final

    def spread(self, at_final: Float[Tensor, "batch d_model"]) -> Float[Tensor, "_ pos d_model"]:
        """The gradient of the residual stream, whoever reads it, which is 0 but at scored positions."""
        flowing = torch.zeros_like(self.runs.delta[0])
        self.runs.positions.add_at_scored(flowing, at_final[:, None])
        return flowing

    def by_row(
        self, gradients: Float[Tensor, "input batch pos d_model"], delta: Float[Tensor, "batch sender number"]
    ) -> Float[Tensor, "batch input span sender"]:
        """The inner products over the positions of each span, row by row, with what `rows_first` makes of deltas."""
        return self.runs.positions.contract_by_row(gradients.to(delta.dtype), delta)

    def into_layer(
        self, layer: LinearLayer, gradients: LayerGradients, delta: Float[Tensor, "batch all number"]
    ) -> Float[Tensor, "batch input span sender"]:
        """The same of all inputs of a layer with all senders that it may read."""
        found = [self.by_row(at_read, delta[:, : layer.reads]) for _, at_read in layer.by_receiver(gradients)]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def _contract(
        self,
        inputs: range,
        reads: int,
        delta: Float[Tensor, "sender batch pos d_model"],
        gradients: Float[Tensor, "input batch pos d_model"],
    ) -> None:
        """Score the edges from the first `reads` senders into inputs of nodes that have these gradients."""
        wanted = range(self._senders.start, min(self._senders.stop, reads))
        slopes, rows = gradients.to(self._scores.dtype), self.runs.rows[inputs.start : inputs.stop]
        at_once = len(wanted) if delta.dtype == slopes.dtype else max(1, _WIDENED // delta[0].numel())
        for start in range(wanted.start, wanted.stop, max(1, at_once)):
            some = slice(start, min(start + at_once, wanted.stop))
            found = self.runs.positions.contract(slopes, delta[some].to(slopes.dtype))
            if inputs.stop == len(self.runs.rows):  # the logits, which have no spans
                found, rows = found.sum(1, keepdim=True), rows[:, :1]
            self._scores[rows, some] = found


def wide(dtype: torch.dtype) -> torch.dtype:
    """In which precision products of numbers of this one are added up."""
    return torch.promote_types(dtype, torch.float32)


def rows_first(x: Float[Tensor, "part batch pos d_model"]) -> Float[Tensor, "batch part number"]:
    """All numbers of each part together, row by row, as precise as products of them are added up."""
    return x.to(wide(x.dtype)).transpose(0, 1).flatten(2)


def power_of_two(gradient: Float[Tensor, "batch column"]) -> float:
    """A power of two near the largest entry, so that scaling by it rounds nothing; 1 where there is none."""
    largest = float(gradient.abs().max())
    return 2.0 ** math.frexp(largest)[1] if 0 < largest < math.inf else 1.0
