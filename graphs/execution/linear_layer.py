"""One layer of a run of the whole model that can be differentiated at what each of its receivers reads.

Only queries, keys, values (d_head wide) and the MLP's input are kept for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution.layer import LayerRun
from acdc.graphs.long_prompts import KEPT
from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.pull_back import pull_back
from acdc.graphs.nodes import SLOTS, Slot

_NUMBERS = 1 << 22
"""About how many numbers of residual streams are held at once for parts of an MLP, which make several times as many."""


@dataclass(frozen=True)
class Attended:
    """A layer's attention in a run: the residual it read, its projections, and the values its heads gathered."""

    residual: Float[Tensor, "batch pos d_model"]
    made: tuple[Float[Tensor, "head batch pos d_head"], ...]
    gathered: Float[Tensor, "head batch pos d_head"]


@dataclass(frozen=True)
class Computed:
    """A layer's MLP in a run: the residual it read and what it wrote."""

    residual: Float[Tensor, "batch pos d_model"]
    wrote: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class LayerGradients:
    """Gradients in a layer, from the one at the residual stream after it.

    At what each receiver but parts of the MLP read, in float32 at least; at what the heads gathered (None where they
    did not run); at the residual stream where the heads write, and before the layer.
    """

    read: Float[Tensor, "receiver batch pos d_model"]
    gathered: Float[Tensor, "head batch pos d_head"] | None
    at_heads: Float[Tensor, "batch pos d_model"]
    before: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class LinearLayer:
    """A layer of a graph, or the part of it that ran (None: the other), with the derivatives that it has by rules."""

    graph: ComputationalGraph
    run: LayerRun
    attended: Attended | None
    computed: Computed | None
    rules: BackwardRules

    @classmethod
    def of(
        cls,
        graph: ComputationalGraph,
        run: LayerRun,
        residual: Float[Tensor, "batch pos d_model"],
        read: int,
        rules: BackwardRules,
    ) -> tuple[LinearLayer, Float[Tensor, "batch pos d_model"]]:
        """What of the layer comes after the first `read` senders, run from this residual, and the residual after it."""
        attended, computed, after = None, None, residual
        if run.indices.reads >= read:
            attended, wrote = _attend(run, residual, rules)
            after = residual + wrote
        if run.indices.mlp is not None and run.indices.mlp.senders.start >= read:
            source = (residual if graph.parallel else after).detach().requires_grad_()
            with torch.enable_grad():
                computed = Computed(source, _mlp(graph, run, source, rules))
            after = after + computed.wrote.detach()
        return cls(graph, run, attended, computed, rules), after

    @property
    def ran(self) -> bool:
        """Whether any of it did."""
        return self.attended is not None or self.computed is not None

    @property
    def receivers(self) -> range:
        """The receivers that it can be differentiated at, by index: those of heads, and then those of the MLP."""
        indices = self.run.indices
        ends = indices.receivers.stop
        mlp = 0 if self.computed is None or indices.mlp is None else len(indices.mlp.receivers)
        return range(ends if self.attended is None else indices.receivers.start, ends + mlp)

    def by_receiver(
        self, gradients: LayerGradients, flowing: Float[Tensor, "batch pos d_model"]
    ) -> Iterator[tuple[range, Float[Tensor, "receiver batch pos d_model"]]]:
        """Its receivers, by index, and the gradients at what they read, some at a time, as `pull_back` gave them.

        Those of parts of the MLP that read for themselves are worked out here, given the gradient after the layer: each
        is pulled back through what this part alone makes of the residual stream.
        """
        indices = self.run.indices
        first = self.receivers.start
        yield range(first, first + len(gradients.read)), gradients.read
        if self.computed is None or indices.mlp is None or not indices.mlp.apart:
            return
        source, count = self.computed.residual.detach(), len(indices.mlp.receivers)
        at_once = max(1, _NUMBERS // source.numel())
        for start in range(0, count, at_once):
            parts = torch.arange(start, min(start + at_once, count), device=source.device)
            read = source.expand(len(parts), *source.shape).clone().requires_grad_()
            with torch.enable_grad():
                wrote = self.run.mlp_apart(read, parts, self.rules)
            (at_read,) = torch.autograd.grad(wrote, read, flowing.expand_as(wrote))
            where = range(indices.mlp.receivers.start + start, indices.mlp.receivers.start + start + len(parts))
            yield where, at_read.to(gradients.read.dtype)

    @property
    def reads(self) -> int:
        """How many senders its last receiver reads."""
        return self.run.indices.reads if self.run.indices.mlp is None else self.run.indices.mlp.reads

    def pull_back(self, flowing: Float[Tensor, "batch pos d_model"], *, again: bool = False) -> LayerGradients:
        """Its gradients, given that at the residual stream after it; once only, unless it is to be asked `again`."""
        run, heads = self.run, len(SLOTS) * self.graph.n_heads
        wide = torch.promote_types(flowing.dtype, torch.float32)
        whole = self.computed is not None and run.indices.mlp is not None and not run.indices.mlp.apart
        at_read = flowing.new_empty((0 if self.attended is None else heads) + whole, *flowing.shape, dtype=wide)
        before = at_heads = flowing
        at_gathered = None
        if self.computed is not None:
            (at_mlp,) = torch.autograd.grad(self.computed.wrote, self.computed.residual, flowing, retain_graph=again)
            if whole:
                at_read[-1] = at_mlp
            before = flowing + at_mlp
            at_heads = flowing if self.graph.parallel else before
        if self.attended is not None:
            attention, attended = run.layer.attention, self.attended
            at_output = at_heads if run.scales.heads is None else at_heads * run.scales.heads
            at_gathered = attention.output.back(at_output)
            gradients = torch.autograd.grad(attended.gathered, attended.made, at_gathered, retain_graph=again)
            pull_back(attention, attended.residual, attended.made, gradients, at_read[:heads], self.rules)
            before = before + at_read[:heads].sum(0).to(before.dtype)
        return LayerGradients(at_read, at_gathered, at_heads, before)

    @torch.no_grad()
    def gathered_less(
        self, slot: Slot, deltas: Float[Tensor, "sender batch pos d_model"]
    ) -> Float[Tensor, "head sender batch pos d_head"]:
        """By how much less each head gathers when its queries, or keys, read the residual less one of these deltas.

        Not to first order: norm and softmax are run. The layer must have run as a whole.
        """
        assert self.attended is not None
        run, attended = self.run, self.attended
        changed = run.layer.of_all(slot, attended.residual - deltas, run.geometry, run.scales)
        finished = {
            name: run.layer.finish(name, made, run.geometry, run.scales)[:, None]
            for name, made in zip(SLOTS, attended.made, strict=True)
        } | {slot: changed}
        now = run.layer.attention.attend(finished["q"], finished["k"], finished["v"], run.geometry)
        return attended.gathered[:, None] - now


def _attend(
    run: LayerRun, residual: Float[Tensor, "batch pos d_model"], rules: BackwardRules
) -> tuple[Attended, Float[Tensor, "batch pos d_model"]]:
    layer, attention = run.layer, run.layer.attention
    normed = attention.norm(residual)
    made = tuple(layer.projection(slot).of_all(normed).detach().requires_grad_() for slot in SLOTS)
    with torch.enable_grad():
        q, k, v = (
            layer.finish(slot, part, run.geometry, run.scales, rules=rules)
            for slot, part in zip(SLOTS, made, strict=True)
        )
        gathered = attention.attend(q, k, v, run.geometry, rules=rules)
    wrote = attention.output.together(gathered.detach())
    wrote = wrote if run.scales.heads is None else wrote * run.scales.heads
    return Attended(residual, made, gathered), wrote + attention.output.bias


def _mlp(
    graph: ComputationalGraph, run: LayerRun, source: Float[Tensor, "batch pos d_model"], rules: BackwardRules
) -> Float[Tensor, "batch pos d_model"]:
    """What the MLP writes; where much would be kept for the backward pass, that is computed again there."""
    if source.numel() * graph.n_layers <= KEPT:
        return run.mlp(source, rules)
    wrote: Tensor = checkpoint(run.mlp, source, rules, use_reentrant=False)
    return wrote
