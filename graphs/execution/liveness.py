"""Which nodes of each circuit have to run, and where: those between the clean prompt and the logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution.spans import at_any_span
from acdc.graphs.nodes import SLOTS, Receiver, Slot


@dataclass(frozen=True)
class Liveness:
    """Per circuit, the edges that can change its logits, `kept`, and the senders that write to one of them, `live`.

    Where edges have spans, a path may go over edges of any: whether a node runs is decided for all its positions alike.

    Those of `all_positions` are read at every position: through keys or values, or by another of them. The other live
    ones are read at the scored positions only. `input` is live in every circuit.
    """

    kept: Bool[Tensor, "circuit receiver sender"]
    live: Bool[Tensor, "circuit sender"]
    all_positions: Bool[Tensor, "circuit sender"]

    @classmethod
    def of(cls, graph: ComputationalGraph, mask: Bool[Tensor, "circuit receiver sender"]) -> Liveness:
        """That of the circuits with these edges; the edges kept are those of `Circuit.pruned`."""
        # the steps are many and small, which costs less outside of torch
        edges = at_any_span(graph, mask.cpu()).numpy()
        n_circuits, n_receivers, n_senders = edges.shape
        # of receivers: whether what they read matters, and whether at every position; the logits come last
        matters, read_everywhere = np.zeros((2, n_circuits, n_receivers), dtype=bool)
        live, everywhere = np.zeros((2, n_circuits, n_senders), dtype=bool)
        matters[:, -1] = True
        leaving = np.ascontiguousarray(edges.transpose(2, 0, 1))  # by sender, each read in one piece
        for sender in range(n_senders - 1, -1, -1):
            live[:, sender] = (leaving[sender] & matters).any(1)
            everywhere[:, sender] = (leaving[sender] & read_everywhere).any(1)
            inputs = receivers_of(graph, sender)
            # parts of a node may have the same inputs: these matter where any of them does
            matters[:, [row for row, _ in inputs]] |= live[:, [sender]]
            read_everywhere[:, [row for row, slot in inputs if slot in (None, "q")]] |= everywhere[:, [sender]]
            read_everywhere[:, [row for row, slot in inputs if slot in ("k", "v")]] |= live[:, [sender]]
        reachable = _connected(graph, edges & matters[:, :, None])
        live, everywhere = live & reachable, everywhere & reachable
        # what runs together does so at every position if one part of it is read there
        for node in (split.node for split in graph.splits if graph.runs_as_one(split.node)):
            senders = graph.written_by(node)
            together = slice(senders.start, senders.stop)
            everywhere[:, together] = live[:, together] & everywhere[:, together].any(1, keepdims=True)
        matters = np.concatenate((matters[:, :-1].repeat(graph.per_input, 1), matters[:, -1:]), 1)
        kept = mask.cpu().numpy() & matters[:, :, None] & reachable[:, None]
        live[:, 0] = True
        return cls(*(torch.from_numpy(part).to(mask.device) for part in (kept, live, everywhere)))

    def distinct(self) -> tuple[Int[Tensor, " distinct"], Int[Tensor, " circuit"]]:
        """Circuits no two of which keep the same edges, and for every circuit which of them keeps the edges it does."""
        numbers: dict[bytes, int] = {}
        packed = self.kept.flatten(1).cpu().numpy()
        same = [numbers.setdefault(row.tobytes(), len(numbers)) for row in packed]
        first = [same.index(number) for number in range(len(numbers))]
        return torch.tensor(first), torch.tensor(same)

    def select(self, circuits: Int[Tensor, " some"] | slice) -> Liveness:
        """That of some of the circuits."""
        return Liveness(self.kept[circuits], self.live[circuits], self.all_positions[circuits])


def connected(
    graph: ComputationalGraph, kept: Bool[Tensor, "circuit receiver sender"]
) -> Bool[Tensor, "circuit sender"]:
    """The senders that a path over kept edges connects with `input`; the others write what the ablated run has."""
    return torch.from_numpy(_connected(graph, at_any_span(graph, kept.cpu()).numpy())).to(kept.device)


def _connected(graph: ComputationalGraph, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    reachable = np.zeros((len(kept), kept.shape[-1]), dtype=bool)
    reachable[:, 0] = True
    for sender in range(1, kept.shape[-1]):
        if graph.run_as[graph.senders[sender]] == graph.run_as[graph.senders[sender - 1]]:
            reachable[:, sender] = reachable[:, sender - 1]
            continue
        rows = [row for row, _ in receivers_of(graph, sender)]
        read = graph.without_spans.reads(graph.without_spans.receivers[rows[0]])
        some = slice(graph.since(read), read)
        reachable[:, sender] = (kept[:, rows, some] & reachable[:, None, some]).any((1, 2))
    return reachable


def receivers_of(graph: ComputationalGraph, sender: int) -> list[tuple[int, Slot | None]]:
    """The inputs of a node, by their numbers among the receivers of the graph without spans, and slot.

    Those of a part of what attention writes are all inputs of the heads.
    """
    node, numbers = graph.senders[sender], graph.without_spans.receiver_index
    match node.kind:
        case "head":
            return [(numbers[Receiver(node, slot)], slot) for slot in SLOTS]
        case "attention":
            slots = graph.layers[node.layer].slots
            return [(row, slot) for slot in SLOTS for row in slots[slot]]
        case "input" | "logits":
            return []
        case _:
            return [(numbers[Receiver(graph.run_as[node])], None)]
