"""The hooks by which the oracle sees what every sender writes, and says what every receiver reads.

Where TransformerLens's bridge runs attention itself, it lets each head's input be hooked. Where it leaves attention to
the original code, what a head makes of its input is worked out here, with the norm's own module, and put in the place
of the queries, keys or values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.edge_names import Anatomy

Outputs = dict[str, Float[Tensor, "batch pos d_model"]]
Hook = tuple[str, Callable[[Tensor, Any], Tensor | None]]
Carried = Callable[[str, Tensor, Tensor], Tensor]  # of an edge by name, its sender's output and its ablated output


@dataclass(frozen=True)
class NormScales:
    """What norms that span heads multiply with in an untouched run.

    `heads` by layer, None where no norm follows the heads; `inside` by the module of a norm of all queries or keys.
    """

    heads: list[Float[Tensor, "batch pos d_model"]] | None = None
    inside: dict[nn.Module, Float[Tensor, "batch pos width"]] = field(default_factory=dict)


@contextmanager
def receivers_apart(bridge: TransformerBridge) -> Iterator[None]:
    """Let each head's q, k and v input and each head's output be hooked on its own, where the bridge can do that."""
    if not can_split(bridge):
        yield
        return
    switches = (bridge.set_use_split_qkv_input, bridge.set_use_attn_result)
    try:
        for switch in switches:
            switch(True)
        yield
    finally:
        for switch in switches:
            switch(False)


def can_split(bridge: TransformerBridge) -> bool:
    """Whether the bridge has hooks for each head's inputs and output."""
    attn: Any = bridge.blocks[0].attn
    return attn.supports_attn_result and not type(attn).__name__.startswith(("Bloom", "CodeGen", "MPT"))


def scales_of(bridge: TransformerBridge, tokens: Tensor) -> NormScales:
    """The scales of norms that span heads, in an untouched run on these prompts."""
    after = [block.ln1_post.original_component for block in bridge.blocks if hasattr(block, "ln1_post")]
    within = [
        norm
        for block in bridge.blocks
        for norm in (
            getattr(getattr(block.attn, name, None), "original_component", None) for name in ("q_norm", "k_norm")
        )
        if norm is not None and bridge.original_model.config.model_type.startswith("olmo")
    ]
    if not after and not within:
        return NormScales()
    read: dict[nn.Module, Tensor] = {}
    with ExitStack() as stack:
        for norm in (*after, *within):
            stack.callback(norm.register_forward_pre_hook(lambda module, args: read.update({module: args[0]})).remove)
        bridge(tokens)
    scales = {norm: norm_scale(norm, x) for norm, x in read.items()}
    return NormScales([scales[norm] for norm in after] or None, {norm: scales[norm] for norm in within})


def norm_scale(norm: Any, x: Tensor) -> Tensor:
    """What an RMSNorm multiplies with, its weight included."""
    eps = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    weight = 1 + norm.weight if type(norm).__name__.startswith("Gemma") else norm.weight
    return weight / (x.square().mean(-1, keepdim=True) + eps).sqrt()


@contextmanager
def frozen(scales: NormScales) -> Iterator[None]:
    """Have norms of all queries or keys multiply with these scales."""
    with ExitStack() as stack:
        for norm, scale in scales.inside.items():
            stack.callback(norm.register_forward_hook(lambda _, args, __, scale=scale: args[0] * scale).remove)
        yield


def note_senders(
    anatomy: Anatomy,
    bridge: TransformerBridge,
    outputs: Outputs,
    scales: list[Tensor] | None,
    start: Outputs | None = None,
) -> list[Hook]:
    """Hooks that put every sender's output, or what `start` says it is, into `outputs` as the forward pass comes by."""
    start = start or {}

    def note(sender: str) -> Callable[[Tensor, Any], None]:
        def hook(value: Float[Tensor, "batch pos d_model"], hook: Any) -> None:
            outputs[sender] = start.get(sender, value)

        return hook

    def note_heads(layer: int) -> Callable[[Tensor, Any], None]:
        def hook(value: Float[Tensor, "batch pos head _"], hook: Any) -> None:
            wrote = value if can_split(bridge) else torch.einsum("bphk,hkd->bphd", value, bridge.blocks[layer].attn.W_O)
            for head, sender in enumerate(anatomy.heads(layer)):
                out = wrote[:, :, head] * (1.0 if scales is None else scales[layer])
                outputs[sender] = start.get(sender, out)

        return hook

    hooks: list[Hook] = [("blocks.0.hook_resid_pre", note("input"))]
    for layer, block in enumerate(bridge.blocks):
        hooks.append((f"blocks.{layer}.attn.{'hook_result' if can_split(bridge) else 'o.hook_in'}", note_heads(layer)))
        hooks.append((f"blocks.{layer}.{_mlp_out(block)}", note(f"m{layer}")))
    return hooks


def _mlp_out(block: Any) -> str:
    """The hook at which the MLP's output passes; those of Bloom and MPT give it with the residual stream added."""
    if hasattr(block, "ln2_post"):
        return "ln2_post.hook_out"
    adds = type(block.mlp.original_component).__name__ in ("BloomMLP", "MptMLP")
    return "mlp.out.hook_out" if adds else "hook_mlp_out"


def reading(
    anatomy: Anatomy,
    bridge: TransformerBridge,
    carried: Carried,
    outputs: Outputs,
    ablated: Outputs,
    mlp_biases: Sequence[Tensor | float] = (),
) -> Callable[[str], Float[Tensor, "batch pos d_model"]]:
    """What a receiver's edges carry, by its name, from the outputs noted so far in the same run; and biases.

    `mlp_biases` are what the MLPs of layers add that none of their parts does.
    """
    reads = anatomy.reads()

    def read(receiver: str) -> Float[Tensor, "batch pos d_model"]:
        with torch._C.DisableTorchFunction():  # these are float64 anyway, and many
            total = torch.zeros_like(outputs["input"])
            stream = anatomy.stream_before(receiver)
            for biases, layers in (
                ([block.attn.b_O for block in bridge.blocks], anatomy.attention_layers_before),
                (mlp_biases, anatomy.mlp_layers_before),
            ):
                for bias in biases[0 if stream is None else layers(stream) : layers(receiver)]:
                    total = total if bias is None else total + bias
            for sender in reads[receiver]:
                total = total + carried(f"{sender}->{receiver}", outputs[sender], ablated[sender])
        return total

    return read


def overwrite_receivers(
    anatomy: Anatomy, bridge: TransformerBridge, read: Callable[[str], Float[Tensor, "batch pos d_model"]]
) -> list[Hook]:
    """Hooks that give every receiver what it reads; MLPs whose parts read for themselves are left alone."""

    def overwrite(receiver: str, norm: nn.Module | None = None) -> Callable[[Tensor, Any], Tensor]:
        return lambda value, hook: read(receiver) if norm is None else norm(read(receiver))

    def overwrite_heads(layer: int, slot: str) -> Callable[[Tensor, Any], Tensor]:
        return lambda value, hook: torch.stack([read(f"{h}<{slot}>") for h in anatomy.heads(layer)], dim=2)

    def overwrite_made(layer: int, slot: str) -> Callable[[Tensor, Any], Tensor]:
        attn, norm = bridge.blocks[layer].attn, bridge.blocks[layer].ln1.original_component
        weight, bias = getattr(attn, f"W_{slot.upper()}"), getattr(attn, f"b_{slot.upper()}")

        def hook(value: Float[Tensor, "batch pos head d_head"], hook: Any) -> Tensor:
            made = [norm(read(f"{h}<{slot}>")) @ weight[head] for head, h in enumerate(anatomy.heads(layer))]
            return torch.stack(made, dim=2) + (0.0 if bias is None else bias)

        return hook

    hooks: list[Hook] = []
    for layer, block in enumerate(bridge.blocks):
        if can_split(bridge):
            hooks += [(f"blocks.{layer}.hook_{slot}_input", overwrite_heads(layer, slot)) for slot in "qkv"]
        else:
            hooks += [(f"blocks.{layer}.attn.{slot}.hook_out", overwrite_made(layer, slot)) for slot in "qkv"]
        if anatomy.parts_read and layer in anatomy.parts:
            continue
        if hasattr(block, "ln2"):
            hooks.append((f"blocks.{layer}.ln2.hook_in", overwrite(f"m{layer}")))
        else:  # the norm is the attention's, or there is none
            norm = block.ln1.original_component if anatomy.parallel else None
            hooks.append((f"blocks.{layer}.mlp.hook_in", overwrite(f"m{layer}", norm)))
    hooks.append((f"blocks.{anatomy.n_layers - 1}.hook_resid_post", overwrite("logits")))
    return hooks
