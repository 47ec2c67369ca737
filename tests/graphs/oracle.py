"""The independent oracle: run one circuit through TransformerBridge's own hooks, one forward pass, by the definition.

It shares no code with `graphs`: circuits come as sets of edge names, and every value is what the bridge's forward
pass computes. A receiver's input is overwritten by the attention output biases before it plus, for every sender
before it, the sender's output in this very run when the edge is in the circuit and its ablated output when not; or
when no path over the circuit's edges joins the sender to the input.
With weights instead of a circuit it reads w times the one plus (1 - w) times the other, so that the derivative in w
says what an edge does to first order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.edge_names import Anatomy
from tests.graphs.exact_float64 import exact_float64

Outputs = dict[str, Float[Tensor, "batch pos d_model"]]
Hook = tuple[str, Callable[[Tensor, Any], Tensor | None]]
Carried = Callable[[str, Tensor, Tensor], Tensor]  # of an edge by name, its sender's output and its ablated output
Scales = list[Float[Tensor, "batch pos d_model"]] | None  # by layer; None where no norm follows the heads


def oracle_logits(
    bridge: TransformerBridge,
    clean: Int[Tensor, "batch pos"],
    corrupt: Int[Tensor, "batch pos"],
    positions: Int[Tensor, " batch"],
    edges: set[str],
    ablation: str,
    written: Outputs | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The circuit's logits at the scored positions; `written`, if known, is what senders write on corrupt prompts.

    Raises: ValueError for an edge that the model does not have or an ablation that does not exist.
    """
    anatomy = anatomy_of(bridge)
    if unknown := edges - set(anatomy.edges()):
        raise ValueError(f"the model has no edges {sorted(unknown)}")
    ablated = ablate(oracle_outputs(bridge, corrupt) if written is None else written, ablation)
    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        outputs: Outputs = {}
        hooks = note_senders(anatomy, bridge, outputs, head_scales(bridge, clean))
        hooks += overwrite_receivers(anatomy, bridge, of_circuit(anatomy, edges), outputs, ablated)
        logits: Tensor = bridge.run_with_hooks(clean, fwd_hooks=hooks)
    return logits[torch.arange(len(positions)), positions]


def oracle_weighted_logits(
    bridge: TransformerBridge,
    clean: Int[Tensor, "batch pos"],
    corrupt: Int[Tensor, "batch pos"],
    positions: Int[Tensor, " batch"],
    weights: Float[Tensor, " edge"],
    ablation: str,
    start: Outputs | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The logits at the scored positions with these weights of all edges, in the order of `Anatomy.edges`.

    With `start`, these senders write what it says, and a weight of 1 - x takes away x times what the sender writes in
    the clean run less its ablated output.
    """
    anatomy = anatomy_of(bridge)
    ablated = ablate(oracle_outputs(bridge, corrupt), ablation)
    carried = weighted(anatomy, weights, None if start is None else oracle_outputs(bridge, clean))
    with exact_float64(bridge), receivers_apart(bridge):
        with torch.no_grad():
            scales = head_scales(bridge, clean)
        outputs: Outputs = {}
        hooks = note_senders(anatomy, bridge, outputs, scales, start or {})
        hooks += overwrite_receivers(anatomy, bridge, carried, outputs, ablated)
        logits: Tensor = bridge.run_with_hooks(clean, fwd_hooks=hooks)
    return logits[torch.arange(len(positions)), positions]


def oracle_outputs(bridge: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Outputs:
    """What every sender writes in an untouched run."""
    outputs: Outputs = {}
    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        hooks = note_senders(anatomy_of(bridge), bridge, outputs, head_scales(bridge, tokens))
        bridge.run_with_hooks(tokens, fwd_hooks=hooks)
    return outputs


def of_circuit(anatomy: Anatomy, edges: set[str]) -> Carried:
    """An edge of the circuit carries its sender's output, any other the ablated one.

    A sender that no path joins to the input writes what it does in the ablated run.
    """
    joined = anatomy.joined(edges)
    return lambda edge, out, ablated: out if edge in edges and edge.split("->")[0] in joined else ablated


def weighted(anatomy: Anatomy, weights: Float[Tensor, " edge"], clean: Outputs | None) -> Carried:
    """An edge carries its sender's output, blended with the ablated one by weight.

    Given the `clean` outputs, it carries the output less (1 - weight) times what the clean one has over the ablated.
    """
    weight: Mapping[str, Tensor] = dict(zip(anatomy.edges(), weights.unbind(), strict=True))
    joined = anatomy.joined({edge for edge, value in weight.items() if value != 0})

    def carried(edge: str, out: Tensor, ablated: Tensor) -> Tensor:
        if clean is None:
            return weight[edge] * (out if edge.split("->")[0] in joined else ablated) + (1 - weight[edge]) * ablated
        return out - (1 - weight[edge]) * (clean[edge.split("->")[0]] - ablated)

    return carried


@lru_cache(maxsize=12)
def load_bridge(checkpoint: Path, device: str = "cpu") -> TransformerBridge:
    """The checkpoint's bridge in float64; it must have one k and v head per query head."""
    return TransformerBridge.boot_transformers(str(checkpoint), dtype=torch.float64, device=device)


def anatomy_of(bridge: TransformerBridge) -> Anatomy:
    """The bridge's size, from its modules and, for what they do not show, the original config."""
    parallel = getattr(bridge.original_model.config, "use_parallel_residual", False)
    return Anatomy(n_layers=len(bridge.blocks), n_heads=bridge.cfg.n_heads, parallel=parallel)


def ablate(corrupt: Outputs, ablation: str) -> Outputs:
    """What a missing edge carries, by sender, given the senders' outputs on the corrupt prompts."""

    def value(out: Tensor) -> Tensor:
        match ablation:
            case "resample":
                return out
            case "mean":
                return out.mean(dim=(0, 1), keepdim=True).expand_as(out)
            case "mean-positional":
                return out.mean(dim=0, keepdim=True).expand_as(out)
            case "zero":
                return torch.zeros_like(out)
            case _:
                raise ValueError(f"there is no ablation {ablation!r}")

    return {sender: value(out) for sender, out in corrupt.items()}


@contextmanager
def receivers_apart(bridge: TransformerBridge) -> Iterator[None]:
    """Let each head's q, k and v input, each MLP's input and each head's output be hooked on its own."""
    switches = (bridge.set_use_split_qkv_input, bridge.set_use_attn_result, bridge.set_use_hook_mlp_in)
    try:
        for switch in switches:
            switch(True)
        yield
    finally:
        for switch in switches:
            switch(False)


def head_scales(bridge: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Scales:
    """What the norm after the heads multiplies their sum with in an untouched run on these prompts (Gemma 2 and 3)."""
    if not hasattr(bridge.blocks[0], "ln1_post"):
        return None
    summed: list[Tensor] = []
    hooks = [
        (f"blocks.{layer}.ln1_post.hook_in", lambda x, hook: summed.append(x)) for layer in range(len(bridge.blocks))
    ]
    bridge.run_with_hooks(tokens, fwd_hooks=hooks)
    norms = [block.ln1_post.original_component for block in bridge.blocks]
    return [
        (1 + norm.weight) / (x.square().mean(-1, keepdim=True) + norm.eps).sqrt()
        for norm, x in zip(norms, summed, strict=True)
    ]


def note_senders(
    anatomy: Anatomy, bridge: TransformerBridge, outputs: Outputs, scales: Scales, start: Outputs | None = None
) -> list[Hook]:
    """Hooks that put every sender's output, or what `start` says it is, into `outputs` as the forward pass comes by."""
    start = start or {}

    def note(sender: str) -> Callable[[Tensor, Any], None]:
        def hook(value: Float[Tensor, "batch pos d_model"], hook: Any) -> None:
            outputs[sender] = start.get(sender, value)

        return hook

    def note_heads(layer: int) -> Callable[[Tensor, Any], None]:
        def hook(value: Float[Tensor, "batch pos head d_model"], hook: Any) -> None:
            for head, sender in enumerate(anatomy.heads(layer)):
                out = value[:, :, head] * (1.0 if scales is None else scales[layer])
                outputs[sender] = start.get(sender, out)

        return hook

    hooks: list[Hook] = [("blocks.0.hook_resid_pre", note("input"))]
    for layer, block in enumerate(bridge.blocks):
        mlp_out = "ln2_post.hook_out" if hasattr(block, "ln2_post") else "hook_mlp_out"
        hooks.append((f"blocks.{layer}.attn.hook_result", note_heads(layer)))
        hooks.append((f"blocks.{layer}.{mlp_out}", note(f"m{layer}")))
    return hooks


def overwrite_receivers(
    anatomy: Anatomy, bridge: TransformerBridge, carried: Carried, outputs: Outputs, ablated: Outputs
) -> list[Hook]:
    """Hooks that give every receiver what its edges carry, from the outputs noted so far in the same run."""
    reads = anatomy.reads()

    def read(receiver: str) -> Float[Tensor, "batch pos d_model"]:
        total = torch.zeros_like(outputs["input"])
        for block in bridge.blocks[: anatomy.attention_layers_before(receiver)]:
            if block.attn.b_O is not None:
                total = total + block.attn.b_O
        for sender in reads[receiver]:
            total = total + carried(f"{sender}->{receiver}", outputs[sender], ablated[sender])
        return total

    def overwrite(receiver: str) -> Callable[[Tensor, Any], Tensor]:
        return lambda value, hook: read(receiver)

    def overwrite_heads(layer: int, slot: str) -> Callable[[Tensor, Any], Tensor]:
        return lambda value, hook: torch.stack([read(f"{h}<{slot}>") for h in anatomy.heads(layer)], dim=2)

    hooks: list[Hook] = []
    for layer in range(anatomy.n_layers):
        hooks += [(f"blocks.{layer}.hook_{slot}_input", overwrite_heads(layer, slot)) for slot in "qkv"]
        hooks.append((f"blocks.{layer}.hook_mlp_in", overwrite(f"m{layer}")))
    hooks.append((f"blocks.{anatomy.n_layers - 1}.hook_resid_post", overwrite("logits")))
    return hooks
