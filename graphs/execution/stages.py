"""The state of a layer's live nodes in the current circuit, and how it changes with what they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.computation import NodeIndices
from acdc.graphs.execution.layer import LayerRun
from acdc.graphs.nodes import SLOTS, Slot

Arrivals = dict[str, tuple[Tensor, Tensor]]
"""By slot: which rows of a stage read something new, and what, as [row, trial, batch, pos, d_model]."""


@dataclass(frozen=True)
class Write:
    """A piece of state and what it would become under each trial, or what is `added`; `rows` None for all of it."""

    state: Tensor
    rows: Int[Tensor, " row"] | None
    trials: Float[Tensor, "..."]
    added: bool = False

    def keep(self, trial: int) -> None:
        """Make the state what this trial made it."""
        if self.rows is None:
            self.state.copy_(self.trials[trial])
        elif self.added:
            self.state[self.rows] += self.trials[:, trial]
        else:
            self.state[self.rows] = self.trials[:, trial]


class AbstractStage(ABC):
    """Some nodes of one layer, all read at every position (`all_positions`) or all at the scored positions only.

    `senders` and, by slot, `receivers` are their indices in the graph without spans; `read` and `wrote` what they read
    and write in the current circuit, with a row per node. Parts that run `together` have a row each of what they write,
    and the same inputs: one, or those of all heads.
    """

    senders: Int[Tensor, " row"]
    receivers: dict[str, Int[Tensor, " row"]]
    all_positions: bool
    together: bool = False
    read: dict[str, Float[Tensor, "row batch pos d_model"]]
    wrote: Float[Tensor, "row batch pos d_model"]

    @abstractmethod
    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """Take what all nodes read in these slots (the first time: in all of them), and work out the rest."""

    @abstractmethod
    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The rows that change, by how much what they write does in each trial, and what else accepting one keeps."""

    def reads_all_positions(self, slot: str) -> bool:
        """Whether this slot reads every position: keys and values always do."""
        return self.all_positions or slot in ("k", "v")

    @final
    def find(self, receiver: int) -> tuple[str, int]:
        """The slot and row of a receiver of the graph without spans."""
        for slot, rows in self.receivers.items():
            found = (rows == receiver).nonzero()
            if len(found):
                return slot, int(found[0])
        raise AssertionError("the receiver is not of this stage")

    @final
    def inputs(self, row: int) -> Int[Tensor, " input"]:
        """The receivers on which it depends what the sender of this row writes."""
        slots = self.receivers.values()
        return torch.cat(tuple(slots)) if self.together else torch.stack([rows[row] for rows in slots])

    @property
    def size(self) -> int:
        """How many numbers one trial of everything in the stage takes."""
        return self.wrote.numel() + sum(2 * read.numel() for read in self.read.values())


@final
class NodeStage(AbstractStage):
    """Parts of a node of one layer without slots, or all of it: its MLP, or the residual stream where it is split."""

    def __init__(
        self,
        layer: LayerRun,
        indices: NodeIndices,
        senders: Int[Tensor, " row"],
        *,
        all_positions: bool,
    ) -> None:
        self.layer, self._indices = layer, indices
        self.senders, self.all_positions, self.together = senders, all_positions, not indices.apart
        parts = senders - indices.senders.start
        self.receivers = {"": indices.receivers.start + (torch.tensor([0]) if self.together else parts)}
        self._parts = parts.to(layer.device)

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All parts at once."""
        self.read = read
        self.wrote = self.layer.node_parts(self._indices, read[""], self._parts)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """All parts change with what their node reads; of those that read for themselves, which read something new."""
        touched, read = arrivals[""]
        rows = torch.arange(len(self.senders)) if self.together else touched
        wrote = self.layer.node_parts(self._indices, read, self._parts[rows.to(self._parts.device)])
        return rows, wrote - self.wrote[rows].unsqueeze(1), [Write(self.read[""], touched, read)]


class _Projections:
    """What heads of one layer read and make of it: kept, since a trial may change one slot of the three only."""

    def __init__(self, layer: LayerRun, heads: Int[Tensor, " row"], *, all_positions: bool) -> None:
        self._layer, self.heads, self._all_positions = layer, heads, all_positions
        self.read: dict[str, Tensor] = {}
        self.made: dict[str, Tensor] = {}

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All heads at once, in these slots."""
        every = torch.arange(len(self.heads))
        self.read |= read
        self.made |= {slot: self._make(slot, read[slot], every) for slot in SLOTS if slot in read}

    def recompute(self, arrivals: Arrivals) -> tuple[Int[Tensor, " row"], list[Tensor], list[Write]]:
        """The heads any of whose three slots reads something new, their queries, keys and values, and what to keep."""
        changed = torch.zeros(len(self.heads), dtype=torch.bool)
        for rows, _ in arrivals.values():
            changed[rows] = True
        rows = changed.nonzero().squeeze(1)
        index = changed.cumsum(0) - 1  # of a row among those that change
        writes, inputs = [], []
        for slot in SLOTS:
            made = self.made[slot][rows].unsqueeze(1)
            if slot in arrivals:
                touched, read = arrivals[slot]
                new = self._make(slot, read, touched)
                writes += [Write(self.read[slot], touched, read), Write(self.made[slot], touched, new)]
                if len(touched) == len(rows):
                    made = new
                else:
                    made = made.repeat(1, new.shape[1], 1, 1, 1)
                    made[index[touched]] = new
            inputs.append(made)
        return rows, inputs, writes

    def _make(
        self, slot: Slot, read: Float[Tensor, "row *batch pos d_model"], rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "row *batch pos d_head"]:
        everywhere = self._all_positions or slot != "q"
        return self._layer.project(slot, read, self.heads[rows], all_positions=everywhere)


@final
class HeadStage(AbstractStage):
    """Heads of one layer, each a sender."""

    def __init__(self, layer: LayerRun, senders: Int[Tensor, " row"], *, all_positions: bool) -> None:
        self.layer = layer
        heads = senders - layer.indices.heads.start
        self._heads = _Projections(layer, heads.to(layer.device), all_positions=all_positions)
        self.senders, self.all_positions, self.read = senders, all_positions, self._heads.read
        self.receivers = {slot: rows.start + heads for slot, rows in layer.indices.slots.items()}
        self._gathered: Float[Tensor, "head batch pos d_head"]

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All heads at once."""
        self._heads.refresh(read)
        q, k, v = (self._heads.made[slot] for slot in SLOTS)
        self._gathered = self.layer.gather(q, k, v, self._heads.heads, all_positions=self.all_positions)
        self.wrote = self.layer.written(self._gathered, self._heads.heads, all_positions=self.all_positions)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The heads any of whose three slots reads something new."""
        rows, (q, k, v), writes = self._heads.recompute(arrivals)
        heads = self._heads.heads[rows]
        gathered = self.layer.gather(q, k, v, heads, all_positions=self.all_positions)
        # heads write linearly, and what they gather is far narrower than what they write
        turned = gathered - self._gathered[rows].unsqueeze(1)
        change = self.layer.written(turned, heads, all_positions=self.all_positions)
        return rows, change, [*writes, Write(self._gathered, rows, gathered)]


@final
class AttentionStage(AbstractStage):
    """All heads of one layer, where what they write together is split: its parts are the senders."""

    together = True

    def __init__(self, layer: LayerRun, senders: Int[Tensor, " row"], *, all_positions: bool) -> None:
        self.layer = layer
        heads = torch.arange(len(layer.indices.slots["q"]))
        self._heads = _Projections(layer, heads.to(layer.device), all_positions=all_positions)
        self.senders, self.all_positions, self.read = senders, all_positions, self._heads.read
        self.receivers = {slot: rows.start + heads for slot, rows in layer.indices.slots.items()}
        self._parts = (senders - layer.indices.heads.start).to(layer.device)
        self._gathered: Float[Tensor, "head batch pos d_head"]

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All heads at once."""
        self._heads.refresh(read)
        q, k, v = (self._heads.made[slot] for slot in SLOTS)
        self._gathered = self.layer.gather(q, k, v, all_positions=self.all_positions)
        self.wrote = self._write(self._gathered)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """All parts change; of the heads, only those that read something new gather anew."""
        changed, (q, k, v), writes = self._heads.recompute(arrivals)
        new = self.layer.gather(q, k, v, self._heads.heads[changed], all_positions=self.all_positions)
        gathered = self._gathered.unsqueeze(1).repeat(1, new.shape[1], 1, 1, 1)
        gathered[changed] = new
        change = self._write(gathered) - self.wrote.unsqueeze(1)
        return torch.arange(len(self.senders)), change, [*writes, Write(self._gathered, changed, new)]

    def _write(self, gathered: Float[Tensor, "head *batch pos d_head"]) -> Float[Tensor, "row *batch pos d_model"]:
        return self.layer.attention_parts(gathered, all_positions=self.all_positions)[self._parts]
