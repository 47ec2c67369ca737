"""The circuit of the moment: what its nodes read and write, worked out from the kept edges; nodes run in `stages`.

It depends on the kept edges alone, to the last bit: a run that was interrupted goes on exactly as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.graphs.execution.runs import Runs
from acdc.graphs.execution.spans import at_any_span, rows_of
from acdc.graphs.execution.stages import AbstractStage, AttentionStage, HeadStage, NodeStage
from acdc.graphs.nodes import LOGITS, Node


@final
class CurrentCircuit:
    """What the nodes of a circuit read and write, of those layers that have been entered, from the logits back.

    All edges into receivers that are not among the `decided`, the last of them, are kept, whatever `kept` says.
    `stages` are in topological order; `connected` says which senders kept edges join to `input`; `final` is the final
    residual at the scored positions.
    """

    def __init__(self, runs: Runs, kept: Bool[Tensor, "receiver sender"] | None, decided: int) -> None:
        graph = runs.graph
        self.runs = runs
        self.kept = kept.clone() if kept is not None else torch.zeros(len(graph.receivers), len(graph.senders)).bool()
        for index, receiver in list(enumerate(graph.receivers))[: len(graph.receivers) - decided]:
            self.kept[index, graph.may_read(receiver)] = True
        self.stages: list[AbstractStage] = []
        self.connected = torch.ones(len(graph.senders), dtype=torch.bool)
        self.final: Float[Tensor, "batch 1 d_model"]
        self._scored_delta = runs.scored(runs.delta)
        self._stage_of: dict[int, tuple[AbstractStage, int]] = {}  # by sender: its stage and row
        self._runs_in: dict[Node, tuple[AbstractStage, int]] = {}  # the same by the node that it is run as
        self._intact = torch.ones(len(graph.senders), dtype=torch.bool)  # senders that nothing upstream is missing of
        self._rows = rows_of(graph)
        self._read_everywhere = torch.zeros(len(self._rows), dtype=torch.bool)  # by input
        self._entered: set[tuple[str, int]] = set()
        self._unsettled = set(range(len(graph.receivers)))  # receivers whose state is not that of the kept edges
        for receiver in graph.receivers[::-1][:decided]:
            self.enter(receiver.node)
        self.refresh()

    def __contains__(self, node: Node) -> bool:
        """Whether a node is run: it has been entered, and reaches the logits."""
        return node == LOGITS or self.runs.graph.run_as[node] in self._runs_in

    def stage_of(self, node: Node) -> tuple[AbstractStage, int]:
        """The stage that a node runs in, and its row there, or that of something that is run as the same."""
        return self._runs_in[self.runs.graph.run_as[node]]

    def from_stage(self, stage: AbstractStage) -> list[AbstractStage]:
        """That stage and those after it."""
        return self.stages[self.stages.index(stage) :]

    def remove(self, receiver: int, senders: Sequence[int]) -> None:
        """Drop these edges, by index; what that changes is worked out by `refresh`."""
        self.kept[receiver, senders] = False
        self._unsettled.add(receiver)

    def enter(self, node: Node) -> None:
        """Make the stages of a node's layer once everything after them is decided."""
        graph = self.runs.graph
        if node == LOGITS or (node.kind, node.layer) in self._entered:
            return
        self._entered.add((node.kind, node.layer))
        senders = torch.tensor(graph.written_by(node))
        kept = at_any_span(graph, self.kept[:, senders])
        alive = kept.any(dim=0)
        everywhere = (kept & self._read_everywhere[:, None]).any(dim=0)
        if graph.runs_as_one(node):
            everywhere |= everywhere.any()
        for all_positions in (False, True):
            members = senders[alive & (everywhere == all_positions)]
            if not len(members):
                continue
            stage = self._stage(node, members, all_positions)
            for slot, rows in stage.receivers.items():
                self._read_everywhere[rows] = stage.reads_all_positions(slot)
            self.stages.insert(0, stage)
            self._stage_of |= {sender: (stage, row) for row, sender in enumerate(members.tolist())}
            self._runs_in |= {graph.run_as[graph.senders[s]]: (stage, row) for row, s in enumerate(members.tolist())}
            self._refresh_stage(stage, tuple(stage.receivers))

    def _stage(self, node: Node, members: Int[Tensor, " sender"], all_positions: bool) -> AbstractStage:
        """That of these senders, which run with a node."""
        layer = self.runs.layers[node.layer]
        if node.kind == "head":
            kind = AttentionStage if layer.indices.as_one else HeadStage
            return kind(layer, members, all_positions=all_positions)
        return NodeStage(layer, self.runs.graph.indices(node), members, all_positions=all_positions)

    def carries(self, sender: int, *, all_positions: bool) -> Float[Tensor, "batch pos d_model"]:
        """What the edges from this sender carry in the current circuit, over what missing ones would."""
        if self._intact[sender]:
            return (self.runs.delta if all_positions else self._scored_delta)[sender]
        stage, row = self._stage_of[sender]
        carried = stage.wrote[row] - self.ablated(sender, stage.all_positions)
        return carried if all_positions else self.runs.scored(carried)

    def ablated(self, sender: int, all_positions: bool) -> Float[Tensor, "#batch #pos d_model"]:
        """What this sender writes in the ablated run, everywhere or at the scored positions."""
        output = self.runs.ablated.outputs[sender]
        if all_positions or output.shape[-2] == 1:
            return output
        # position by position, and so far the same for every prompt, but prompts are scored at positions of their own
        return self.runs.scored(output.expand(self.runs.delta.shape[1:]))

    def refresh(self) -> bool:
        """Work out the state from the kept edges, where edges were removed and wherever that is felt.

        Returns whether the final residual was worked out anew.
        """
        if not self._unsettled:
            return False
        stale = torch.zeros(len(self.kept), dtype=torch.bool)
        stale[list(self._unsettled)] = True
        for stage in self.stages:
            slots = [slot for slot, inputs in stage.receivers.items() if stale[self._rows[inputs]].any()]
            if slots:
                self._refresh_stage(stage, slots)
                stale |= self.kept[:, stage.senders].any(dim=1)
        if stale[-1]:
            last = torch.tensor([len(self._rows) - 1])
            self.final = self._read(last, len(self.runs.graph.senders), all_positions=False)[0]
        self._unsettled = set()
        return bool(stale[-1])

    def joined(self, kept: Bool[Tensor, "*receiver sender"], connected: Bool[Tensor, " sender"] | None = None) -> bool:
        """Whether any of these edges comes from a sender that is joined to `input`, or is one of those `connected`."""
        return bool((kept & (self.connected if connected is None else connected)).any())

    def inputs(self, stage: AbstractStage, row: int) -> Bool[Tensor, "input span sender"]:
        """The edges into a node of a stage, slot by slot and span by span."""
        return self.kept[self._rows[stage.inputs(row)]]

    def _refresh_stage(self, stage: AbstractStage, slots: Sequence[str]) -> None:
        stage.refresh(
            {
                slot: self._read(inputs, self._reads(stage, slot), stage.reads_all_positions(slot))
                for slot, inputs in stage.receivers.items()
                if slot in slots
            }
        )
        some, upstream = self._may_read(self._reads(stage, next(iter(stage.receivers)))), None
        for row, sender in enumerate(stage.senders.tolist()):
            if upstream is None or not stage.together:
                inputs = self.inputs(stage, row)
                upstream = bool(inputs[..., some].all()) and bool(self._intact[some].all()), self.joined(inputs)
            self._intact[sender], self.connected[sender] = upstream
            if not self.connected[sender]:
                stage.wrote[row] = self.ablated(sender, stage.all_positions)

    def _reads(self, stage: AbstractStage, slot: str) -> int:
        graph = self.runs.graph
        return graph.reads(graph.receivers[int(self._rows[stage.receivers[slot][0], 0])])

    def _may_read(self, count: int) -> slice:
        """Which senders those read before which so many stand."""
        return slice(self.runs.graph.since(count), count)

    def _read(
        self, inputs: Int[Tensor, " input"], count: int, all_positions: bool
    ) -> Float[Tensor, "input batch pos d_model"]:
        """What these inputs, each of which may read the senders before `count`, read in the current circuit."""
        return self.mixed(self.kept[self._rows[inputs]], count, all_positions)

    def mixed(
        self, kept: Bool[Tensor, "input span sender"], count: int, all_positions: bool
    ) -> Float[Tensor, "input batch pos d_model"]:
        """What inputs read over these edges, each of which may read the senders before `count`."""
        some = self._may_read(count)
        if kept[..., some].all() and self._intact[some].all():
            residual = self.runs.clean_residual(count)
            residual = residual if all_positions else self.runs.scored(residual)
            return residual.repeat(len(kept), 1, 1, 1)
        senders = kept.any(dim=0).any(dim=0).nonzero().squeeze(1).tolist()
        ablated = self.runs.ablated.residuals[count]
        ablated = ablated if all_positions else self.runs.scored(ablated)
        if not senders:
            return ablated.repeat(len(kept), 1, 1, 1)
        carried = torch.stack([self.carries(sender, all_positions=all_positions) for sender in senders])
        return self.runs.positions.mix(kept[..., senders].to(carried), carried) + ablated
