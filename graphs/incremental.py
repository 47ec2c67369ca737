"""The current circuit, and its next candidate removals, run without doing anything twice.

Receivers are put on trial from the logits back. Then everything upstream of the one on trial is still the clean run,
and everything downstream is already decided; so a candidate removal changes what this receiver reads, and through it
only what it reaches over kept edges. Several candidates run at once, each on top of those before it, so that accepting
the first n of them is a matter of keeping the n-th row. What only the scored position can be read from is computed at
the scored position only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from graphs.nodes import LOGITS, Node, Receiver
from graphs.runs import Runs
from graphs.stages import AbstractStage, HeadStage, MlpStage, Write


class IncrementalExecutor:
    """A circuit that starts as the whole model and loses edges, receiver by receiver, from the logits back.

    Call `begin` for every receiver in reverse topological order; then `try_removals` of some of its senders and
    `accept` of the first few of them, as often as wanted.
    """

    def __init__(self, runs: Runs, columns: Int[Tensor, "batch column"] | None = None) -> None:
        graph = runs.graph
        self.runs = runs
        self.columns = columns
        self.kept: Bool[Tensor, "receiver sender"] = torch.zeros(
            len(graph.receivers), len(graph.senders), dtype=torch.bool
        )
        for index, receiver in enumerate(graph.receivers):
            self.kept[index, : graph.reads(receiver)] = True
        self._stages: list[AbstractStage] = []  # in topological order
        self._read_widely = torch.zeros(len(graph.receivers), dtype=torch.bool)
        self._entered: set[tuple[str, int]] = set()
        self._final = runs.scored(runs.clean_residual(len(graph.senders)))
        self._trial: list[Write] = []
        self._tried: tuple[int, list[int]] = (0, [])
        self.logits: Float[Tensor, "batch column"] = self._unembed(self._final)

    def _unembed(self, final: Float[Tensor, "*trial batch 1 d_model"]) -> Float[Tensor, "*trial batch column"]:
        return self.runs.model.unembedding(final.squeeze(-2), self.columns)

    def begin(self, receiver: Receiver) -> bool:
        """Put a receiver on trial; False if its node reaches nothing, and then all its edges are dropped untested."""
        self._enter(receiver.node)
        if receiver.node == LOGITS or self._stage_of(receiver.node) is not None:
            return True
        self.kept[self.runs.graph.receiver_index[receiver]] = False
        return False

    def bytes_per_trial(self, receiver: Receiver) -> int:
        """About how much memory one candidate removal of this receiver takes."""
        later = self._stages[self._position(receiver.node) :] if receiver.node != LOGITS else []
        batch, columns = self.logits.shape
        numbers = 2 * sum(stage.size for stage in later) + 4 * columns * batch + 3 * self.runs.delta[0].numel()
        return int(numbers * self.runs.delta.element_size())

    def try_removals(
        self, receiver: Receiver, senders: Sequence[int], *, together: bool = True
    ) -> Float[Tensor, "trial batch column"]:
        """The logits after removing the edges from the first, the first two, ... of these senders (by index).

        With `together` False, after removing each of them alone.
        """
        runs, row = self.runs, self.runs.graph.receiver_index[receiver]
        removed = runs.delta[list(senders)]
        self._trial, self._tried = [], (row, list(senders))
        if receiver.node == LOGITS:
            removed = runs.scored(removed)
            final = self._final - (removed.cumsum(0) if together else removed)
            self._trial = [Write(self._final, None, final)]
            return self._unembed(final)
        start = self._position(receiver.node)
        stage = self._stages[start]
        slot, place = stage.find(row)
        read = stage.read[slot][place]
        removed = runs.scored(removed) if read.shape[-2] == 1 else removed
        arrived = read - (removed.cumsum(0) if together else removed)
        changes = [self._pass(stage, {slot: (torch.tensor([place]), arrived[None])})]
        for later in self._stages[start + 1 :]:
            arrivals = {}
            for slot, rows in later.receivers.items():
                wide = later.read[slot].shape[-2] > 1
                change, touched = self._mix(changes, rows, wide)
                if change is not None:
                    arrivals[slot] = touched, later.read[slot][touched].unsqueeze(1) + change
            if arrivals:
                changes.append(self._pass(later, arrivals))
        change, _ = self._mix(changes, torch.tensor([len(self.kept) - 1]), wide=False)
        if change is None:
            return self.logits.expand(len(senders), *self.logits.shape)
        final = self._final + change[0]
        self._trial.append(Write(self._final, None, final))
        return self._unembed(final)

    def accept(self, count: int, logits: Float[Tensor, "batch column"]) -> None:
        """Make the first `count` removals of the last trial, which gave these logits."""
        if count:
            for write in self._trial:
                write.keep(count - 1)
            row, senders = self._tried
            self.kept[row, senders[:count]] = False
            self.logits = logits
        self._trial = []

    def _pass(
        self, stage: AbstractStage, arrivals: dict[str, tuple[Tensor, Tensor]]
    ) -> tuple[Int[Tensor, " changed"], Float[Tensor, "changed trial batch pos d_model"]]:
        rows, wrote, writes = stage.recompute(arrivals)
        self._trial += writes
        change = wrote - stage.wrote[rows].unsqueeze(1)
        return stage.senders[rows], change

    def _mix(
        self, changes: list[tuple[Tensor, Tensor]], receivers: Int[Tensor, " receiver"], wide: bool
    ) -> tuple[Tensor | None, Int[Tensor, " touched"]]:
        """How much what these receivers read changes, for those of them that any change reaches."""
        links = [self.kept[receivers][:, senders] for senders, _ in changes]
        touched = torch.cat(links, dim=1).any(dim=1).nonzero().squeeze(1)
        total: Tensor | None = None
        for link, (_, change) in zip(links, changes, strict=True):
            link = link[touched]
            if not link.any():
                continue
            part = change if wide else self.runs.scored(change)
            used = link.any(dim=0)
            if not used.all():
                link, part = link[:, used], part[used.to(part.device)]
            weights = link.to(part)
            mixed = (weights @ part.flatten(1)).view(len(link), *part.shape[1:])
            total = mixed if total is None else total + mixed
        return total, touched

    def _enter(self, node: Node) -> None:
        """Make the stages of a node's layer once everything after them is decided."""
        graph = self.runs.graph
        if node == LOGITS or (node.kind, node.layer) in self._entered:
            return
        self._entered.add((node.kind, node.layer))
        group = [node] if node.kind == "mlp" else [Node("head", node.layer, head) for head in range(graph.n_heads)]
        senders = torch.tensor([graph.sender_index[member] for member in group])
        alive = self.kept[:, senders].any(dim=0)
        wide = (self.kept[:, senders] & self._read_widely[:, None]).any(dim=0)
        residual = self.runs.clean_residual(graph.reads(Receiver(node, "q" if node.kind == "head" else None)))
        for is_wide in (False, True):
            members = senders[alive & (wide == is_wide)]
            if len(members):
                kind = MlpStage if node.kind == "mlp" else HeadStage
                stage = kind(self.runs, node.layer, members, residual, is_wide)
                for slot, rows in stage.receivers.items():
                    self._read_widely[rows] = is_wide or slot in ("k", "v")
                self._stages.insert(0, stage)

    def _stage_of(self, node: Node) -> AbstractStage | None:
        sender = self.runs.graph.sender_index[node]
        return next((stage for stage in self._stages if sender in stage.senders), None)

    def _position(self, node: Node) -> int:
        stage = self._stage_of(node)
        assert stage is not None, f"{node} is not on trial"
        return self._stages.index(stage)
