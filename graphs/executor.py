"""Run many circuits on a batch of prompts in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.errors import DifferentGraphs
from graphs.liveness import Liveness, connected
from graphs.model.transformer import Model
from graphs.runs import Prompts, Runs, prepare
from graphs.sparse_run import Silence, SparseRun


class Executor:
    """Circuits of one model on one batch of prompts of equal length.

    What a receiver reads is the ablated run's residual plus, for every edge kept, what the sender writes in this
    circuit less what the missing edge would carry; the rest is the model's own arithmetic. A node that no path over
    kept edges joins to `input` writes exactly what the ablated run has, whatever the ablation, so that nothing of the
    clean run enters a circuit but over its edges. So the full circuit is the clean run and the empty one the ablated
    run, to rounding.

    Raises: BadTokens when the prompts do not fit each other or the model.
    """

    def __init__(
        self,
        model: Model,
        clean: Int[Tensor, "batch pos"],
        corrupt: Int[Tensor, "batch pos"],
        positions: Int[Tensor, " batch"],
        ablation: Ablation = Ablation.RESAMPLE,
        means: Float[Tensor, "sender 1 _ d_model"] | None = None,
    ) -> None:
        self.runs = prepare(model, Prompts(clean, corrupt, positions), ablation, means)

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
        silence, parts = Silence(self.runs), []
        several = max(1, max_bytes // (8 * len(graph.senders) * len(graph.receivers)))
        with torch.no_grad():
            for start in range(0, len(circuits), several):
                masks = torch.stack([torch.from_numpy(circuit.mask()) for circuit in circuits[start : start + several]])
                alive = Liveness.of(graph, masks.to(self.runs.delta.device))
                parts.append(self._run_distinct(alive, silence, columns, max_bytes))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _run_distinct(
        self, alive: Liveness, silence: Silence, columns: Int[Tensor, "batch column"] | None, max_bytes: int
    ) -> Float[Tensor, "circuit batch column"]:
        """The logits of circuits, those that keep the same edges run once."""
        first, same = alive.distinct()
        alive = alive.select(first)
        # per circuit: what its live senders write, five such for each live head of one layer, and a few more
        live = alive.live.sum(1)
        rows = live + 5 * live.clamp(max=self.runs.graph.n_heads) + 10
        most = max_bytes // (self.runs.delta[0].numel() * self.runs.delta.element_size())
        parts = [
            self.runs.model.unembedding(SparseRun(self.runs, silence, alive.select(some)).final(), columns)
            for some in _groups(rows.tolist(), most)
        ]
        return torch.cat(parts)[same]

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
        receiver = 0  # the first receiver of the layer; what its attention reads has been written
        for index, layer in enumerate(runs.model.layers):
            read = written.shape[1]
            rows = receiver + torch.arange(3 * graph.n_heads, device=masks.device)
            slots = self._input(masks[:, rows, :read], written)
            q, k, v = slots.view(3, graph.n_heads, *slots.shape[1:])
            heads = self._heads(index, q, k, v) - runs.floor.outputs[read : read + graph.n_heads]
            after = torch.cat((written, heads * joined[:, read : read + graph.n_heads]), dim=1)
            receiver += 3 * graph.n_heads
            if layer.mlp is not None:
                mlp = after.shape[1]
                heard = written if graph.parallel else after
                residual = self._input(masks[:, receiver : receiver + 1, : heard.shape[1]], heard)
                wrote = layer.mlp(residual[0]) - runs.floor.outputs[mlp]
                after = torch.cat((after, wrote.unsqueeze(1) * joined[:, mlp : mlp + 1]), dim=1)
                receiver += 1
            written = after
        final = self._input(masks[:, receiver : receiver + 1], runs.scored(written))[0]
        return runs.model.unembedding(final.squeeze(-2), columns)

    def _input(
        self,
        mask: Float[Tensor, "circuit receiver read"],
        written: Float[Tensor, "circuit sender batch pos d_model"],
    ) -> Float[Tensor, "receiver circuit batch pos d_model"]:
        """What these receivers, which all read the same senders, read."""
        n_circuits, n_receivers, read = mask.shape
        kept = mask.to(written.dtype) @ written[:, :read].flatten(2)
        floor = self.runs.floor.residuals[read]
        floor = self.runs.scored(floor) if written.shape[-2] == 1 else floor
        return kept.view(n_circuits, n_receivers, *floor.shape).transpose(0, 1) + floor

    def _heads(
        self,
        index: int,
        q: Float[Tensor, "head circuit batch pos d_model"],
        k: Float[Tensor, "head circuit batch pos d_model"],
        v: Float[Tensor, "head circuit batch pos d_model"],
    ) -> Float[Tensor, "circuit head batch pos d_model"]:
        """What the heads of one layer write, each slot reading its own input."""
        attention, place = self.runs.model.layers[index].attention, self.runs.places[index]
        queries = place.rotate(attention.query(attention.norm(q)))
        keys = place.rotate(attention.key(attention.norm(k)))
        values = attention.value(attention.norm(v))
        out = attention.write(attention.attend(queries, keys, values, place))
        scale = self.runs.scales[index]
        return (out if scale is None else out * scale).transpose(0, 1)


def _groups(costs: list[int], most: int) -> Iterator[slice]:
    """Neighbours that cost at most so much together, at least one to a group."""
    start = total = 0
    for place, cost in enumerate(costs):
        if place > start and total + cost > most:
            yield slice(start, place)
            start, total = place, 0
        total += cost
    yield slice(start, len(costs))
