"""The gradient at every receiver of one run, contracted at once with what every sender would change.

Only queries, keys, values (d_head wide), MLP inputs and the final residual are kept for the backward pass; what a
receiver's residual input would have as gradient follows from its projection and norm, and is used up layer by layer.

In half precision, gradients flow scaled to about 1, or float16 would round small ones to 0, and what is contracted is
added up in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from acdc.graphs.execution.layer import LayerRun
from acdc.graphs.execution.runs import Runs
from acdc.graphs.long_prompts import KEPT
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.pull_back import pull_back
from acdc.graphs.nodes import SLOTS

_WIDENED = 1 << 24
"""How many numbers in half precision are held in single precision at a time."""


@dataclass(frozen=True)
class _Attended:
    """One layer's attention in a run: the residual it read, its projections, and the values its heads gathered."""

    residual: Float[Tensor, "batch pos d_model"]
    made: tuple[Float[Tensor, "head batch pos d_head"], ...]
    gathered: Float[Tensor, "head batch pos d_head"]


@dataclass(frozen=True)
class _Computed:
    """One layer's MLP in a run: the residual it read and what it wrote."""

    residual: Float[Tensor, "batch pos d_model"]
    wrote: Float[Tensor, "batch pos d_model"]


class Linearisation:
    """A run of the whole model that can be differentiated at every receiver.

    It starts from a residual stream, `residual`, that stands where the first `read` senders have been added up; by
    default from the embeddings of the clean run. `logits` are those at the scored positions, of the whole vocabulary or
    of `columns`; they carry no gradient history. By other `rules` than the gradient's, only derivatives differ.
    """

    def __init__(
        self,
        runs: Runs,
        residual: Float[Tensor, "batch pos d_model"] | None = None,
        read: int = 1,
        *,
        columns: Int[Tensor, "batch column"] | None = None,
        rules: BackwardRules = BackwardRules.GRADIENT,
    ) -> None:
        self.runs, self.rules = runs, rules
        self._steps: list[tuple[LayerRun, _Attended | None, _Computed | None]] = []
        residual = runs.clean_residual(read) if residual is None else residual
        for layer in runs.layers:
            attended, computed, after = None, None, residual
            if layer.indices.reads >= read:
                attended, wrote = self._attend(layer, residual)
                after = residual + wrote
            if layer.indices.mlp is not None and layer.indices.mlp.sender >= read:
                source = (residual if runs.graph.parallel else after).detach().requires_grad_()
                with torch.enable_grad():
                    computed = _Computed(source, self._mlp(layer, source))
                after = after + computed.wrote.detach()
            if attended is not None or computed is not None:
                self._steps.append((layer, attended, computed))
            residual = after
        self._final = runs.scored(residual).squeeze(-2).detach().requires_grad_()
        with torch.enable_grad():
            self._unembedded = runs.model.unembedding(self._final, columns, rules)
        self.logits: Float[Tensor, "batch column"] = self._unembedded.detach()

    def edge_scores(
        self, gradient: Float[Tensor, "batch column"], senders: range | None = None
    ) -> Float[Tensor, "receiver sender"]:
        """For every edge, by how much a function of the logits would fall if the edge carried what a missing one does.

        To first order, with derivatives by the rules: the inner product, over prompts and positions, of the receiver's
        gradient and the sender's clean output less its ablated one. `gradient` is the function's at `logits`; `senders`
        (None: all) are those whose edges are wanted, by index, the rest is left 0. Can be called once.

        Source: Nanda 2023 (attribution patching); Syed et al. 2023 (arXiv:2310.10348), equation 2.
        """
        runs, graph = self.runs, self.runs.graph
        self._scores = runs.delta.new_zeros(len(graph.receivers), len(graph.senders), dtype=_wide(runs.delta.dtype))
        self._senders = range(len(graph.senders)) if senders is None else senders
        self._scale = power_of_two(gradient)
        (at_final,) = torch.autograd.grad(
            self._unembedded, self._final, (gradient / self._scale).to(self._unembedded.dtype)
        )
        logits = range(len(graph.receivers) - 1, len(graph.receivers))
        self._contract(logits, len(graph.senders), runs.scored(runs.delta), at_final[None, :, None])
        flowing = torch.zeros_like(runs.delta[0])  # the gradient of the residual stream, whoever reads it
        rows = torch.arange(len(runs.scored_positions), device=flowing.device)
        flowing[rows, runs.scored_positions] = at_final
        self._flows: list[Tensor] = []
        while self._steps:
            flowing = self._pull_back(*self._steps.pop(), flowing)
        self._flows.append(flowing)
        return self._scores * self._scale

    @property
    def at_start(self) -> Float[Tensor, "batch pos d_model"]:
        """The gradient at the residual stream that the run started from, once `edge_scores` has been called."""
        return self._flows[-1].to(self._scores.dtype) * self._scale

    def sender_scores(self, gradient: Float[Tensor, "batch column"]) -> Float[Tensor, "sender batch"]:
        """For every sender, by how much the function would fall if all its edges carried what missing ones do.

        To first order and prompt by prompt, in a run from the embeddings: the sum of `edge_scores` over receivers, had
        each prompt been run alone. Can be called once, instead of `edge_scores`.
        """
        self.edge_scores(gradient, range(0))
        pairs = zip(self.runs.delta, reversed(self._flows), strict=True)
        wide = self._scores.dtype
        products = [(delta.to(wide) * flow.to(wide)).flatten(1).sum(1) for delta, flow in pairs]
        return torch.stack(products) * self._scale

    def _mlp(self, run: LayerRun, source: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """What the MLP writes; where much would be kept for the backward pass, that is computed again there."""
        if source.numel() * self.runs.graph.n_layers <= KEPT:
            return run.mlp(source, self.rules)
        wrote: Tensor = checkpoint(run.mlp, source, self.rules, use_reentrant=False)
        return wrote

    def _attend(
        self, run: LayerRun, residual: Float[Tensor, "batch pos d_model"]
    ) -> tuple[_Attended, Float[Tensor, "batch pos d_model"]]:
        layer, attention = run.layer, run.layer.attention
        normed = attention.norm(residual)
        made = tuple(layer.projection(slot).of_all(normed).detach().requires_grad_() for slot in SLOTS)
        with torch.enable_grad():
            q, k, v = (
                layer.finish(slot, part, run.geometry, run.scales, rules=self.rules)
                for slot, part in zip(SLOTS, made, strict=True)
            )
            gathered = attention.attend(q, k, v, run.geometry, rules=self.rules)
        wrote = torch.einsum("hbpk,hkd->bpd", gathered.detach(), attention.output.weight)
        wrote = wrote if run.scales.heads is None else wrote * run.scales.heads
        return _Attended(residual, made, gathered), wrote + attention.output.bias

    def _pull_back(
        self,
        run: LayerRun,
        attended: _Attended | None,
        computed: _Computed | None,
        flowing: Float[Tensor, "batch pos d_model"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """Score the edges into a layer, and return the gradient of the residual stream before it."""
        graph, heads = self.runs.graph, len(SLOTS) * self.runs.graph.n_heads
        first = run.indices.receivers.start if attended is not None else run.indices.receivers.stop
        count = heads * (attended is not None) + (computed is not None)
        at_read = flowing.new_empty(count, *flowing.shape, dtype=self._scores.dtype)
        before = at_heads = flowing
        if computed is not None:
            self._flows.append(flowing)
            (at_mlp,) = torch.autograd.grad(computed.wrote, computed.residual, flowing)
            at_read[-1] = at_mlp
            before = flowing + at_mlp
            at_heads = flowing if graph.parallel else before
        self._flows += [at_heads] * graph.n_heads
        if attended is not None:
            at_output = at_heads if run.scales.heads is None else at_heads * run.scales.heads
            at_gathered = torch.einsum("bpd,hkd->hbpk", at_output, run.layer.attention.output.weight)
            gradients = torch.autograd.grad(attended.gathered, attended.made, at_gathered)
            pull_back(run.layer.attention, attended.residual, attended.made, gradients, at_read[:heads], self.rules)
            before = before + at_read[:heads].sum(0).to(before.dtype)
        reads = run.indices.reads if run.indices.mlp is None else run.indices.mlp.reads
        self._contract(range(first, first + count), reads, self.runs.delta, at_read)
        self._scores[run.indices.receivers.start : run.indices.receivers.stop, run.indices.reads :] = 0
        return before

    def _contract(
        self,
        receivers: range,
        reads: int,
        delta: Float[Tensor, "sender batch pos d_model"],
        gradients: Float[Tensor, "receiver batch pos d_model"],
    ) -> None:
        """Score the edges from the first `reads` senders into receivers that have these gradients."""
        wanted = range(self._senders.start, min(self._senders.stop, reads))
        slopes = gradients.flatten(1).to(self._scores.dtype)
        at_once = len(wanted) if delta.dtype == slopes.dtype else max(1, _WIDENED // delta[0].numel())
        for start in range(wanted.start, wanted.stop, max(1, at_once)):
            some = slice(start, min(start + at_once, wanted.stop))
            self._scores[receivers.start : receivers.stop, some] = slopes @ delta[some].flatten(1).to(slopes.dtype).T


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def power_of_two(gradient: Float[Tensor, "batch column"]) -> float:
    """A power of two near the largest entry, so that scaling by it rounds nothing; 1 where there is none."""
    largest = float(gradient.abs().max())
    return 2.0 ** math.frexp(largest)[1] if 0 < largest < math.inf else 1.0
