"""Models written by hand: nodes that read and write named channels of the residual stream, and the edges that follow.

Which edges matter is known without running anything: those whose sender writes a channel that their receiver reads,
where something reads in turn what the receiver's node writes, up to the logits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import assert_never

from acdc.graphs.ablation import Ablation
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.model.weights import BareLayer, BareWeights
from acdc.graphs.nodes import INPUT, LOGITS, SLOTS, Edge, Node, Receiver

SHARP = 12.0
"""The attention score of what a head looks for; that of anything else is 0."""
LEAK = 0.01
"""How strongly a distractor writes to every channel, relative to what it writes to the distractors' own."""

Reads = Mapping[str, Float[Tensor, "_ _"]]
Writes = tuple[str, Float[Tensor, "_ _"]]


@dataclass(frozen=True)
class Shape:
    """The size of a model, all its layers alike."""

    n_layers: int
    n_heads: int
    d_head: int
    d_mlp: int
    n_tokens: int
    n_context: int


@dataclass(frozen=True)
class Channel:
    """Some dimensions of the residual stream, and between what their content differs: what `varies` names.

    What is `hidden` is zero on every prompt but those with a word that is rare.
    """

    width: int
    varies: Literal["prompts", "positions", "nothing"] = "prompts"
    hidden: bool = False

    def carries(self, ablation: Ablation) -> bool:
        """Whether what stands here, where it is not hidden, differs from what stands in for it."""
        match ablation:
            case Ablation.RESAMPLE | Ablation.MEAN_POSITIONAL:
                return self.varies == "prompts"
            case Ablation.MEAN | Ablation.OPTIMAL:  # a constant is right where nothing varies
                return self.varies != "nothing"
            case Ablation.ZERO:
                return True
            case _:
                assert_never(ablation)


class Board:
    """Weights in the making.

    `input` writes the channels `tokens` and `positions`, one dimension each for every token and position, and
    `one`, which is 1 everywhere. Nodes not written when it is finished become distractors: they read all channels at
    random, compute, and write the channel `rest`, which only they read, and a little to every other channel.
    """

    def __init__(
        self, shape: Shape, channels: Mapping[str, int], generator: torch.Generator, hidden: Collection[str] = ()
    ) -> None:
        self.shape, self._generator = shape, generator
        self._channels = {
            "tokens": Channel(shape.n_tokens),
            "positions": Channel(shape.n_context, "positions"),
            "one": Channel(1, "nothing"),
            **{name: Channel(width, hidden=name in hidden) for name, width in channels.items()},
            "rest": Channel(16),
        }
        self.d_model = sum(channel.width for channel in self._channels.values())
        heads = (shape.n_layers, shape.n_heads)
        self._attention = torch.zeros(3, *heads, self.d_model, shape.d_head, dtype=torch.float64)
        self._output = torch.zeros(*heads, shape.d_head, self.d_model, dtype=torch.float64)
        self._mlp_in = torch.zeros(shape.n_layers, self.d_model, shape.d_mlp, dtype=torch.float64)
        self._mlp_out = torch.zeros(shape.n_layers, shape.d_mlp, self.d_model, dtype=torch.float64)
        self._unembedding = torch.zeros(self.d_model, shape.n_tokens, dtype=torch.float64)
        self._used = [0] * shape.n_layers  # hidden units of every MLP
        self._reads: list[tuple[Receiver, str]] = []
        self._writes = [(INPUT, "tokens"), (INPUT, "positions"), (INPUT, "one")]

    def head(self, layer: int, query: Reads, key: Reads, value: Reads, writes: Writes) -> Node:
        """Write a head nobody has written, drawn at random: what it looks for, finds it by, takes and writes."""
        taken = {node.head for node, _ in self._writes if node.kind == "head" and node.layer == layer}
        free = [head for head in range(self.shape.n_heads) if head not in taken]
        head = free[int(torch.randint(len(free), (), generator=self._generator))]
        node = Node("head", layer, head)
        for index, (slot, reads) in enumerate(zip(SLOTS, (query, key, value), strict=True)):
            scale = SHARP * self.shape.d_head**0.5 if slot == "q" else 1.0
            for name, matrix in reads.items():
                self._attention[index, layer, head, self._span(name), : matrix.shape[1]] = scale * matrix
                self._reads.append((Receiver(node, slot), name))
        name, matrix = writes
        self._output[layer, head, : len(matrix), self._span(name)] = matrix
        self._writes.append((node, name))
        return node

    def mlp(self, layer: int, reads: Reads, writes: Writes) -> None:
        """Write hidden units, rectified, beside those that the layer's MLP has already."""
        node, start = Node("mlp", layer), self._used[layer]
        name, out = writes
        units = slice(start, start + len(out))
        self._used[layer] = units.stop
        for channel, matrix in reads.items():
            self._mlp_in[layer, self._span(channel), units] = matrix
            self._reads.append((Receiver(node), channel))
        self._mlp_out[layer, units, self._span(name)] = out
        self._writes.append((node, name))

    def logits(self, reads: Reads) -> None:
        """Write what the logits are."""
        for name, matrix in reads.items():
            self._unembedding[self._span(name)] = matrix
            self._reads.append((Receiver(LOGITS), name))

    def edges(self, ablation: Ablation, *, hidden: bool = False) -> frozenset[Edge]:
        """The edges that carry what is read on the way to the logits, where missing edges carry something else.

        On ordinary prompts, or with `hidden` on every prompt there is.
        """
        graph = ComputationalGraph(self.shape.n_layers, self.shape.n_heads, self.d_model)
        reached, waiting, found = {LOGITS}, [LOGITS], set()
        while waiting:
            node = waiting.pop()
            for receiver, channel in self._reads:
                for sender, written in self._writes:
                    edge = Edge(sender, *receiver)
                    if receiver.node != node or channel != written or edge not in graph:
                        continue
                    if self._channels[channel].hidden and not hidden:
                        continue
                    if self._channels[channel].carries(ablation):
                        found.add(edge)
                    if sender not in reached:
                        reached.add(sender)
                        waiting.append(sender)
        return frozenset(found)

    def finish(self) -> BareWeights:
        """The weights, distractors included, in a random basis of the residual stream."""
        self._distract()
        basis, _ = torch.linalg.qr(self._normal(self.d_model, self.d_model))
        tokens = torch.zeros(self.shape.n_tokens, self.d_model, dtype=torch.float64)
        tokens[:, self._span("tokens")] = torch.eye(self.shape.n_tokens, dtype=torch.float64)
        tokens[:, self._span("one")] = 1
        positions = torch.zeros(self.shape.n_context, self.d_model, dtype=torch.float64)
        positions[:, self._span("positions")] = torch.eye(self.shape.n_context, dtype=torch.float64)
        query, key, value = basis.T @ self._attention
        output, mlp_in, mlp_out = self._output @ basis, basis.T @ self._mlp_in, self._mlp_out @ basis
        layers = zip(query, key, value, output, mlp_in, mlp_out, strict=True)
        return BareWeights(
            tokens @ basis, positions @ basis, tuple(BareLayer(*layer) for layer in layers), basis.T @ self._unembedding
        )

    def _distract(self) -> None:
        written = {node for node, _ in self._writes}
        shape, width = self.shape, self.d_model
        loudness = torch.full((width,), LEAK, dtype=torch.float64)
        loudness[self._span("rest")] = 1
        quiet = 0.5 / shape.n_heads**0.5  # lest distractors of distractors outgrow all else
        for layer in range(shape.n_layers):
            for head in range(shape.n_heads):
                if Node("head", layer, head) not in written:
                    self._attention[:2, layer, head] = 0.5 * self._normal(2, width, shape.d_head)
                    self._attention[2, layer, head] = self._normal(width, shape.d_head)
                    self._output[layer, head] = quiet * self._normal(shape.d_head, width) / shape.d_head * loudness
            if Node("mlp", layer) not in written:
                self._mlp_in[layer] = self._normal(width, shape.d_mlp)
                self._mlp_out[layer] = self._normal(shape.d_mlp, width) / shape.d_mlp * loudness

    def _span(self, name: str) -> slice:
        start = 0
        for other, channel in self._channels.items():
            if other == name:
                return slice(start, start + channel.width)
            start += channel.width
        raise AssertionError(f"no channel is called {name}")

    def _normal(self, *size: int) -> Float[Tensor, "..."]:
        return torch.randn(*size, generator=self._generator, dtype=torch.float64)
