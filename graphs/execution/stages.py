"""The state of a layer's live heads, or of its MLP, in the current circuit, and how it changes with what they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.execution.runs import Runs
from acdc.graphs.nodes import SLOTS, Slot

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
    """Some nodes of one layer, all read at every position (`all_positions`) or all at the scored positions only.

    `senders` and, by slot, `receivers` are their indices in the graph without spans; `read` and `wrote` what they read
    and write in the current circuit, with a row per node. The parts of an MLP that reads as a whole have a row each of
    what they write, and together one of what they read.
    """

    senders: Int[Tensor, " row"]
    receivers: dict[str, Int[Tensor, " row"]]
    all_positions: bool
    read: dict[str, Float[Tensor, "row batch pos d_model"]]
    wrote: Float[Tensor, "row batch pos d_model"]

    @abstractmethod
    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """Take what all nodes read in these slots (the first time: in all of them), and work out the rest."""

    @abstractmethod
    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The rows that change, what they write under each trial, and everything that accepting a trial must keep."""

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

    @property
    def reads_together(self) -> bool:
        """Whether all nodes of the stage have one input: they are parts of an MLP that reads as a whole."""
        return len(next(iter(self.receivers.values()))) < len(self.senders)

    @final
    def inputs(self, row: int) -> Int[Tensor, " slot"]:
        """The receivers of a node."""
        return torch.stack([rows[0 if self.reads_together else row] for rows in self.receivers.values()])

    @property
    def size(self) -> int:
        """How many numbers one trial of everything in the stage takes."""
        return self.wrote.numel() + sum(2 * read.numel() for read in self.read.values())


@final
class MlpStage(AbstractStage):
    """The MLP of one layer, which reads as a whole."""

    def __init__(self, runs: Runs, layer: int, senders: Int[Tensor, " row"], all_positions: bool) -> None:
        self.layer = runs.layers[layer]
        mlp = self.layer.indices.mlp
        assert mlp is not None
        self.senders, self.all_positions = senders, all_positions
        self.receivers = {"": torch.tensor([mlp.receivers.start])}
        self._parts = None if len(senders) == len(mlp.senders) else senders - mlp.senders.start

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """One MLP, so one row that is read."""
        self.read = read
        self.wrote = self._write(read[""][0])

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """One MLP, all of whose parts change."""
        touched, read = arrivals[""]
        rows, wrote = torch.arange(len(self.senders)), self._write(read[0])
        return rows, wrote, [Write(self.read[""], touched, read), Write(self.wrote, rows, wrote)]

    def _write(self, read: Float[Tensor, "*batch pos d_model"]) -> Float[Tensor, "row *batch pos d_model"]:
        wrote = self.layer.mlp_parts(read)
        return wrote if self._parts is None else wrote[self._parts.to(wrote.device)]


@final
class PartsStage(AbstractStage):
    """Parts of the MLP of one layer, each of which reads for itself."""

    def __init__(self, runs: Runs, layer: int, senders: Int[Tensor, " row"], all_positions: bool) -> None:
        self.layer = runs.layers[layer]
        mlp = self.layer.indices.mlp
        assert mlp is not None
        self.senders, self.all_positions = senders, all_positions
        parts = senders - mlp.senders.start
        self.receivers = {"": mlp.receivers.start + parts}
        self._parts = parts.to(runs.delta.device)

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All of them at once."""
        self.read = read
        self.wrote = self.layer.mlp_apart(read[""], self._parts)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """Those that read something new."""
        rows, read = arrivals[""]
        wrote = self.layer.mlp_apart(read, self._parts[rows.to(self._parts.device)])
        return rows, wrote, [Write(self.read[""], rows, read), Write(self.wrote, rows, wrote)]


@final
class HeadStage(AbstractStage):
    """Heads of one layer, with their queries, keys and values kept, since a trial may change one of the three only."""

    def __init__(self, runs: Runs, layer: int, senders: Int[Tensor, " row"], all_positions: bool) -> None:
        self.layer = runs.layers[layer]
        heads = senders - self.layer.indices.heads.start
        self.heads = heads.to(runs.delta.device)
        self.senders, self.all_positions = senders, all_positions
        self.receivers = {slot: rows.start + heads for slot, rows in self.layer.indices.slots.items()}
        self.read: dict[str, Tensor] = {}
        self.made: dict[str, Tensor] = {}

    def refresh(self, read: dict[str, Float[Tensor, "row batch pos d_model"]]) -> None:
        """All heads at once."""
        every = torch.arange(len(self.senders))
        self.read |= read
        self.made |= {slot: self._make(slot, read[slot], every) for slot in SLOTS if slot in read}
        self.wrote = self._write(self.made["q"], self.made["k"], self.made["v"], every)

    def recompute(self, arrivals: Arrivals) -> tuple[Tensor, Tensor, list[Write]]:
        """The heads any of whose three slots reads something new."""
        changed = torch.zeros(len(self.senders), dtype=torch.bool)
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
        q, k, v = inputs
        wrote = self._write(q, k, v, rows)
        writes.append(Write(self.wrote, rows, wrote))
        return rows, wrote, writes

    def _make(
        self, slot: Slot, read: Float[Tensor, "row *batch pos d_model"], rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "row *batch pos d_head"]:
        return self.layer.project(slot, read, self.heads[rows], all_positions=self.reads_all_positions(slot))

    def _write(
        self,
        q: Float[Tensor, "row *#batch query d_head"],
        k: Float[Tensor, "row *#batch key d_head"],
        v: Float[Tensor, "row *#batch key d_head"],
        rows: Int[Tensor, " row"],
    ) -> Float[Tensor, "row *batch query d_model"]:
        return self.layer.heads(q, k, v, self.heads[rows], all_positions=self.all_positions)
