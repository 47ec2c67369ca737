"""The oracle of split attention and residual streams: their parts, worked out by hooks of the bridge.

What attention writes is the sum of what its heads are seen to write. A residual stream that is split has no module of
its own: what its node reads is added up from its edges when the first receiver behind it asks for its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.edge_names import Anatomy

Parts = Callable[[Tensor], list[Tensor]]
"""From what is split to what its parts are, in their order."""


@dataclass(frozen=True)
class StreamAnatomy(Anatomy):
    """A transformer in which what layers' attention writes (`a0`) or residual streams (`r0mid`, `r1`) are split."""

    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def reads(self) -> dict[str, list[str]]:
        reads, now = {}, ["input"]
        for layer in range(self.n_layers):
            before = list(now)
            reads |= {f"{head}<{slot}>": before for slot in "qkv" for head in self.heads(layer)}
            now = now + list(self.split.get(f"a{layer}", self.heads(layer)))
            if (mid := f"r{layer}mid") in self.split:
                reads[mid], now = now, list(self.split[mid])
            reads |= dict.fromkeys(self.mlp_readers(layer), before if self.parallel else now)
            now = now + list(self.parts.get(layer, (f"m{layer}",)))
            if (post := f"r{layer}") in self.split:
                reads[post], now = now, list(self.split[post])
        return reads | {"logits": now}

    def written_by(self, readers: set[str]) -> set[str]:
        nodes = readers | {name.split(".")[0] for name in readers if ".h" in name}
        parts = {part for node, parts in self.split.items() if node in nodes for part in parts}
        return super().written_by(readers) | parts

    def attention_layers_before(self, receiver: str) -> int:
        if receiver[0] == "r":
            return int(receiver[1:].removesuffix("mid")) + 1
        return super().attention_layers_before(receiver)

    def mlp_layers_before(self, receiver: str) -> int:
        if receiver[0] == "r":
            return int(receiver[1:].removesuffix("mid")) + (not receiver.endswith("mid"))
        return super().mlp_layers_before(receiver)

    def stream_before(self, receiver: str) -> str | None:
        return next((name.split(".")[0] for name in self.reads()[receiver] if name[0] == "r"), None)


def features(names: tuple[str, ...], encoder: Tensor, bias: Tensor, decoder: Tensor, chosen: list[int]) -> Parts:
    """ReLU features of what is split: those chosen, the others, and what all of them leave over."""

    def parts(whole: Tensor) -> list[Tensor]:
        every = [(whole @ encoder[:, f] + bias[f]).clamp(min=0)[..., None] * decoder[f] for f in range(len(decoder))]
        rest = sum((each for f, each in enumerate(every) if f not in chosen), start=torch.zeros_like(whole))
        made = [*(every[f] for f in chosen), rest, whole - sum(every)]
        assert len(made) == len(names)
        return made

    return parts


class NotedOutputs(dict[str, Tensor]):
    """What senders write in one run; parts are worked out when they are first asked for, from what `read` says."""

    read: Callable[[str], Tensor]

    def __init__(self, bridge: TransformerBridge, anatomy: StreamAnatomy, parts: Mapping[str, Parts]) -> None:
        super().__init__()
        self.bridge, self.anatomy, self.parts = bridge, anatomy, parts

    def __missing__(self, sender: str) -> Tensor:
        node = sender.split(".")[0]
        if node[0] == "a":
            whole = sum((self[head] for head in self.anatomy.heads(int(node[1:]))), start=torch.zeros(()))
            bias = self.bridge.blocks[int(node[1:])].attn.b_O
            made = self.parts[node](whole if bias is None else whole + bias)
            if bias is not None:  # which the dictionary reads, and which is no part's
                made[-1] = made[-1] - bias
        else:
            made = self.parts[node](self.read(node))
        self.update(zip(self.anatomy.split[node], made, strict=True))
        return self[sender]
