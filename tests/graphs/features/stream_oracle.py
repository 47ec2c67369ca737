"""The oracle of split attention and residual streams: their parts, worked out by hooks of the bridge.

What attention writes is the sum of what its heads are seen to write. A residual stream that is split has no module of
its own: what its node reads is added up from its edges when the first receiver behind it asks for its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.edge_names import Anatomy
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.oracle import ablate, anatomy_of, of_circuit
from tests.graphs.oracle_hooks import Outputs, frozen, note_senders, overwrite_receivers, receivers_apart, scales_of

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
            reads[f"m{layer}"] = before if self.parallel else now
            now = now + list(self.parts.get(layer, (f"m{layer}",)))
            if (post := f"r{layer}") in self.split:
                reads[post], now = now, list(self.split[post])
        return reads | {"logits": now}

    def joined(self, edges: set[str]) -> set[str]:
        found, before = {"input"}, 0
        while len(found) > before:
            before = len(found)
            found |= {edge.split("->")[1].split("<")[0] for edge in edges if edge.split("->")[0] in found}
            found |= {name.split(".")[0] for name in found if ".h" in name}
            found |= {part for node, parts in self.split.items() if node in found for part in parts}
        return found

    def attention_layers_before(self, receiver: str) -> int:
        if receiver[0] == "r":
            return int(receiver[1:].removesuffix("mid")) + 1
        return super().attention_layers_before(receiver)

    def first_bias_read(self, receiver: str) -> int:
        sources = [name.split(".")[0] for name in self.reads()[receiver] if name[0] == "r"]
        return max((self.attention_layers_before(name) for name in sources), default=0)


def features(names: tuple[str, ...], encoder: Tensor, bias: Tensor, decoder: Tensor, chosen: list[int]) -> Parts:
    """ReLU features of what is split: those chosen, the others, and what all of them leave over."""

    def parts(whole: Tensor) -> list[Tensor]:
        every = [(whole @ encoder[:, f] + bias[f]).clamp(min=0)[..., None] * decoder[f] for f in range(len(decoder))]
        rest = sum((each for f, each in enumerate(every) if f not in chosen), start=torch.zeros_like(whole))
        made = [*(every[f] for f in chosen), rest, whole - sum(every)]
        assert len(made) == len(names)
        return made

    return parts


class _Noted(dict[str, Tensor]):
    """What senders write in one run; parts are worked out when they are first asked for."""

    def __init__(self, bridge: TransformerBridge, anatomy: StreamAnatomy, parts: Mapping[str, Parts], carried: Any):
        super().__init__()
        self.bridge, self.anatomy, self.parts, self.carried = bridge, anatomy, parts, carried

    def __missing__(self, sender: str) -> Tensor:
        node = sender.split(".")[0]
        if node[0] == "a":
            whole = sum((self[head] for head in self.anatomy.heads(int(node[1:]))), start=torch.zeros(()))
            bias = self.bridge.blocks[int(node[1:])].attn.b_O
            made = self.parts[node](whole if bias is None else whole + bias)
            if bias is not None:  # which the dictionary reads, and which is no part's
                made[-1] = made[-1] - bias
        else:
            made = self.parts[node](self._read(node))
        self.update(zip(self.anatomy.split[node], made, strict=True))
        return self[sender]

    def _read(self, node: str) -> Tensor:
        total = torch.zeros_like(self["input"])
        for layer in range(self.anatomy.first_bias_read(node), self.anatomy.attention_layers_before(node)):
            bias = self.bridge.blocks[layer].attn.b_O
            total = total if bias is None else total + bias
        for sender in self.anatomy.reads()[node]:
            total = total + self.carried(f"{sender}->{node}", self[sender])
        return total


def stream_logits(
    bridge: TransformerBridge,
    prompts: tuple[Tensor, Tensor, Tensor],
    split: Mapping[str, tuple[tuple[str, ...], Parts]],
    edges: set[str],
    ablation: str,
) -> Tensor:
    """The circuit's logits at the scored positions, one forward pass through hooks; `split` has names and parts."""
    clean, corrupt, positions = prompts
    whole = anatomy_of(bridge)
    anatomy = StreamAnatomy(
        whole.n_layers,
        whole.n_heads,
        parallel=whole.parallel,
        split={node: names for node, (names, _) in split.items()},
    )
    parts = {node: each for node, (_, each) in split.items()}
    if unknown := edges - set(anatomy.edges()):
        raise ValueError(f"the model has no edges {sorted(unknown)[:3]}")

    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        written = _Noted(bridge, anatomy, parts, lambda edge, out: out)
        scales = scales_of(bridge, corrupt)
        with frozen(scales):
            bridge.run_with_hooks(corrupt, fwd_hooks=note_senders(anatomy, bridge, written, scales.heads))
        senders = {sender for senders in anatomy.reads().values() for sender in senders}
        ablated: Outputs = ablate({sender: written[sender] for sender in senders}, ablation)
        carried = of_circuit(anatomy, edges)
        outputs = _Noted(bridge, anatomy, parts, lambda edge, out: carried(edge, out, ablated[edge.split("->")[0]]))
        scales = scales_of(bridge, clean)
        hooks = note_senders(anatomy, bridge, outputs, scales.heads)
        hooks += overwrite_receivers(anatomy, bridge, carried, outputs, ablated)
        with frozen(scales):
            logits: Tensor = bridge.run_with_hooks(clean, fwd_hooks=hooks)
    return logits[torch.arange(len(positions)), positions]
