"""A circuit whose edges carry parts of what they would, run in its live nodes only, with the gradient at every part.

What costs most is mixing what senders write and what heads and MLPs compute of it, so that a circuit of a few thousand
edges costs a part of a dense one, and one of a few hundred very little. Nothing is kept for the backward pass but what
each node read and made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.execution.gradients import power_of_two
from acdc.graphs.execution.layer import LayerRun, read_alike
from acdc.graphs.execution.liveness import Liveness
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import SLOTS, Slot


@dataclass(frozen=True)
class _Read:
    """What some inputs of nodes read, as a leaf of the gradient, over edges of these weights from live senders.

    The senders are `some` of those that are read there, next to each other; `receivers` are those that the inputs are.
    """

    receivers: Int[Tensor, "input span"]
    weights: Float[Tensor, "input span sender"]
    leaf: Float[Tensor, "input batch pos d_model"]
    some: slice
    all_positions: bool


@dataclass(frozen=True)
class _Nodes:
    """Live nodes of one layer and kind that run at the same positions: by number among their kind of senders."""

    numbers: Int[Tensor, " node"]
    scored_numbers: Int[Tensor, " node"]
    reads: tuple[_Read, ...]
    wrote: Float[Tensor, "node batch pos d_model"]
    all_positions: bool


class MaskedRun:
    """One run of a batch of prompts in which every edge carries a part of what it would in a circuit: 1 all, 0 none.

    That is, this part of what the sender writes less what the missing edge would carry. Edges of parts other than 0 are
    the circuit; nodes that lie on no path of it from `input` to the logits are not run and write what the ablated run
    has. `logits` are those at the scored positions, of the whole vocabulary or of `columns`, without gradient history.

    Source: Cao et al. 2021 (arXiv:2104.03514), section 3; Bhaskar et al. 2024 (arXiv:2406.16778), section 3, whose
    masks these are.
    """

    def __init__(
        self,
        runs: Runs,
        parts: Float[Tensor, "receiver sender"],
        *,
        columns: Int[Tensor, "batch column"] | None = None,
    ) -> None:
        self._runs, self._parts = runs, parts
        live = Liveness.of(runs.graph, (parts != 0)[None])
        self._kept = live.kept[0]
        everywhere = live.all_positions[0].clone()
        everywhere[0] = True
        # senders that are read at every position, and all live ones, in topological order
        self._senders = {True: everywhere.nonzero()[:, 0], False: live.live[0].nonzero()[:, 0]}
        self._numbers = {True: everywhere.cumsum(0) - 1, False: live.live[0].cumsum(0) - 1}
        shape = runs.delta.shape[1:]
        self._written = {
            True: runs.delta.new_zeros(len(self._senders[True]), *shape),
            False: runs.delta.new_zeros(len(self._senders[False]), len(runs.scored_positions), 1, shape[-1]),
        }
        self._written[True][0], self._written[False][0] = runs.delta[0], runs.scored(runs.delta[0])
        self._nodes: list[_Nodes] = []
        for layer in runs.layers:
            self._run_layer(layer, live.live[0], everywhere)
        last = torch.tensor([len(runs.rows) - 1], device=parts.device)
        self._last = self._read(last, len(runs.graph.senders), all_positions=False)
        with torch.enable_grad():
            self._unembedded = runs.model.unembedding(self._last.leaf[0].squeeze(-2), columns)
        self.logits: Float[Tensor, "batch column"] = self._unembedded.detach()

    @torch.no_grad()
    def edge_gradient(self, gradient: Float[Tensor, "batch column"]) -> Float[Tensor, "receiver sender"]:
        """The gradient of a function of the logits, whose own at `logits` is given, at every part that is not 0.

        That at parts of 0 is not worked out for all edges, and is 0 where it is not. Can be called once.
        """
        scale = power_of_two(gradient)
        slopes = torch.zeros_like(self._parts)
        flowing = {everywhere: torch.zeros_like(written) for everywhere, written in self._written.items()}
        at_logits = (gradient / scale).to(self._unembedded.dtype)
        (at_final,) = torch.autograd.grad(self._unembedded, self._last.leaf, at_logits)
        self._pass_back(self._last, at_final, flowing, slopes)
        while self._nodes:
            nodes = self._nodes.pop()
            at_wrote = flowing[False][nodes.scored_numbers]
            if nodes.all_positions:
                at_scored, at_wrote = at_wrote, flowing[True][nodes.numbers]
                self._runs.positions.add_at_scored(at_wrote, at_scored)
            leaves = [read.leaf for read in nodes.reads]
            for read, at_read in zip(nodes.reads, torch.autograd.grad(nodes.wrote, leaves, at_wrote), strict=True):
                self._pass_back(read, at_read, flowing, slopes)
        return slopes * scale

    def _pass_back(
        self,
        read: _Read,
        at_read: Float[Tensor, "input batch pos d_model"],
        flowing: dict[bool, Float[Tensor, "_ _ _ d_model"]],
        slopes: Float[Tensor, "_ _"],
    ) -> None:
        """Add to the gradient at edges and at what senders wrote, given that at what inputs read."""
        some, positions = read.some, self._runs.positions
        senders, into = self._senders[read.all_positions][some], flowing[read.all_positions][some]
        products = positions.contract(at_read, self._written[read.all_positions][some]).to(slopes.dtype)
        if read is self._last:  # which has no spans
            slopes[-1, senders] = products.sum((0, 1))
        else:
            slopes[read.receivers[..., None], senders] = products
        positions.mix(read.weights.permute(2, 1, 0), at_read, onto=into, out=into)

    def _run_layer(self, layer: LayerRun, live: Bool[Tensor, " sender"], everywhere: Bool[Tensor, " sender"]) -> None:
        columns = slice(layer.indices.heads.start, layer.indices.heads.stop)
        for selected, all_positions in _groups(live[columns], everywhere[columns]):
            self._run_heads(layer, selected, all_positions)
        for node in layer.indices.nodes:
            columns = slice(node.senders.start, node.senders.stop)
            for selected, all_positions in _groups(live[columns], everywhere[columns]):
                inputs = node.receivers.start + (selected if node.apart else torch.zeros_like(selected[:1]))
                read = self._read(inputs, node.reads, all_positions=all_positions)
                with torch.enable_grad():
                    wrote = layer.node_parts(node, read.leaf, selected)
                self._write(node.senders.start + selected, (read,), wrote, all_positions)

    def _run_heads(self, layer: LayerRun, senders: Int[Tensor, " sender"], all_positions: bool) -> None:
        """Run some heads, or all of them for some parts of what they write together.

        Those of their queries, keys and values that read the same positions read together.
        """
        as_one = layer.indices.as_one
        heads = torch.arange(self._runs.graph.n_heads, device=senders.device) if as_one else senders
        reads: list[_Read] = []
        made: dict[Slot, Tensor] = {}
        for slots, everywhere in read_alike(all_positions=all_positions):
            inputs = torch.cat([layer.indices.slots[slot].start + heads for slot in slots])
            reached = self._kept[self._runs.rows[inputs]].any((1, 2))
            counts = reached.view(len(slots), -1).sum(1).tolist()
            if reached.any():
                reads.append(self._read(inputs[reached], layer.indices.reads, all_positions=everywhere))
            with torch.enable_grad():
                arrived = torch.split(reads[-1].leaf, counts) if reached.any() else [None] * len(slots)
                for slot, residual, which in zip(slots, arrived, reached.view(len(slots), -1), strict=True):
                    made[slot] = self._project(layer, slot, heads, which, residual, all_positions=everywhere)
        with torch.enable_grad():
            q, k, v = (made[slot] for slot in SLOTS)
            if as_one:
                wrote = layer.attention(q, k, v, all_positions=all_positions)[senders]
            else:
                wrote = layer.heads(q, k, v, self._unless_all(heads), all_positions=all_positions)
        self._write(layer.indices.heads.start + senders, tuple(reads), wrote, all_positions)

    def _project(
        self,
        layer: LayerRun,
        slot: Slot,
        heads: Int[Tensor, " head"],
        reached: Bool[Tensor, " head"],
        residual: Float[Tensor, "reached batch pos d_model"] | None,
        *,
        all_positions: bool,
    ) -> Float[Tensor, "head batch pos d_head"]:
        """The queries, keys or values of these heads: of what those that edges reach read, and of the ablated run."""
        parts = []
        if reached.any():
            assert residual is not None
            parts.append(layer.project(slot, residual, self._unless_all(heads[reached]), all_positions=all_positions))
        if not reached.all():
            ablated = self._ablated(layer.indices.reads, all_positions).expand(int((~reached).sum()), -1, -1, -1)
            parts.append(layer.project(slot, ablated, heads[~reached], all_positions=all_positions))
        return parts[0] if len(parts) == 1 else torch.cat(parts)[(~reached).long().argsort(stable=True).argsort()]

    def _unless_all(self, heads: Int[Tensor, " head"]) -> Int[Tensor, " head"] | None:
        """These heads, or None for all of a layer, whose weights are then not copied."""
        return None if len(heads) == self._runs.graph.n_heads else heads

    def _ablated(self, count: int, all_positions: bool) -> Float[Tensor, "batch pos d_model"]:
        ablated = self._runs.ablated.residuals[count]
        return ablated if all_positions else self._runs.scored(ablated)

    def _read(self, inputs: Int[Tensor, " input"], count: int, *, all_positions: bool) -> _Read:
        """What inputs of nodes, each of which may read the senders before `count`, read."""
        senders = self._senders[all_positions]
        some = slice(int((senders < self._runs.graph.since(count)).sum()), int((senders < count).sum()))
        senders = senders[some]
        receivers = self._runs.rows[inputs]
        kept = self._kept[receivers[..., None], senders]
        written = self._written[all_positions][some]
        weights = (self._parts[receivers[..., None], senders] * kept).to(written.dtype)
        residual = self._runs.positions.mix(weights, written, onto=self._ablated(count, all_positions))
        return _Read(receivers, weights, residual.detach().requires_grad_(), some, all_positions)

    def _write(
        self,
        senders: Int[Tensor, " node"],
        reads: tuple[_Read, ...],
        wrote: Float[Tensor, "node batch pos d_model"],
        all_positions: bool,
    ) -> None:
        """Note what these senders write, less what missing edges carry."""
        runs = self._runs
        ablated = runs.ablated.outputs[senders].expand(len(senders), *runs.delta.shape[1:])
        carried = wrote.detach() - (ablated if all_positions else runs.scored(ablated))
        numbers, scored_numbers = self._numbers[True][senders], self._numbers[False][senders]
        if all_positions:
            self._written[True][numbers] = carried
        self._written[False][scored_numbers] = runs.scored(carried)
        self._nodes.append(_Nodes(numbers, scored_numbers, reads, wrote, all_positions))


def _groups(
    live: Bool[Tensor, " node"], everywhere: Bool[Tensor, " node"]
) -> Iterator[tuple[Int[Tensor, " node"], bool]]:
    """The live nodes that run at every position, and those that do not, by index, where there are any."""
    for selected, all_positions in ((live & everywhere, True), (live & ~everywhere, False)):
        if selected.any():
            yield selected.nonzero()[:, 0], all_positions
