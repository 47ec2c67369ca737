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

from acdc.graphs.computation import ComputationalGraph, NodeIndices
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
    did not run); at the residual stream where each of the other nodes that ran writes, where the heads write, and
    before the layer.
    """

    read: Float[Tensor, "receiver batch pos d_model"]
    gathered: Float[Tensor, "head batch pos d_head"] | None
    at_nodes: tuple[Float[Tensor, "batch pos d_model"], ...]
    at_heads: Float[Tensor, "batch pos d_model"]
    before: Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class LinearLayer:
    """A layer of a graph, or the part of it that ran (None: the other), with the derivatives that it has by rules.

    `nodes` are those without slots that ran. A residual stream that is split is read as the sum of its parts in a run
    of the whole model, so that it changes no derivative.
    """

    graph: ComputationalGraph
    run: LayerRun
    attended: Attended | None
    computed: Computed | None
    nodes: tuple[NodeIndices, ...]
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
        """What of the layer comes after `read` senders, run from this residual, and the residual after it."""
        attended, computed, after = None, None, residual
        if run.indices.reads >= read:
            attended, wrote = _attend(run, residual, rules)
            after = residual + wrote
        nodes = tuple(node for node in run.indices.nodes if node.senders.start >= read)
        if any(node.kind == "mlp" for node in nodes):
            source = (residual if graph.parallel else after).detach().requires_grad_()
            with torch.enable_grad():
                computed = Computed(source, _mlp(graph, run, source, rules))
            after = after + computed.wrote.detach()
        return cls(graph, run, attended, computed, nodes, rules), after

    @property
    def receivers(self) -> range:
        """The receivers that it can be differentiated at, by index."""
        heads = self.run.indices.receivers
        first = self.nodes[0].receivers.start if self.nodes else heads.stop
        last = self.nodes[-1].receivers.stop if self.nodes else heads.stop
        return range(first if self.attended is None else heads.start, last)

    def by_receiver(
        self, gradients: LayerGradients
    ) -> Iterator[tuple[range, Float[Tensor, "receiver batch pos d_model"]]]:
        """Its receivers, by index and in order, and the gradients at what they read, some at a time.

        Those of parts of the MLP that read for themselves are worked out here: each is the gradient where the MLP
        writes, pulled back through what this part alone makes of the residual stream.
        """
        start, row = self.receivers.start, 0
        for node, at_node in zip(self.nodes, gradients.at_nodes, strict=True):
            if node.apart:
                before = node.receivers.start - start
                yield range(start, start + before), gradients.read[row : row + before]
                yield from self._at_parts(node, at_node)
                start, row = node.receivers.stop, row + before
        yield range(start, self.receivers.stop), gradients.read[row:]

    def _at_parts(
        self, node: NodeIndices, at_node: Float[Tensor, "batch pos d_model"]
    ) -> Iterator[tuple[range, Float[Tensor, "receiver batch pos d_model"]]]:
        """Those of the MLP's parts."""
        assert self.computed is not None
        source, count = self.computed.residual.detach(), len(node.receivers)
        at_once = max(1, _NUMBERS // source.numel())
        for start in range(0, count, at_once):
            parts = torch.arange(start, min(start + at_once, count), device=source.device)
            read = source.expand(len(parts), *source.shape).clone().requires_grad_()
            with torch.enable_grad():
                wrote = self.run.layer.mlp_apart(read, parts, self.rules)
            (at_read,) = torch.autograd.grad(wrote, read, at_node.expand_as(wrote))
            first = node.receivers.start + start
            yield range(first, first + len(parts)), at_read

    @property
    def reads(self) -> int:
        """Before which sender its last receiver reads."""
        nodes = self.run.indices.nodes
        return nodes[-1].reads if nodes else self.run.indices.reads

    def not_read(self, scores: Float[Tensor, "*batch receiver span sender"]) -> None:
        """Set to 0 what stands in scores of its receivers where there is no edge: where a sender is not read."""
        ends = [] if self.attended is None else [(self.run.indices.receivers, self.run.indices.reads)]
        ends += [(node.receivers, node.reads) for node in self.nodes]
        for receivers, reads in ends:
            rows = slice(receivers.start - self.receivers.start, receivers.stop - self.receivers.start)
            scores[..., rows, :, : self.graph.since(reads)] = 0
            scores[..., rows, :, reads:] = 0

    def pull_back(self, flowing: Float[Tensor, "batch pos d_model"], *, again: bool = False) -> LayerGradients:
        """Its gradients, given that at the residual stream after it; once only, unless it is to be asked `again`."""
        run, heads = self.run, 0 if self.attended is None else len(self.run.indices.receivers)
        row = heads + sum(not node.apart for node in self.nodes)
        wide = torch.promote_types(flowing.dtype, torch.float32)
        at_read = flowing.new_empty(row, *flowing.shape, dtype=wide)
        before = at_heads = flowing
        at_gathered, at_nodes = None, list[Tensor]()
        for node in reversed(self.nodes):
            at_nodes.insert(0, before)
            at_node = before
            if node.kind == "mlp":
                assert self.computed is not None
                wrote, residual = self.computed.wrote, self.computed.residual
                (at_node,) = torch.autograd.grad(wrote, residual, before, retain_graph=again)
                at_heads = before if self.graph.parallel else at_heads
                before = before + at_node
            if not node.apart:
                row -= 1
                at_read[row] = at_node
        at_heads = at_heads if self.graph.parallel else before
        if self.attended is not None:
            attention, attended = run.layer.attention, self.attended
            at_output = at_heads if run.scales.heads is None else at_heads * run.scales.heads
            at_gathered = attention.output.back(at_output)
            gradients = torch.autograd.grad(attended.gathered, attended.made, at_gathered, retain_graph=again)
            pull_back(attention, attended.residual, attended.made, gradients, at_read[:heads], self.rules)
            before = before + at_read[:heads].sum(0).to(before.dtype)
        return LayerGradients(at_read, at_gathered, tuple(at_nodes), at_heads, before)

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
        finished = {name: run.finish(name, made)[:, None] for name, made in zip(SLOTS, attended.made, strict=True)} | {
            slot: changed
        }
        now = run.gather(finished["q"], finished["k"], finished["v"])
        return attended.gathered[:, None] - now


def _attend(
    run: LayerRun, residual: Float[Tensor, "batch pos d_model"], rules: BackwardRules
) -> tuple[Attended, Float[Tensor, "batch pos d_model"]]:
    layer, attention = run.layer, run.layer.attention
    normed = attention.norm(residual)
    made = tuple(layer.projection(slot).of_all(normed).detach().requires_grad_() for slot in SLOTS)
    with torch.enable_grad():
        q, k, v = (run.finish(slot, part, rules) for slot, part in zip(SLOTS, made, strict=True))
        gathered = run.gather(q, k, v, rules=rules)
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
