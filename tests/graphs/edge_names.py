"""Which senders every receiver reads, in names: written out here a second time, so as not to trust `graphs` for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Anatomy:
    """The size of a transformer, and whether attention and MLP of a layer read the same residual.

    `parts` names, by layer, the senders that its MLP is split into; with `parts_read` they are receivers too.
    """

    n_layers: int
    n_heads: int
    has_mlp: bool = True
    parallel: bool = False
    parts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    parts_read: bool = False

    def heads(self, layer: int) -> list[str]:
        return [f"a{layer}.h{head}" for head in range(self.n_heads)]

    def mlp_readers(self, layer: int) -> tuple[str, ...]:
        """The receivers that a layer's MLP is."""
        return self.parts.get(layer, (f"m{layer}",)) if self.parts_read else (f"m{layer}",)

    def before(self, layer: int) -> list[str]:
        """The senders before a layer, in the order in which they write."""
        senders = ["input"]
        for earlier in range(layer):
            senders += self.heads(earlier)
            if self.has_mlp:
                senders += self.parts.get(earlier, (f"m{earlier}",))
        return senders

    def reads(self) -> dict[str, list[str]]:
        """For every receiver, the senders before it."""
        reads = {}
        for layer in range(self.n_layers):
            for slot in "qkv":
                for head in self.heads(layer):
                    reads[f"{head}<{slot}>"] = self.before(layer)
            if self.has_mlp:
                for name in self.mlp_readers(layer):
                    reads[name] = self.before(layer) + ([] if self.parallel else self.heads(layer))
        return reads | {"logits": self.before(self.n_layers)}

    def edges(self) -> list[str]:
        """Every edge, by receiver and then by sender."""
        return [f"{sender}->{receiver}" for receiver, senders in self.reads().items() for sender in senders]

    def joined(self, edges: set[str]) -> set[str]:
        """The senders that a path over these edges joins to the input."""
        found, before = {"input"}, 0
        while len(found) > before:
            before = len(found)
            found |= {edge.split("->")[1].split("<")[0] for edge in edges if edge.split("->")[0] in found}
            found |= self.written_by(found)
        return found

    def written_by(self, readers: set[str]) -> set[str]:
        """The parts of these nodes that read as a whole."""
        return {part for layer, parts in self.parts.items() if f"m{layer}" in readers for part in parts}

    def attention_layers_before(self, receiver: str) -> int:
        """How many layers' attention has written to the residual stream when the receiver reads it."""
        if receiver == "logits":
            return self.n_layers
        layer = int(receiver[1:].split(".")[0])
        return layer + (receiver.startswith("m") and not self.parallel)

    def mlp_layers_before(self, receiver: str) -> int:
        """The same of MLPs."""
        return self.n_layers if receiver == "logits" else int(receiver[1:].split(".")[0])

    def stream_before(self, receiver: str) -> str | None:
        """The split residual stream whose parts the receiver reads, in place of all that stands before."""
        return None
