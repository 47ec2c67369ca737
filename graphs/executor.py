"""Run many circuits on a batch of prompts in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from graphs.ablation import Ablation
from graphs.circuit import Circuit
from graphs.errors import DifferentGraphs
from graphs.model.transformer import Model
from graphs.runs import Prompts, Runs, prepare


class Executor:
    """Circuits of one model on one batch of prompts of equal length.

    What a receiver reads is the ablated run's residual plus, for every edge kept, what the sender writes in this
    circuit less what the missing edge would carry; the rest is the model's own arithmetic. So the full circuit is the
    clean run and the empty one the ablated run, to rounding.

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
        # per circuit: what every sender writes, the inputs of one layer's heads in three slots, and a few like them
        one = self.runs.delta[0].numel() * self.runs.delta.element_size() * (len(graph.senders) + 6 * graph.n_heads)
        size = max(1, max_bytes // one)
        with torch.no_grad():
            masks = [torch.from_numpy(circuit.mask()).to(self.runs.delta.device) for circuit in circuits]
            parts = [
                self._run(torch.stack(masks[start : start + size]), columns) for start in range(0, len(masks), size)
            ]
        return torch.cat(parts)

    def run_masks(
        self,
        masks: Float[Tensor, "circuit receiver sender"],
        *,
        columns: Int[Tensor, "batch column"] | None = None,
    ) -> Float[Tensor, "circuit batch column"]:
        """The logits, as of `run`, when every edge carries a part of what it would in a circuit: 1 all of it, 0 none.

        That is, this part of what the sender writes less what the missing edge would carry; 0 and 1 are the circuits of
        `run`. Entries that are no edges are not read. All masks run together, and gradients flow back to them.

        Source: Cao et al. 2021 (arXiv:2104.03514), section 3; Bhaskar et al. 2024 (arXiv:2406.16778), section 3, whose
        masks these are.
        """
        return self._run(masks, columns)

    def _run(
        self,
        mask: Bool[Tensor, "circuit receiver sender"] | Float[Tensor, "circuit receiver sender"],
        columns: Int[Tensor, "batch column"] | None,
    ) -> Float[Tensor, "circuit batch column"]:
        runs, graph = self.runs, self.runs.graph
        everything = mask.requires_grad  # what an edge of weight 0 would bring is part of the gradient
        written = runs.delta.new_zeros(len(mask), *runs.delta.shape)
        written[:, 0] = runs.delta[0]
        receiver, read = 0, 1  # the first receiver of the layer, and how many senders its attention reads
        for index, layer in enumerate(runs.model.layers):
            heads = torch.arange(graph.n_heads, device=mask.device)
            heard = mask[:, :, read : read + graph.n_heads].any(dim=0).any(dim=0)
            used = heads if everything else heads[heard]
            if len(used):
                rows = [receiver + slot * graph.n_heads + used for slot in range(3)]
                q, k, v = (self._input(mask[:, row, :read], written) for row in rows)
                wrote = self._heads(index, used, q, k, v) - runs.floor.outputs[read + used]
                written = _with(written, read, used, wrote, apart=everything)
            receiver, mlp = receiver + 3 * graph.n_heads, read + graph.n_heads
            if layer.mlp is not None:
                if everything or mask[:, :, mlp].any():
                    residual = self._input(mask[:, receiver : receiver + 1, : read if graph.parallel else mlp], written)
                    wrote = (layer.mlp(residual[0]) - runs.floor.outputs[mlp]).unsqueeze(1)
                    written = _with(written, mlp, heads[:1], wrote, apart=everything)
                receiver += 1
            read = mlp + graph.has_mlp
        final = self._input(mask[:, receiver : receiver + 1], runs.scored(written))[0]
        return runs.model.unembedding(final.squeeze(-2), columns)

    def _input(
        self,
        mask: Bool[Tensor, "circuit receiver read"] | Float[Tensor, "circuit receiver read"],
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
        heads: Int[Tensor, " head"],
        q: Float[Tensor, "head circuit batch pos d_model"],
        k: Float[Tensor, "head circuit batch pos d_model"],
        v: Float[Tensor, "head circuit batch pos d_model"],
    ) -> Float[Tensor, "circuit head batch pos d_model"]:
        """What these heads of one layer write, each slot reading its own input."""
        attention, place = self.runs.model.layers[index].attention, self.runs.places[index]
        queries = place.rotate(attention.query(attention.norm(q), heads))
        keys = place.rotate(attention.key(attention.norm(k), heads))
        values = attention.value(attention.norm(v), heads)
        out = attention.write(attention.attend(queries, keys, values, place), heads)
        scale = self.runs.scales[index]
        return (out if scale is None else out * scale).transpose(0, 1)


def _with(
    written: Float[Tensor, "circuit _ batch pos d_model"],
    before: int,
    places: Int[Tensor, " sender"],
    wrote: Float[Tensor, "circuit sender batch pos d_model"],
    *,
    apart: bool,
) -> Float[Tensor, "circuit _ batch pos d_model"]:
    """What is written once the senders at these places, counted from `before`, have written too.

    With `apart` a tensor of its own, since gradients need what was read before as it was; all places must then write.
    """
    if apart:
        return torch.cat((written[:, :before], wrote), dim=1)
    written[:, before + places] = wrote
    return written
