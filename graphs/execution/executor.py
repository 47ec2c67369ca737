"""Run many circuits on a batch of prompts in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.execution.liveness import Liveness, connected
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.execution.sparse_run import AblatedProjections, SparseRun
from acdc.graphs.model.transformer import Model
from acdc.graphs.nodes import SLOTS


class Executor:
    """Circuits of one model on one batch of prompts of equal length.

    What a receiver reads is the ablated run's residual plus, for every edge kept, what the sender writes in this
    circuit less what the missing edge would carry; the rest is the model's own arithmetic. A node that no path over
    kept edges joins to `input` writes exactly what the ablated run has, whatever the ablation, so that nothing of the
    clean run enters a circuit but over its edges. So the full circuit is the clean run and the empty one the ablated
    run, to rounding. Where the graph has spans, an edge brings this at the positions of its span only, `spans` says
    which those are, and a path over edges of any spans joins.

    Raises: BadTokens when the prompts do not fit each other or the model.
    """

    def __init__(
        self,
        model: Model,
        clean: Int[Tensor, "batch pos"],
        corrupt: Int[Tensor, "batch pos"],
        positions: Int[Tensor, " batch"],
        ablation: Ablation = Ablation.RESAMPLE,
        constants: Float[Tensor, "sender 1 _ d_model"] | None = None,
        spans: Int[Tensor, "batch pos"] | None = None,
    ) -> None:
        self.runs = prepare(model, TokenPairs(clean, corrupt, positions, spans), ablation, constants, confined=True)

    @classmethod
    def of(cls, runs: Runs) -> Executor:
        """The executor of runs already prepared."""
        executor = cls.__new__(cls)
        executor.runs = runs
        return executor

    def run(
        self,
        circuits: Sequence[Circuit],
        *,
        columns: Int[Tensor, "batch column"] | None = None,
        max_bytes: int = 1 << 30,
    ) -> Float[Tensor, "circuit batch column"]:
        """The logits of each circuit at the scored positions: of the whole vocabulary, or of each prompt's `columns`.

        As many circuits run together as fit into `max_bytes`, at least one.

        Raises: DifferentGraphs when a circuit is of another model.
        """
        graph = self.runs.graph
        for circuit in circuits:
            if circuit.graph != graph:
                raise DifferentGraphs(
                    f"a circuit of a model with {circuit.graph.describe()} cannot run on one with {graph.describe()}; "
                    "load the model the circuit was found on"
                )
        if not circuits:
            raise DifferentGraphs("no circuit was given to run; give at least one")
        ablated, parts = AblatedProjections(self.runs), []
        several = max(1, max_bytes // (8 * len(graph.senders) * len(graph.receivers)))
        with torch.no_grad():
            for start in range(0, len(circuits), several):
                masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits[start : start + several]])
                live = Liveness.of(graph, masks.to(self.runs.delta.device))
                parts.append(self._run_distinct(live, ablated, columns, max_bytes))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _run_distinct(
        self, live: Liveness, ablated: AblatedProjections, columns: Int[Tensor, "batch column"] | None, max_bytes: int
    ) -> Float[Tensor, "circuit batch column"]:
        """The logits of circuits, those that keep the same edges run once, and those that keep all not at all."""
        first, same = live.distinct()
        live = live.select(first)
        whole = live.kept.flatten(1).sum(1) == self.runs.graph.n_edges
        rest = (~whole).nonzero()[:, 0]
        parts = [self.runs.reference(columns)[None]] if whole.any() else []
        # per circuit: what its live senders write, eight such for each that runs at once, and a few more
        count, graph = live.live[rest].sum(1), self.runs.graph
        at_once = max([graph.n_heads, *(len(node.receivers) for layer in graph.layers for node in layer.nodes)])
        rows = (
            count + 8 * count.clamp(max=at_once) + 10 + graph.n_heads * self.runs.around // self.runs.delta[0].numel()
        )
        most = max_bytes // (self.runs.delta[0].numel() * self.runs.delta.element_size())
        parts += [
            self.runs.model.unembedding(SparseRun(self.runs, ablated, live.select(rest[some])).final(), columns)
            for some in _groups(rows.tolist(), most)
        ]
        order = torch.cat((whole.nonzero()[:, 0], rest)).argsort()
        return torch.cat(parts)[order[same]]

    def run_masks(
        self,
        masks: Float[Tensor, "circuit receiver sender"],
        *,
        columns: Int[Tensor, "batch column"] | None = None,
    ) -> Float[Tensor, "circuit batch column"]:
        """The logits, as of `run`, when every edge carries a part of what it would in a circuit: 1 all of it, 0 none.

        That is, this part of what the sender writes less what the missing edge would carry; 0 and 1 are the circuits of
        `run`, also in that a node which no path over masks other than 0 joins to `input` writes what the ablated run
        has. Entries that are no edges are not read. All masks run together, and gradients flow back to them.

        Source: Cao et al. 2021 (arXiv:2104.03514), section 3; Bhaskar et al. 2024 (arXiv:2406.16778), section 3, whose
        masks these are.
        """
        runs, graph = self.runs, self.runs.graph
        joined = connected(graph, masks != 0).to(runs.delta.dtype)[..., None, None, None]
        written = runs.delta[:1].expand(len(masks), 1, *runs.delta.shape[1:])
        for layer in runs.layers:
            heads, receivers = layer.indices.heads, layer.indices.receivers
            rows = runs.rows[receivers.start : receivers.stop]
            slots = self._input(masks[:, rows], layer.indices.reads, written)
            parts = zip(SLOTS, slots.view(len(SLOTS), graph.n_heads, *slots.shape[1:]), strict=True)
            q, k, v = (layer.project(slot, residual) for slot, residual in parts)
            wrote = layer.attention(q, k, v) - runs.ablated.outputs[heads.start : heads.stop, None]
            written = torch.cat((written, wrote.transpose(0, 1) * joined[:, heads.start : heads.stop]), dim=1)
            for node in layer.indices.nodes:
                inputs, senders = (slice(some.start, some.stop) for some in (node.receivers, node.senders))
                read = self._input(masks[:, runs.rows[inputs]], node.reads, written)
                every = torch.arange(len(node.senders), device=read.device)
                wrote = layer.node_parts(node, read, every) - runs.ablated.outputs[senders, None]
                written = torch.cat((written, wrote.transpose(0, 1) * joined[:, senders]), dim=1)
        final = self._input(masks[:, runs.rows[-1:]], len(graph.senders), runs.scored(written))[0]
        return runs.model.unembedding(final.squeeze(-2), columns)

    def _input(
        self,
        mask: Float[Tensor, "circuit input span all"],
        read: int,
        written: Float[Tensor, "circuit sender batch pos d_model"],
    ) -> Float[Tensor, "input circuit batch pos d_model"]:
        """What these inputs of nodes, which all may read the senders before `read`, read."""
        some = slice(self.runs.graph.since(read), read)
        kept = self.runs.positions.mix(mask[..., some].to(written.dtype), written[:, some])
        ablated = self.runs.ablated.residuals[read]
        ablated = self.runs.scored(ablated) if written.shape[-2] == 1 else ablated
        return kept.transpose(0, 1) + ablated


def _groups(costs: list[int], most: int) -> Iterator[slice]:
    """Neighbours that cost at most so much together, at least one to a group; none where there are no costs."""
    start = total = 0
    for index, cost in enumerate(costs):
        if index > start and total + cost > most:
            yield slice(start, index)
            start, total = index, 0
        total += cost
    if costs:
        yield slice(start, len(costs))
