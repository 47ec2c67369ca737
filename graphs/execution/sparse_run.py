"""Many circuits at once, each only in its live nodes, and these only at the positions where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.computation import NodeIndices
from acdc.graphs.execution.layer import LayerRun, read_alike
from acdc.graphs.execution.liveness import Liveness
from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import Slot


@dataclass(frozen=True)
class Selected:
    """Nodes of one layer and kind that run at the same positions, one row each: whose they are and what they are.

    Rows are sorted by circuit; `heads` counts from the first of the layer; of other nodes it counts parts, 0 for whole
    ones.
    """

    circuits: Int[Tensor, " row"]
    heads: Int[Tensor, " row"]
    all_positions: bool


class AblatedProjections:
    """The queries, keys and values of the ablated run, each computed when first asked for."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: dict[tuple[int, Slot], Float[Tensor, "head batch pos d_head"]] = {}

    def of(self, layer: LayerRun, slot: Slot) -> Float[Tensor, "head batch pos d_head"]:
        """Those of all heads of a layer, at every position."""
        key = (layer.indices.reads, slot)
        if key not in self._known:
            self._known[key] = layer.project_all(slot, self._runs.ablated.residuals[layer.indices.reads])
        return self._known[key]


class SparseRun:
    """One pass over circuits on a batch of prompts.

    What live senders write is kept circuit by circuit, each circuit's in topological order, so that what a receiver may
    read is a prefix of its circuit's part. A slot that no live edge reaches reads the ablated run, whose queries, keys
    and values are computed once.
    """

    def __init__(self, runs: Runs, ablated: AblatedProjections, live: Liveness) -> None:
        self._runs, self._ablated, self._live = runs, ablated, live
        self._counts = live.live.cumsum(1)
        ends = self._counts[:, -1].cumsum(0)
        self._starts = ends - self._counts[:, -1]
        self._written = runs.delta.new_empty(int(ends[-1]), *runs.delta.shape[1:])
        scored_only = (live.live & ~live.all_positions).nonzero(as_tuple=True)
        self._written[self._starts[scored_only[0]] + self._counts[scored_only] - 1] = 0
        self._written[self._starts] = runs.delta[0]

    def final(self) -> Float[Tensor, "circuit batch d_model"]:
        """The final residual stream at the scored positions."""
        for layer in self._runs.layers:
            heads = layer.indices.heads
            for chosen in self._choose(heads):
                wrote = self._attention_parts(layer, chosen) if layer.indices.as_one else self._heads(layer, chosen)
                self._write(chosen, heads.start, wrote)
            for node in layer.indices.nodes:
                for chosen in self._choose(node.senders):
                    self._write(chosen, node.senders.start, self._node_parts(layer, node, chosen))
        every = torch.arange(len(self._starts), device=self._starts.device)
        logits = Selected(every, torch.zeros_like(every), all_positions=False)
        last, senders = len(self._runs.rows) - 1, self._live.kept.shape[-1]
        return self._input(logits, torch.full_like(every, last), senders).squeeze(-2)

    def _choose(self, senders: range) -> list[Selected]:
        """The live ones of these senders: those that run at every position and those that do not."""
        columns = slice(senders.start, senders.stop)
        live, everywhere = self._live.live[:, columns], self._live.all_positions[:, columns]
        chosen = []
        for which, all_positions in ((everywhere, True), (live & ~everywhere, False)):
            circuits, heads = which.nonzero(as_tuple=True)
            chosen.append(Selected(circuits, heads, all_positions))
        return [each for each in chosen if len(each.circuits)]

    def _input(self, chosen: Selected, rows: Int[Tensor, " row"], read: int) -> Float[Tensor, "row batch pos d_model"]:
        """What these inputs of the chosen nodes, which all may read the senders before `read`, read."""
        ablated = self._runs.ablated.residuals[read]
        ablated = ablated if chosen.all_positions else self._runs.scored(ablated)
        result = ablated.new_empty(len(rows), *ablated.shape)
        start, since = 0, self._runs.graph.since(read)
        for circuit, count in enumerate(chosen.circuits.bincount().tolist()):
            if not count:
                continue
            senders = self._live.live[circuit, since:read].nonzero()[:, 0] + since
            first = self._starts[circuit] + (self._counts[circuit, since - 1] if since else 0)
            receivers = self._runs.rows[rows[start : start + count]]
            weights = self._live.kept[circuit, receivers[..., None], senders].to(ablated.dtype)
            written = self._written[first : first + len(senders)]
            written = written if chosen.all_positions else self._runs.scored(written)
            self._runs.positions.mix(weights, written, onto=ablated, out=result[start : start + count])
            start += count
        return result

    def _heads(self, layer: LayerRun, chosen: Selected) -> Float[Tensor, "row batch pos d_model"]:
        """What these heads write."""
        made = self._projections(layer, chosen)
        return layer.heads(made["q"], made["k"], made["v"], chosen.heads, all_positions=chosen.all_positions)

    def _attention_parts(self, layer: LayerRun, chosen: Selected) -> Float[Tensor, "row batch pos d_model"]:
        """What these parts of the layer's attention write, for which all heads run."""
        circuits, row = torch.unique_consecutive(chosen.circuits, return_inverse=True)
        count = self._runs.graph.n_heads
        numbers = torch.arange(count, device=circuits.device).repeat(len(circuits))
        heads = Selected(circuits.repeat_interleave(count), numbers, chosen.all_positions)
        made, all_positions = self._projections(layer, heads), chosen.all_positions
        gathered = layer.gather(made["q"], made["k"], made["v"], numbers, all_positions=all_positions)
        by_head = gathered.view(len(circuits), count, *gathered.shape[1:]).transpose(0, 1)
        return layer.attention_parts(by_head, all_positions=all_positions)[chosen.heads, row]

    def _node_parts(
        self, layer: LayerRun, node: NodeIndices, chosen: Selected
    ) -> Float[Tensor, "row batch pos d_model"]:
        """What these parts of a node write: each of what it reads, or of what its node does in the same circuit."""
        if node.apart:
            read = self._input(chosen, node.receivers.start + chosen.heads, node.reads)
            return layer.node_parts(node, read, chosen.heads)
        circuits, row = torch.unique_consecutive(chosen.circuits, return_inverse=True)
        nodes = Selected(circuits, torch.zeros_like(circuits), chosen.all_positions)
        read = self._input(nodes, torch.full_like(circuits, node.receivers.start), node.reads)
        wrote = layer.node_parts(node, read[None], torch.arange(len(node.senders), device=read.device))
        return wrote[0] if len(wrote) == 1 else wrote[chosen.heads, row]

    def _projections(self, layer: LayerRun, chosen: Selected) -> dict[Slot, Float[Tensor, "row batch pos d_head"]]:
        """Those of these heads; slots that read the same positions read together, which costs one pass less."""
        made: dict[Slot, Tensor] = {}
        for slots, all_positions in read_alike(all_positions=chosen.all_positions):
            made |= self._project(layer, slots, chosen, all_positions)
        return made

    def _project(
        self, layer: LayerRun, slots: Sequence[Slot], chosen: Selected, all_positions: bool
    ) -> dict[Slot, Float[Tensor, "row batch pos d_head"]]:
        """Queries, keys or values of these heads, at every position or at the scored ones."""
        made: dict[Slot, Tensor] = {}
        rows = torch.stack([layer.indices.slots[slot].start + chosen.heads for slot in slots])
        reached = self._live.kept[chosen.circuits[:, None], self._runs.rows[rows]].any((-2, -1))
        residuals = self._inputs(layer, chosen, rows, reached, all_positions)
        for slot, which, residual in zip(slots, reached, residuals, strict=True):
            projected = self._ablated.of(layer, slot)
            made[slot] = (projected if all_positions else self._runs.scored(projected))[chosen.heads]
            if len(residual):
                heads = chosen.heads[which]
                made[slot][which] = layer.project(slot, residual, heads, all_positions=all_positions)
        return made

    def _inputs(
        self,
        layer: LayerRun,
        chosen: Selected,
        rows: Int[Tensor, "slot row"],
        reached: Bool[Tensor, "slot row"],
        all_positions: bool,
    ) -> tuple[Float[Tensor, "_ batch pos d_model"], ...]:
        """By slot, what those of these receivers read that a live edge reaches."""
        slots, index = reached.nonzero(as_tuple=True)
        order = chosen.circuits[index].argsort(stable=True)
        some = Selected(chosen.circuits[index[order]], chosen.heads[index[order]], all_positions)
        residual = self._input(some, rows[slots[order], index[order]], layer.indices.reads)
        if len(self._starts) > 1:
            residual = residual[order.argsort()]
        return torch.split(residual, reached.sum(1).tolist())

    def _write(self, chosen: Selected, first: int, wrote: Float[Tensor, "row batch pos d_model"]) -> None:
        """Note what these senders, the heads counted from `first`, write, less what missing edges carry."""
        runs, senders = self._runs, first + chosen.heads
        ablated = runs.ablated.outputs[senders].expand(len(senders), *runs.delta.shape[1:])
        rows = self._starts[chosen.circuits] + self._counts[chosen.circuits, senders] - 1
        if chosen.all_positions or wrote.shape[-2] == runs.delta.shape[-2]:
            self._written[rows] = wrote.sub_(ablated)
        else:
            at, columns = runs.positions.scored_at
            self._written[rows[:, None], at, columns] = (wrote - runs.scored(ablated)).squeeze(-2)
