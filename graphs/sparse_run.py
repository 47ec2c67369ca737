"""Many circuits at once, each only in its live nodes, and these only at the positions where they are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from graphs.liveness import Liveness
from graphs.runs import Runs


@dataclass(frozen=True)
class Selected:
    """Nodes of one layer and kind that run at the same positions, one row each: whose they are and what they are.

    Rows are sorted by circuit; `heads` counts from the first of the layer and is 0 for MLPs.
    """

    circuits: Int[Tensor, " row"]
    heads: Int[Tensor, " row"]
    wide: bool


class Silence:
    """The queries, keys and values of the run without any edge, each computed when first asked for."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: dict[tuple[int, int], Float[Tensor, "head batch pos d_head"]] = {}

    def projected(self, index: int, slot: int, read: int) -> Float[Tensor, "head batch pos d_head"]:
        """Those of all heads of a layer, which read the first `read` senders; slot 0 are queries, 1 keys, 2 values."""
        if (index, slot) not in self._known:
            floor = self._runs.floor.residuals[read]
            heads = torch.arange(self._runs.graph.n_heads, device=floor.device)
            every = Selected(torch.zeros_like(heads), heads, wide=True)
            self._known[index, slot] = _project(self._runs, index, slot, floor.expand(len(heads), *floor.shape), every)
        return self._known[index, slot]


def _project(
    runs: Runs, index: int, slot: int, residual: Float[Tensor, "row batch pos d_model"], chosen: Selected
) -> Float[Tensor, "row batch pos d_head"]:
    attention = runs.model.layers[index].attention
    projection = (attention.query, attention.key, attention.value)[slot]
    projected = projection(attention.norm(residual), chosen.heads)
    if slot == 2:
        return projected
    return (runs.places if chosen.wide else runs.scored_places)[index].rotate(projected)


class SparseRun:
    """One pass over circuits on a batch of prompts.

    What live senders write is kept circuit by circuit, each circuit's in topological order, so that what a receiver may
    read is a prefix of its circuit's part. A slot that no live edge reaches reads the run without any edge, whose
    queries, keys and values are computed once.
    """

    def __init__(self, runs: Runs, silence: Silence, alive: Liveness) -> None:
        self._runs, self._silence, self._alive = runs, silence, alive
        self._counts = alive.live.cumsum(1)
        ends = self._counts[:, -1].cumsum(0)
        self._starts = ends - self._counts[:, -1]
        self._written = runs.delta.new_empty(int(ends[-1]), *runs.delta.shape[1:])
        narrow = (alive.live & ~alive.wide).nonzero(as_tuple=True)  # written at the scored positions only
        self._written[self._starts[narrow[0]] + self._counts[narrow] - 1] = 0
        self._written[self._starts] = runs.delta[0]

    def final(self) -> Float[Tensor, "circuit batch d_model"]:
        """The final residual stream at the scored positions."""
        runs, graph = self._runs, self._runs.graph
        receiver, read = 0, 1  # the first receiver of the layer, and how many senders its attention reads
        for index, layer in enumerate(runs.model.layers):
            for chosen in self._choose(read, graph.n_heads):
                self._write(chosen, read, self._heads(index, chosen, receiver, read))
            receiver, mlp = receiver + 3 * graph.n_heads, read + graph.n_heads
            if layer.mlp is not None:
                for chosen in self._choose(mlp, 1):
                    rows = torch.full_like(chosen.heads, receiver)
                    reads = read if graph.parallel else mlp
                    self._write(chosen, mlp, layer.mlp(self._input(chosen, rows, reads)))
                receiver += 1
            read = mlp + graph.has_mlp
        every = torch.arange(len(self._starts), device=self._starts.device)
        logits = Selected(every, torch.zeros_like(every), wide=False)
        return self._input(logits, torch.full_like(every, receiver), read).squeeze(-2)

    def _choose(self, first: int, count: int) -> list[Selected]:
        """The live ones of `count` senders from `first`: those that run at every position and those that do not."""
        columns = slice(first, first + count)
        live, wide = self._alive.live[:, columns], self._alive.wide[:, columns]
        chosen = []
        for which, at_every_position in ((wide, True), (live & ~wide, False)):
            circuits, heads = which.nonzero(as_tuple=True)
            chosen.append(Selected(circuits, heads, at_every_position))
        return [each for each in chosen if len(each.circuits)]

    def _input(self, chosen: Selected, rows: Int[Tensor, " row"], read: int) -> Float[Tensor, "row batch pos d_model"]:
        """What receivers of the chosen nodes, which all read the first `read` senders, read."""
        floor = self._runs.floor.residuals[read]
        floor = floor if chosen.wide else self._runs.scored(floor)
        result = floor.new_empty(len(rows), *floor.shape)
        start = 0
        for circuit, count in enumerate(chosen.circuits.bincount().tolist()):
            if not count:
                continue
            first, senders = self._starts[circuit], self._alive.live[circuit, :read].nonzero()[:, 0]
            weights = self._alive.kept[circuit, rows[start : start + count, None], senders].to(floor.dtype)
            written = self._written[first : first + len(senders)]
            written = written if chosen.wide else self._runs.scored(written)
            torch.addmm(floor.flatten(), weights, written.flatten(1), out=result[start : start + count].flatten(1))
            start += count
        return result

    def _heads(self, index: int, chosen: Selected, receiver: int, read: int) -> Float[Tensor, "row batch pos d_model"]:
        runs, attention = self._runs, self._runs.model.layers[index].attention
        place = runs.places[index] if chosen.wide else runs.scored_places[index]
        n_heads = runs.graph.n_heads
        queries, keys, values = (
            self._slot(index, slot, chosen, receiver + slot * n_heads + chosen.heads, read) for slot in range(3)
        )
        out = attention.write(attention.attend(queries, keys, values, place), chosen.heads)
        scale = runs.scales[index]
        if scale is None:
            return out
        return out * (scale if chosen.wide else runs.scored(scale))

    def _slot(
        self, index: int, slot: int, chosen: Selected, rows: Int[Tensor, " row"], read: int
    ) -> Float[Tensor, "row batch pos d_head"]:
        """The queries (slot 0), keys or values of these heads; keys and values at every position."""
        wide = chosen.wide or slot > 0
        out = self._silence.projected(index, slot, read)
        out = (out if wide else self._runs.scored(out))[chosen.heads]
        heard = self._alive.kept[chosen.circuits, rows].any(1).nonzero()[:, 0]
        if len(heard):
            some = Selected(chosen.circuits[heard], chosen.heads[heard], wide)
            out[heard] = _project(self._runs, index, slot, self._input(some, rows[heard], read), some)
        return out

    def _write(self, chosen: Selected, first: int, wrote: Float[Tensor, "row batch pos d_model"]) -> None:
        """Note what these senders, the heads counted from `first`, write, less what missing edges carry."""
        runs, senders = self._runs, first + chosen.heads
        ablated = runs.floor.outputs[senders].expand(len(senders), *runs.delta.shape[1:])
        places = self._starts[chosen.circuits] + self._counts[chosen.circuits, senders] - 1
        if chosen.wide or wrote.shape[-2] == runs.delta.shape[-2]:
            self._written[places] = wrote.sub_(ablated)
        else:
            rows = torch.arange(len(runs.positions), device=places.device)
            self._written[places[:, None], rows, runs.positions] = (wrote - runs.scored(ablated)).squeeze(-2)
