"""The state of a layer's live heads, or of its MLP, in the current circuit, and how it changes with what they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphs.nodes import SLOTS, Receiver
from graphs.runs import Runs

Arrivals = dict[str, tuple[Tensor, Tensor]]
"""By slot: which rows of a stage read something new, and what, as [row, trial, batch, pos, d_model]."""


@dataclass(frozen=True)
class Write:
    """A piece of state and what it would become under each trial; `rows` None for all of it."""

    state: Tensor
    rows: Int[Tensor, " row"] | None
    trials: Float[Tensor, "..."]

    def keep(self, trial: int) -> None:
        """Make the state what this trial made it."""
        if self.rows is None:
            self.state.copy_(self.trials[trial])
        else:
            self.state[self.rows] = self.trials[:, trial]


class AbstractStage(ABC):
    """Some nodes of one layer, all read at every position (`wide`) or all at the scored positions only.

    `senders` and, by slot, `receivers` are their indices in the graph; `read` and `wrote` what they read and write in
    the current circuit, with a row per node.
    """

    senders: Int[Tensor, " row"]
    receivers: dict[str, Int[Tensor, " row"]]
    wide: bool
    read: dict[str, Float[Tensor, "row batch pos d_model"]]
    wrote: Float[Tensor, "row batch pos d_model"]

    @abstractmethod
    def settle(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """Take what all nodes read in these slots (the first time: in all of them), and work out the rest."""

    @abstractmethod
    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The rows that change, what they write under each trial, and everything that accepting a trial must keep."""

    def reads_widely(self, slot: str) -> bool:
        """Whether this slot reads every position: keys and values always do."""
        return self.wide or slot in ("k", "v")

    @final
    def find(self, receiver: int) -> tuple[str, int]:
        """The slot and row of a receiver."""
        for slot, rows in self.receivers.items():
            found = (rows == receiver).nonzero()
            if len(found):
                return slot, int(found[0])
        raise AssertionError("the receiver is not of this stage")

    @property
    def size(self) -> int:
        """How many numbers one trial of everything in the stage takes."""
        return self.wrote.numel() + sum(2 * read.numel() for read in self.read.values())


@final
class MlpStage(AbstractStage):
    """The MLP of one layer."""

    def __init__(self, runs: Runs, layer: int, senders: Int[Tensor, " row"], wide: bool) -> None:
        mlp = runs.model.layers[layer].mlp
        assert mlp is not None
        self.mlp = mlp
        node = runs.graph.senders[int(senders[0])]
        self.senders, self.wide = senders, wide
        self.receivers = {"": torch.tensor([runs.graph.receiver_index[Receiver(node)]])}

    def settle(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """One MLP, so one row."""
        self.read = read
        self.wrote = self.mlp(read[""])

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """One MLP, so one row."""
        rows, read = arrivals[""]
        wrote = self.mlp(read)
        return rows, wrote, [Write(self.read[""], rows, read), Write(self.wrote, rows, wrote)]


@final
class HeadStage(AbstractStage):
    """Heads of one layer, with their queries, keys and values kept, since a trial may change one of the three only."""

    def __init__(self, runs: Runs, layer: int, senders: Int[Tensor, " row"], wide: bool) -> None:
        graph = runs.graph
        nodes = [graph.senders[sender] for sender in senders.tolist()]
        self.attention = runs.model.layers[layer].attention
        self.heads = torch.tensor([node.head for node in nodes], device=runs.delta.device)
        self.senders, self.wide = senders, wide
        self.receivers = {
            slot: torch.tensor([graph.receiver_index[Receiver(node, slot)] for node in nodes]) for slot in SLOTS
        }
        self.keys = runs.places[layer]
        self.queries = self.keys if wide else runs.scored_places[layer]
        scale = runs.scales[layer]
        self.scale = scale if scale is None or wide else runs.scored(scale)
        self.read: dict[str, Tensor] = {}
        self.made: dict[str, Tensor] = {}

    def settle(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All heads at once."""
        every = torch.arange(len(self.senders))
        self.read |= read
        self.made |= {slot: self._make(slot, residual, every) for slot, residual in read.items()}
        self.wrote = self._write(self.made["q"], self.made["k"], self.made["v"], every)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The heads any of whose three slots reads something new."""
        changed = torch.zeros(len(self.senders), dtype=torch.bool)
        for rows, _ in arrivals.values():
            changed[rows] = True
        rows = changed.nonzero().squeeze(1)
        place = changed.cumsum(0) - 1  # of a row among those that change
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
                    made[place[touched]] = new
            inputs.append(made)
        q, k, v = inputs
        wrote = self._write(q, k, v, rows)
        writes.append(Write(self.wrote, rows, wrote))
        return rows, wrote, writes

    def _make(
        self, slot: str, read: Float[Tensor, "row *batch pos d_model"], rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "row *batch pos d_head"]:
        heads, normed = self.heads[rows], self.attention.norm(read)
        match slot:
            case "q":
                return self.queries.rotate(self.attention.query(normed, heads))
            case "k":
                return self.keys.rotate(self.attention.key(normed, heads))
            case _:
                return self.attention.value(normed, heads)

    def _write(
        self,
        q: Float[Tensor, "row *#batch query d_head"],
        k: Float[Tensor, "row *#batch key d_head"],
        v: Float[Tensor, "row *#batch key d_head"],
        rows: Int[Tensor, " row"],
    ) -> Float[Tensor, "row *batch query d_model"]:
        out = self.attention.write(self.attention.attend(q, k, v, self.queries), self.heads[rows])
        return out if self.scale is None else out * self.scale
