"""The clean and the ablated run between which every circuit of a batch of prompts lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import assert_never

from acdc.graphs.ablation import Ablation
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.errors import BadTokens, NoConstants
from acdc.graphs.execution.layer import LayerRun, Surroundings, layer_runs
from acdc.graphs.execution.spans import Positions, rows_of
from acdc.graphs.execution.tokens import Tokens
from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.parts import Scales
from acdc.graphs.model.transformer import Model

_MOST_OF_ALL = 0.95


@dataclass(frozen=True)
class TokenPairs:
    """Clean and corrupt prompts of one length, and the position of each at which logits are read.

    `spans` says, for a graph with spans, of which of them each position of a pair is, by number.

    Raises: BadTokens when they do not fit each other.
    """

    clean: Int[Tensor, "batch pos"]
    corrupt: Int[Tensor, "batch pos"]
    scored_positions: Int[Tensor, " batch"]
    spans: Int[Tensor, "batch pos"] | None = None

    def __post_init__(self) -> None:
        if self.clean.shape != self.corrupt.shape:
            raise BadTokens(
                f"clean prompts have shape {tuple(self.clean.shape)}, corrupt ones {tuple(self.corrupt.shape)}; "
                "every pair must be of one length, and a batch of one length throughout"
            )
        if self.spans is not None and self.spans.shape != self.clean.shape:
            raise BadTokens(
                f"spans are given as {tuple(self.spans.shape)} for prompts of shape {tuple(self.clean.shape)}; "
                "wanted one for each position"
            )
        length = self.clean.shape[1]
        if (
            len(self.scored_positions)
            and not 0 <= int(self.scored_positions.min()) <= int(self.scored_positions.max()) < length
        ):
            raise BadTokens(
                f"scored positions {self.scored_positions.tolist()} are not all inside prompts of {length} tokens"
            )


@dataclass(frozen=True)
class AblatedRun:
    """The run without any edge: what missing edges carry, and the residual stream they make.

    `residuals` is keyed by how many senders its reader reads; attention biases, which belong to no node, are included.
    Where only some tokens are held, `surroundings` are, layer by layer, what the others are for attention.
    """

    outputs: Float[Tensor, "sender #batch #pos d_model"]
    residuals: dict[int, Float[Tensor, "batch pos d_model"]]
    surroundings: tuple[Surroundings, ...] = ()


@dataclass(frozen=True)
class Runs:
    """What the executors start from.

    `delta` is what each sender writes in the clean run less what its missing edges carry; `scales`, of norms that
    span heads, are those of the clean run and frozen. Of runs that are `confined` everything is that of some tokens
    only, [1, token] instead of [batch, pos]: of all at which any circuit differs from the ablated run.
    """

    model: Model
    delta: Float[Tensor, "sender batch pos d_model"]
    ablated: AblatedRun
    positions: Positions
    geometries: tuple[Geometry, ...]
    scales: tuple[Scales, ...]

    def __repr__(self) -> str:
        return f"<Runs: {len(self.scored_positions):,} prompts of {self.length} tokens on {self.model!r}>"

    @property
    def graph(self) -> ComputationalGraph:
        """The model's computational graph."""
        return self.model.graph

    @cached_property
    def layers(self) -> tuple[LayerRun, ...]:
        """Every layer of the model on these prompts."""
        around = self.ablated.surroundings
        return layer_runs(self.model, self.geometries, self.scored_positions, self.scales, self.scored, around)

    @property
    def around(self) -> int:
        """How many numbers a head's queries, keys and values take when they are put among those of whole prompts."""
        return 3 * self.ablated.surroundings[0].keys[0].numel() if self.ablated.surroundings else 0

    @property
    def length(self) -> int:
        """How long the prompts are."""
        tokens = self.positions.tokens
        return self.delta.shape[-2] if tokens is None else tokens.length

    @property
    def scored_positions(self) -> Int[Tensor, " batch"]:
        """The position of each prompt at which logits are read."""
        return self.positions.scored

    @cached_property
    def rows(self) -> Int[Tensor, "input span"]:
        """The receivers that every input of the graph without spans is, by number; the logits are one at all spans."""
        return rows_of(self.graph).to(self.delta.device)

    def scored(self, x: Float[Tensor, "*lead _ pos d"]) -> Float[Tensor, "*lead batch 1 d"]:
        """x at each prompt's scored position, or x itself where it is already there."""
        return self.positions.at_scored(x)

    def _changing(self) -> Tokens | None:
        """At which positions of which prompts what a circuit loses can reach what is scored, and those that are scored.

        Before them a prompt is the same in both runs, and of a causal model nothing after the scored one is read. A
        position behind the first that differs may be the same in both runs and differ in a circuit. None where it saves
        little, or kernels cost more to start than to run.
        """
        _, prompts, positions, _ = self.ablated.outputs.shape
        shared = prompts < self.delta.shape[1] and positions > 1  # what would then be held for every prompt
        if self.delta.device.type != "cpu" or shared:
            return None
        differs = torch.stack([delta.ne(0).any(-1) for delta in self.delta]).any(0)
        if self.model.is_causal:
            differs = differs.cummax(1).values
            differs &= torch.arange(differs.shape[1]) <= self.scored_positions[:, None]
        else:
            differs = differs.any(1, keepdim=True).repeat(1, differs.shape[1])
        differs[torch.arange(len(differs)), self.scored_positions] = True
        if float(differs.double().mean()) > _MOST_OF_ALL:
            return None
        return Tokens(differs.flatten().nonzero().squeeze(1), *differs.shape)

    def confined(self) -> Runs:
        """The same of those tokens only at which a circuit can differ from the ablated run, if that saves much.

        All circuits run on them as they do on whole prompts.
        """
        if self.positions.tokens is not None or (tokens := self._changing()) is None:
            return self
        surroundings = []
        for layer in self.layers:
            residual = self.ablated.residuals[layer.indices.reads]
            keys, values = (layer.project_all(slot, residual) for slot in ("k", "v"))
            surroundings.append(Surroundings(tokens, layer.geometry, keys, values))
        residuals = {read: tokens.take(residual) for read, residual in self.ablated.residuals.items()}
        ablated = AblatedRun(tokens.take(self.ablated.outputs), residuals, tuple(surroundings))
        scales = tuple(each.map(tokens.take) for each in self.scales)
        return Runs(self.model, tokens.take(self.delta), ablated, self.positions.at(tokens), self.geometries, scales)

    @cached_property
    def _clean_residuals(self) -> dict[int, Float[Tensor, "batch pos d_model"]]:
        residuals, total, start, first = {}, torch.zeros_like(self.delta[0]), 0, 0
        for read, ablated in self.ablated.residuals.items():
            if (since := self.graph.since(read)) > first:  # what stands before is in the parts of the residual stream
                total, start, first = torch.zeros_like(total), since, since
            total = total + self.delta[start:read].sum(0)
            residuals[read], start = ablated + total, read
        return residuals

    def clean_residual(self, read: int) -> Float[Tensor, "batch pos d_model"]:
        """The clean run's residual stream where `read` senders have written."""
        return self._clean_residuals[read]

    def select(self, prompts: Int[Tensor, " some"]) -> Runs:
        """The runs of some of the prompts, no longer than these need."""
        end = int(self.scored_positions[prompts].max()) + 1 if self.model.is_causal else self.length
        positions, part = self.positions.select(prompts, end)
        tokens, around = positions.tokens, self.ablated.surroundings
        around = () if tokens is None else tuple(each.select(prompts, end, tokens) for each in around)
        residuals = {read: part(residual) for read, residual in self.ablated.residuals.items()}
        ablated = AblatedRun(part(self.ablated.outputs), residuals, around)
        scales = tuple(each.map(part) for each in self.scales)
        geometries = tuple(geometry.first(end) for geometry in self.geometries)
        return Runs(self.model, part(self.delta), ablated, positions, geometries, scales)

    def reference(self, columns: Int[Tensor, "batch column"] | None = None) -> Float[Tensor, "batch column"]:
        """The full model's logits on the clean prompts at the scored positions, of these columns or of all."""
        final = self.scored(self.clean_residual(len(self.graph.senders)))
        return self.model.unembedding(final.squeeze(-2), columns)

    def none(self, columns: Int[Tensor, "batch column"] | None = None) -> Float[Tensor, "batch column"]:
        """The logits of the circuit without edges at the scored positions, of these columns or of all."""
        final = self.scored(self.ablated.residuals[len(self.graph.senders)])
        return self.model.unembedding(final.squeeze(-2), columns)


def prepare(
    model: Model,
    prompts: TokenPairs,
    ablation: Ablation,
    constants: Float[Tensor, "sender 1 _ d_model"] | None = None,
    *,
    confined: bool = False,
) -> Runs:
    """The runs of a batch of prompts, `confined` to what can differ in a circuit where that is asked for.

    `constants` are what missing edges carry under the mean ablations, from `mean_outputs` (None: of this batch), and
    under optimal ablation. Means are those of whole prompts; the runs of a causal model end at the last scored
    position, since nothing that is scored can read what follows.

    Raises: BadTokens; NoConstants.
    """
    model.check(prompts.clean)
    model.check(prompts.corrupt)
    last = end(model, prompts)
    if constants is None:
        constants = mean_outputs(model, [prompts.corrupt], ablation)
    clean, corrupt = (model.embed(part[:, :last].to(model.device)) for part in (prompts.clean, prompts.corrupt))
    with torch.no_grad():
        positions = positions_of(model, prompts)
        runs = between(model, clean, corrupt, positions, ablation, constants, prompts.clean.shape[1])
        return runs.confined() if confined else runs


def end(model: Model, prompts: TokenPairs) -> int:
    """The length to which prompts are run."""
    return int(prompts.scored_positions.max()) + 1 if model.is_causal else prompts.clean.shape[1]


def positions_of(model: Model, prompts: TokenPairs) -> Positions:
    """Where prompts are scored, and the span of each of their positions if the model's graph has spans.

    Raises: BadTokens when the graph has spans and the prompts do not say of which their positions are.
    """
    graph, spans = model.graph, prompts.spans
    if not graph.spans:
        return Positions(prompts.scored_positions)
    if spans is None:
        raise BadTokens(
            f"the graph has edges by position ({', '.join(graph.spans)}), and the prompts do not say of which span "
            "their positions are; give `spans` with the tokens, or take the model without spans"
        )
    return Positions(prompts.scored_positions, spans[:, : end(model, prompts)], len(graph.spans))


def between(
    model: Model,
    clean: Float[Tensor, "batch pos d_model"],
    corrupt: Float[Tensor, "batch pos d_model"],
    positions: Positions,
    ablation: Ablation,
    constants: Float[Tensor, "sender 1 _ d_model"] | None,
    length: int | None = None,
) -> Runs:
    """The runs that start from these embeddings, as `Model.embed` makes them; gradients flow back to both.

    `length` is that of the whole prompts, if these are only their beginnings: rotary embeddings may depend on it.
    """
    geometries = model.geometries(length or clean.shape[1], clean.shape[1])
    ran = model.trace(clean, geometries)
    outputs = _ablated(model, corrupt, geometries, ablation, constants)
    ablated = AblatedRun(outputs, residuals_of(model, outputs, ran.outputs.shape[1:]))
    delta = ran.outputs.sub_(outputs)
    return Runs(model, delta, ablated, positions.to(model.device), geometries, ran.scales)


def mean_outputs(
    model: Model, batches: Sequence[Int[Tensor, "_ _"]], ablation: Ablation
) -> Float[Tensor, "sender 1 pos d_model"] | None:
    """The mean of every sender's output over all these corrupt prompts, for the mean ablations; None for the others.

    The position axis is 1 for the mean over positions too, and otherwise as long as the longest prompt, each position
    averaged over the prompts that reach it.
    """
    match ablation:
        case Ablation.RESAMPLE | Ablation.ZERO | Ablation.OPTIMAL:
            return None
        case Ablation.MEAN | Ablation.MEAN_POSITIONAL:
            pass
        case _:
            assert_never(ablation)
    longest = max(batch.shape[1] for batch in batches)
    total = torch.zeros(
        len(model.graph.senders), 1, longest, model.graph.d_model, dtype=torch.float64, device=model.device
    )
    count = torch.zeros(longest, 1, dtype=torch.float64, device=model.device)
    with torch.no_grad():
        for batch in batches:
            tokens = batch.to(model.device)
            outputs = model.trace(model.embed(tokens), model.geometries(tokens.shape[1])).outputs
            total[:, 0, : tokens.shape[1]] += outputs.sum(1, dtype=torch.float64)
            count[: tokens.shape[1]] += len(tokens)
    if ablation is Ablation.MEAN:
        total, count = total.sum(2, keepdim=True), count.sum(0, keepdim=True)
    return (total / count).to(model.dtype)


def _ablated(
    model: Model,
    corrupt: Float[Tensor, "batch pos d_model"],
    geometries: tuple[Geometry, ...],
    ablation: Ablation,
    constants: Float[Tensor, "sender 1 _ d_model"] | None,
) -> Float[Tensor, "sender #batch #pos d_model"]:
    match ablation:
        case Ablation.RESAMPLE:
            return model.trace(corrupt, geometries).outputs
        case Ablation.MEAN | Ablation.MEAN_POSITIONAL | Ablation.OPTIMAL:
            if constants is None:
                raise NoConstants(
                    f"nothing says what missing edges carry under {ablation.value} ablation: got no constants, wanted "
                    "one vector for each sender; give those that were learned, or take another ablation"
                )
            return constants if constants.shape[2] == 1 else constants[:, :, : corrupt.shape[1]]
        case Ablation.ZERO:
            width = model.graph.d_model
            return torch.zeros(len(model.graph.senders), 1, 1, width, dtype=model.dtype, device=model.device)
        case _:
            assert_never(ablation)


def residuals_of(
    model: Model, ablated: Float[Tensor, "sender #batch #pos d_model"], shape: Sequence[int]
) -> dict[int, Float[Tensor, "batch pos d_model"]]:
    """The residual stream of this shape that these outputs make, by how many senders its reader reads."""
    residual = ablated[0].expand(shape).clone()
    residuals = {}
    for layer, indices in zip(model.layers, model.graph.layers, strict=True):
        heads = indices.heads
        residuals[indices.reads] = residual
        residual = residual + ablated[heads.start : heads.stop].sum(0) + layer.attention.output.bias
        for node in indices.nodes:
            residuals.setdefault(node.reads, residual)  # where an MLP reads with the heads, what these read
            residual = layer.after_node(node.kind, residual, ablated[node.senders.start : node.senders.stop])
    residuals[len(ablated)] = residual
    return residuals
