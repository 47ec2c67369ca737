"""The oracle for native bridges, which cannot hook q, k and v apart: a plain forward pass written from the weights."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.edge_names import Anatomy
from tests.graphs.oracle import Carried, Outputs, ablate, of_circuit, weighted


def native_oracle_logits(
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
    if unknown := edges - set(native_anatomy_of(bridge).edges()):
        raise ValueError(f"the model has no edges {sorted(unknown)}")
    with torch.no_grad():
        ablated = ablate(native_oracle_outputs(bridge, corrupt) if written is None else written, ablation)
        _, logits = forward(bridge, clean, of_circuit(native_anatomy_of(bridge), edges), ablated)
    return logits[torch.arange(len(positions)), positions]


def native_oracle_weighted_logits(
    bridge: TransformerBridge,
    clean: Int[Tensor, "batch pos"],
    corrupt: Int[Tensor, "batch pos"],
    positions: Int[Tensor, " batch"],
    weights: Float[Tensor, " edge"],
    ablation: str,
    start: Outputs | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The logits at the scored positions with these weights of all edges; see `oracle_weighted_logits`."""
    ablated = ablate(native_oracle_outputs(bridge, corrupt), ablation)
    clean_outputs = None if start is None else native_oracle_outputs(bridge, clean)
    carried = weighted(native_anatomy_of(bridge), weights, clean_outputs)
    _, logits = forward(bridge, clean, carried, ablated, start)
    return logits[torch.arange(len(positions)), positions]


def native_oracle_outputs(bridge: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Outputs:
    """What every sender writes in an untouched run."""
    with torch.no_grad():
        outputs, _ = forward(bridge, tokens, lambda edge, out, ablated: out, {})
    return outputs


def native_anatomy_of(bridge: TransformerBridge) -> Anatomy:
    """The bridge's size."""
    cfg = bridge.cfg
    return Anatomy(n_layers=cfg.n_layers, n_heads=cfg.n_heads, has_mlp=not cfg.attn_only)


def forward(
    bridge: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    carried: Carried,
    ablated: Outputs,
    start: Outputs | None = None,
) -> tuple[Outputs, Float[Tensor, "batch pos vocab"]]:
    """One forward pass in which edges carry this: every sender's output (or what `start` says), and the logits."""
    start = start or {}
    cfg, anatomy = bridge.cfg, native_anatomy_of(bridge)
    weights = {
        name.replace("_original_component.", ""): weight for name, weight in bridge.original_model.named_parameters()
    }
    reads = anatomy.reads()
    n_pos = tokens.shape[1]
    positions = torch.arange(n_pos)
    visible = (positions[:, None] >= positions) | (cfg.attention_dir != "causal")  # [query key]
    embedded = weights["tok_embed.weight"][tokens]
    rotary = "pos.weight" not in weights
    embedded = embedded if rotary else embedded + weights["pos.weight"][:n_pos]
    outputs: Outputs = {"input": start.get("input", embedded)}

    def read(receiver: str) -> Float[Tensor, "batch pos d_model"]:
        total = torch.zeros_like(outputs["input"])
        for layer in range(anatomy.attention_layers_before(receiver)):
            total = total + weights[f"layers.{layer}.attn.o.bias"]
        for sender in reads[receiver]:
            total = total + carried(f"{sender}->{receiver}", outputs[sender], ablated.get(sender, outputs[sender]))
        return total

    def norm(x: Tensor, name: str) -> Tensor:
        if f"{name}.weight" not in weights:
            return x
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + cfg.eps).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def head_slice(head: int) -> slice:
        return slice(head * cfg.d_head, (head + 1) * cfg.d_head)

    def project(layer: int, head: int, slot: str) -> Float[Tensor, "batch pos d_head"]:
        x = norm(read(f"a{layer}.h{head}<{slot}>"), f"layers.{layer}.ln1")
        name, rows = f"layers.{layer}.attn.{slot}", head_slice(head)
        return x @ weights[f"{name}.weight"][rows].T + weights[f"{name}.bias"][rows]

    def attend(layer: int, head: int) -> Float[Tensor, "batch pos d_model"]:
        q, k, v = (project(layer, head, slot) for slot in "qkv")
        q, k = (rotated(q, cfg.rotary_base), rotated(k, cfg.rotary_base)) if rotary else (q, k)
        scores = q @ k.transpose(-2, -1) / math.sqrt(cfg.d_head)
        pattern = scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
        return pattern @ v @ weights[f"layers.{layer}.attn.o.weight"][:, head_slice(head)].T

    def mlp(layer: int) -> Float[Tensor, "batch pos d_model"]:
        name = f"layers.{layer}.mlp"
        x = norm(read(f"m{layer}"), f"layers.{layer}.ln2")
        x = activate(x @ weights[f"{name}.fc_in.weight"].T + weights[f"{name}.fc_in.bias"], cfg.act_fn)
        return norm(x, f"{name}.ln") @ weights[f"{name}.fc_out.weight"].T + weights[f"{name}.fc_out.bias"]

    for layer in range(anatomy.n_layers):
        for head, sender in enumerate(anatomy.heads(layer)):
            outputs[sender] = start.get(sender, attend(layer, head))
        if anatomy.has_mlp:
            outputs[f"m{layer}"] = start.get(f"m{layer}", mlp(layer))
    return outputs, norm(read("logits"), "ln_out") @ weights["head.weight"].T


def rotated(x: Float[Tensor, "batch pos d_head"], base: float) -> Float[Tensor, "batch pos d_head"]:
    """x turned by its position, neighbouring dimensions as the real and imaginary part of one number."""
    d_head = x.shape[-1]
    # the model's angles are in float32
    frequencies = 1.0 / (base ** (torch.arange(0, d_head, 2).float() / d_head))
    angles = torch.outer(torch.arange(x.shape[1]).float(), frequencies)
    turns = torch.complex(angles.cos().double(), angles.sin().double())
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * turns).flatten(-2)


def activate(x: Tensor, name: str) -> Tensor:
    """The activation function of that name; `solu_ln` is followed by a norm of its own."""
    match name:
        case "relu":
            return x.clamp(min=0)
        case "gelu":
            return x * (1 + torch.erf(x / math.sqrt(2))) / 2
        case "gelu_new":
            return functional.gelu(x, approximate="tanh")
        case "solu_ln":
            return x * x.softmax(dim=-1)
        case _:
            raise ValueError(f"the oracle knows no activation {name!r}")
