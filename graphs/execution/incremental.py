"""The next candidate removals from the current circuit, run without doing anything twice.

Receivers are put on trial from the logits back. Then everything upstream of the one on trial is still the clean run,
and everything downstream is already decided; so a candidate removal changes what this receiver reads, and through it
only what it reaches over kept edges. Several candidates run at once, each on top of those before it, so that accepting
the first n of them is a matter of keeping the n-th row. What only the scored position can be read from is computed at
the scored position only.

Between receivers the state is worked out anew from the kept edges (`current_circuit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.execution.current_circuit import CurrentCircuit
from acdc.graphs.execution.runs import Runs
from acdc.graphs.execution.spans import rows_of
from acdc.graphs.execution.stages import AbstractStage, Write
from acdc.graphs.nodes import LOGITS, Receiver


@dataclass(frozen=True)
class _Change:
    """How much what some senders write changes under each trial: wherever it is read, and at the scored positions."""

    runs: Runs
    senders: Int[Tensor, " sender"]
    everywhere: Float[Tensor, "sender trial batch pos d_model"]

    @cached_property
    def scored(self) -> Float[Tensor, "sender trial batch 1 d_model"]:
        """At the scored positions only."""
        return self.runs.scored(self.everywhere)


@dataclass(frozen=True)
class _Links:
    """Which of some inputs any change reaches, and over which edges: what is on trial leaves these as they are.

    For every change that does: its number, which of its senders are read (None: all), and the edges from these.
    """

    touched: Int[Tensor, " touched"]
    used: tuple[tuple[int, Int[Tensor, " used"] | None, Bool[Tensor, "touched span used"]], ...]

    @classmethod
    def of(cls, kept: Bool[Tensor, "input span sender"], changes: Sequence[_Change]) -> _Links:
        """The edges kept into inputs, of those from senders that change."""
        links = [kept[..., change.senders] for change in changes]
        touched = torch.cat(links, dim=-1).any(dim=-1).any(dim=-1).nonzero().squeeze(1)
        used = []
        for number, (link, change) in enumerate(zip(links, changes, strict=True)):
            senders = link.any(dim=0).any(dim=0)
            if senders.any():
                some = None if senders.all() else senders.nonzero().squeeze(1).to(change.everywhere.device)
                used.append((number, some, link[touched][..., senders]))
        return cls(touched, tuple(used))


@dataclass(frozen=True)
class _Cut:
    """In these trials, no path over kept edges joins these senders to `input`: they write what the ablated run has."""

    trials: Bool[Tensor, " trial"]
    senders: Bool[Tensor, " sender"]


class IncrementalExecutor:
    """A circuit that starts as the whole model and loses edges, receiver by receiver, from the logits back.

    Call `begin` for every receiver in reverse topological order; then `try_removals` of some of its senders and
    `accept` of the first few of them, as often as wanted. Started with a circuit's mask and `decided` receivers, it
    goes on from there; with all receivers decided, any of them may be put on trial again, in any order.
    """

    def __init__(
        self,
        runs: Runs,
        columns: Int[Tensor, "batch column"] | None = None,
        kept: Bool[Tensor, "receiver sender"] | None = None,
        decided: int = 0,
    ) -> None:
        self.runs = runs
        self.columns = columns
        self._now = CurrentCircuit(runs, kept, decided)
        self.kept = self._now.kept
        self._rows = rows_of(runs.graph)
        self._logits: Float[Tensor, "batch column"] | None = None
        self._links: dict[tuple[AbstractStage | None, str], _Links] = {}  # of what is on trial, by what it may reach
        self._trial: list[list[Write]] = []  # of every so many trials
        self._at_once = 1
        self._tried: tuple[int, list[list[int]]] = (0, [])  # a row, and by trial which senders it adds to those removed

    def begin(self, receiver: Receiver) -> bool:
        """Put a receiver on trial; False if its node reaches nothing, and then all its edges are dropped untested."""
        self._links = {}
        if self._now.refresh():
            self._logits = None
        self._now.enter(receiver.node)
        if receiver.node in self._now:
            return True
        self.kept[self.runs.graph.receiver_index[receiver]] = False
        return False

    def bytes_per_trial(self, receiver: Receiver, *, unembedded: bool = True) -> int:
        """About how much memory one candidate removal of this receiver takes, with its logits or without."""
        batch, columns = len(self._now.final), 0
        if unembedded:
            columns = len(self.runs.model.unembedding.weight) if self.columns is None else self.columns.shape[1]
        numbers = 2 * self._numbers_reached(receiver) + 4 * columns * batch + 3 * self.runs.delta[0].numel()
        numbers += self.runs.graph.n_heads * self.runs.around
        return int(numbers * self.runs.delta.element_size())

    def _numbers_reached(self, receiver: Receiver) -> int:
        """How many numbers nodes that this receiver reaches over kept edges read and write, its own among them."""
        if receiver.node == LOGITS:
            return 0
        stage, _, index, _ = self._where(receiver)
        changed, total = torch.zeros(self.kept.shape[1], dtype=torch.bool), 0
        for later in self._now.from_stage(stage):
            reads = self.kept[:, changed].any(dim=1)
            slots = torch.stack([reads[self._rows[inputs]].any(dim=1) for inputs in later.receivers.values()])
            if later is stage:
                slots[:, index] = True
            touched = slots.any().expand(len(later.senders)) if later.together else slots.any(dim=0)
            changed[later.senders] = touched
            total += later.size * int(touched.sum()) // len(touched)
        return total

    def bytes_read(self, receiver: Receiver) -> int:
        """How much memory takes what this receiver reads."""
        one, everywhere = self.runs.delta[0], receiver.node != LOGITS
        if everywhere:
            stage, slot, _, _ = self._where(receiver)
            everywhere = stage.reads_all_positions(slot)
        return (one if everywhere else self.runs.scored(one)).nbytes

    def try_removals(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True
    ) -> Float[Tensor, "trial batch column"]:
        """The logits after removing the edges from the first, the first two, ... of these senders (by index).

        With `together` False, after removing each of them alone.
        """
        return self.unembed(self.try_residuals(receiver, senders, together=together))

    def unembed(self, residual: Float[Tensor, "trial batch d_model"]) -> Float[Tensor, "trial batch column"]:
        """The logits at these final residuals."""
        return self.runs.model.unembedding(residual, self.columns)

    def try_residuals(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True, at_once: int | None = None
    ) -> Float[Tensor, "trial batch d_model"]:
        """The final residuals at the scored positions after the removals that `try_removals` makes.

        So many trials run at once (None: all); what they give depends on that by rounding only.
        """
        row = self.runs.graph.receiver_index[receiver]
        self._tried, self._at_once = (row, [[sender] for sender in senders]), at_once or len(senders)
        self._trial = []
        read, span = self._now.final, None
        if receiver.node != LOGITS:
            stage, slot, index, span = self._where(receiver)
            read = stage.read[slot][index]
        joined = (self.kept[row] & self._now.connected)[list(senders)].long()
        unjoined = joined.cumsum(0) if together else joined
        before, residuals = read.to(torch.promote_types(read.dtype, torch.float32)), []
        for start in range(0, len(senders), self._at_once):
            some = slice(start, start + self._at_once)
            left = self._without(before, senders[some], span, together=together)
            before = left[-1] if together else before
            self._trial.append([])
            arrived = left.to(read.dtype)
            final = self._arrive(arrived) if receiver.node == LOGITS else self._reach(receiver, arrived, unjoined[some])
            residuals.append(final)
        return residuals[0] if len(residuals) == 1 else torch.cat(residuals)

    def try_keeping(self, receiver: Receiver, senders: Sequence[int]) -> Float[Tensor, "1 batch d_model"]:
        """The final residual after removing, in one step, all edges into this receiver but those from these senders.

        Costs what the senders that stay cost, however many go.
        """
        graph, row = self.runs.graph, self.runs.graph.receiver_index[receiver]
        staying = torch.zeros_like(self.kept[row])
        staying[list(senders)] = True
        staying &= self.kept[row]
        removed = self.kept[row] & ~staying
        self._trial, self._at_once, self._tried = [[]], 1, (row, [removed.nonzero().squeeze(1).tolist()])
        if receiver.node == LOGITS:
            return self._arrive(self._now.mixed(staying[None, None], graph.reads(receiver), all_positions=False))
        stage, slot, index, span = self._where(receiver)
        kept = self.kept[self._rows[stage.receivers[slot][index]]]
        kept[span or 0] = staying
        arrived = self._now.mixed(kept[None], graph.reads(receiver), stage.reads_all_positions(slot))
        return self._reach(receiver, arrived, (removed & self._now.connected).sum()[None])

    def _without(
        self, read: Float[Tensor, "_ pos d_model"], senders: Sequence[int], span: int | None, *, together: bool
    ) -> Float[Tensor, "trial _ pos d_model"]:
        """What is left of this without the first, the first two, ... of these senders at a span, or without each alone.

        In float32 at least, as small parts are not to be lost one by one.
        """
        left = read.new_empty(len(senders), *read.shape)
        for number, sender in enumerate(senders):
            carried = self._now.carries(sender, all_positions=read.shape[-2] > 1)
            before = left[number - 1] if number and together else read
            torch.sub(before, self.runs.positions.confined(carried, span), out=left[number])
        return left

    def _reach(
        self,
        receiver: Receiver,
        arrived: Float[Tensor, "trial _ pos d_model"],
        unjoined: Int[Tensor, " trial"],
    ) -> Float[Tensor, "trial batch d_model"]:
        """The final residuals where this receiver reads what arrives; `unjoined` counts the joined senders removed."""
        stage, slot, index, _ = self._where(receiver)
        cut = self._cut(receiver, unjoined)
        changes = [self._pass(stage, {slot: (torch.tensor([index]), arrived[None])}, cut)]
        for later in self._now.from_stage(stage)[1:]:
            arrivals = {}
            for slot in later.receivers:
                touched, arriving = self._mix(changes, later, slot)
                if arriving is not None:
                    arrivals[slot] = touched, arriving
            if arrivals:
                changes.append(self._pass(later, arrivals, cut))
        _, final = self._mix(changes, None, "")
        return self.residual.expand(len(arrived), *self.residual.shape) if final is None else self._arrive(final[0])

    def accept(self, count: int) -> None:
        """Make the first `count` removals of the last trial."""
        if count:
            part, trial = divmod(count - 1, self._at_once)
            for write in self._trial[part]:
                write.keep(trial)
            row, senders = self._tried
            self._now.remove(row, list(chain.from_iterable(senders[:count])))
            self._logits = None
        self._trial = []

    @property
    def residual(self) -> Float[Tensor, "batch d_model"]:
        """The final residual at the scored positions, in the circuit of the moment."""
        return self._now.final.squeeze(-2)

    @property
    def logits(self) -> Float[Tensor, "batch column"]:
        """The logits at the scored positions, in the circuit of the moment; computed when first asked for."""
        if self._logits is None:
            self._logits = self.unembed(self.residual[None])[0]
        return self._logits

    def _arrive(self, final: Float[Tensor, "trial batch 1 d_model"]) -> Float[Tensor, "trial batch d_model"]:
        self._trial[-1].append(Write(self._now.final, None, final))
        return final.squeeze(-2)

    def _where(self, receiver: Receiver) -> tuple[AbstractStage, str, int, int | None]:
        """The stage of a receiver's node, the slot and the row that it is there, and the number of its span."""
        graph = self.runs.graph
        number, span = divmod(graph.receiver_index[receiver], graph.per_input)
        stage, _ = self._now.stage_of(receiver.node)
        return stage, *stage.find(number), span if graph.spans else None

    def _cut(self, receiver: Receiver, unjoined: Int[Tensor, " trial"]) -> _Cut | None:
        """The trials that leave the receiver's node without any path from `input`, if there are such.

        `unjoined` counts how many senders that kept edges join to `input` are removed.
        """
        stage, number = self._now.stage_of(receiver.node)
        inputs = self._now.inputs(stage, number) & self._now.connected
        here = self.kept[self.runs.graph.receiver_index[receiver]] & self._now.connected
        if int(inputs.sum()) > int(here.sum()):  # another slot or span of the node is joined to `input`
            return None
        trials = here.sum() == unjoined
        if not trials.any():
            return None
        connected = self._now.connected.clone()
        connected[stage.senders if stage.together else stage.senders[number]] = False
        for later in self._now.from_stage(stage):
            for number, sender in enumerate(later.senders.tolist()):
                connected[sender] = connected[sender] and self._now.joined(self._now.inputs(later, number), connected)
        return _Cut(trials, ~connected)

    def _pass(self, stage: AbstractStage, arrivals: dict[str, tuple[Tensor, Tensor]], cut: _Cut | None) -> _Change:
        rows, change, writes = stage.recompute(arrivals)
        if cut is not None:
            for number, (row, sender) in enumerate(zip(rows.tolist(), stage.senders[rows].tolist(), strict=True)):
                if cut.senders[sender]:
                    change[number, cut.trials] = self._now.ablated(sender, stage.all_positions) - stage.wrote[row]
        self._trial[-1] += [*writes, Write(stage.wrote, rows, change, added=True)]
        return _Change(self.runs, stage.senders[rows], change)

    def _mix(
        self, changes: list[_Change], stage: AbstractStage | None, slot: str
    ) -> tuple[Int[Tensor, " touched"], Float[Tensor, "touched trial batch _ d_model"] | None]:
        """Which inputs of a stage (None: the logits) any change reaches, and what these then read."""
        if (stage, slot) not in self._links:
            inputs = torch.tensor([len(self._rows) - 1]) if stage is None else stage.receivers[slot]
            self._links[stage, slot] = _Links.of(self.kept[self._rows[inputs]], changes)
        links, total = self._links[stage, slot], None
        read = self._now.final[None] if stage is None else stage.read[slot]
        all_positions = stage is not None and stage.reads_all_positions(slot)
        for change, senders, weights in links.used:
            part = changes[change].everywhere if all_positions else changes[change].scored
            part = part if senders is None else part[senders]
            if total is None:
                wide = torch.promote_types(read.dtype, torch.float32)  # small changes are not to be lost one by one
                total = self._added(read[links.touched].unsqueeze(1).to(wide), weights, part)
            else:
                total = self._added(total, weights, part, out=total)
        return links.touched, None if total is None else total.to(read.dtype)

    def _added(
        self,
        read: Float[Tensor, "input #trial batch pos d_model"],
        weights: Bool[Tensor, "input span sender"],
        change: Float[Tensor, "sender trial batch pos d_model"],
        out: Float[Tensor, "input trial batch pos d_model"] | None = None,
    ) -> Float[Tensor, "input trial batch pos d_model"]:
        """What inputs read, and what changes bring them over edges with these weights."""
        if weights.shape[1:] == (1, 1) and weights.all():
            return torch.add(read, change, out=out)
        factors = weights.to(change)
        if weights.shape[1] > 1:
            by_trial = change.transpose(0, 1)
            mixed = self.runs.positions.mix(factors.expand(len(by_trial), *factors.shape), by_trial).transpose(0, 1)
            return torch.add(read, mixed, out=out)
        if out is not None and out.dtype == change.dtype:
            out.view(len(out), -1).addmm_(factors[:, 0], change.flatten(1))
            return out
        mixed = (factors[:, 0] @ change.flatten(1)).view(len(factors), *change.shape[1:])
        return torch.add(read, mixed, out=out)
