"""A GPT-2 run edge by edge and differentiable, so that it can be trained on what its edges carry.

Senders and receivers go by the names that circuits use: `input`, `a0.h1`, `m2` write; `a1.h2<q>`, `m2`, `logits` read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from transformers import GPT2Config, GPT2LMHeadModel


@dataclass(frozen=True)
class EdgewiseRun:
    """The logits after the last token, and what every sender wrote."""

    logits: Float[Tensor, "batch vocab"]
    written: Float[Tensor, "batch sender pos d_model"]


@dataclass(frozen=True)
class Interchange:
    """Which edges carry what their sender wrote in another run, row by row, and that run."""

    swapped: Bool[Tensor, "batch receiver sender"]
    source: EdgewiseRun


def senders(config: GPT2Config) -> list[str]:
    """The names of what writes to the residual stream, in the order of `Run.written`."""
    layers = range(config.n_layer)
    return ["input", *(name for layer in layers for name in (*_heads(config, layer), f"m{layer}"))]


def receivers(config: GPT2Config) -> list[str]:
    """The names of what reads the residual stream, in the order of `Interchange.swapped`."""
    names = []
    for layer in range(config.n_layer):
        names += [f"{head}<{slot}>" for slot in "qkv" for head in _heads(config, layer)] + [f"m{layer}"]
    return [*names, "logits"]


def edge_indices(config: GPT2Config) -> dict[str, tuple[int, int]]:
    """The name of every edge, and its receiver and sender by number."""
    found: dict[str, tuple[int, int]] = {}
    writing = senders(config)
    for row, receiver in enumerate(receivers(config)):
        reads = len(writing)
        if receiver != "logits":
            layer = int(receiver[1 : receiver.index(".")] if receiver[0] == "a" else receiver[1:])
            reads = 1 + layer * (config.n_head + 1) + (config.n_head if receiver[0] == "m" else 0)
        found |= {f"{sender}->{receiver}": (row, column) for column, sender in enumerate(writing[:reads])}
    return found


def _heads(config: GPT2Config, layer: int) -> list[str]:
    return [f"a{layer}.h{head}" for head in range(config.n_head)]


def run(
    model: GPT2LMHeadModel, tokens: Int[Tensor, "batch pos"], interchange: Interchange | None = None
) -> EdgewiseRun:
    """The model on these tokens, with some edges interchanged; none of its dropout is applied.

    An edge that is not interchanged carries what its sender writes in this run, after the interchanges before it.
    """
    config, stack = model.config, cast("Any", model.transformer)
    n_heads, width = config.n_head, config.n_embd
    allowed = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    written: list[Tensor] = [stack.wte(tokens) + stack.wpe(torch.arange(tokens.shape[1]))]
    bias = torch.zeros(width)  # the attention layers' output biases, which no head writes
    first = 0  # the first receiver that has not yet read

    def read(count: int) -> Float[Tensor, "receiver batch pos d_model"]:
        nonlocal first
        current = torch.stack(written, dim=1)
        if interchange is None:
            return (current.sum(1) + bias).expand(count, *written[0].shape)
        rows = interchange.swapped[:, first : first + count, : len(written)]
        first += count
        change = interchange.source.written[:, : len(written)] - current
        moved = (rows.to(change.dtype) @ change.flatten(2)).view(len(rows), count, *written[0].shape[1:])
        return moved.transpose(0, 1) + current.sum(1) + bias

    for block in stack.h:
        normed = block.ln_1(read(3 * n_heads)).view(3, n_heads, *written[0].shape)
        weight = block.attn.c_attn.weight.view(width, 3, n_heads, -1)
        offset = block.attn.c_attn.bias.view(3, n_heads, 1, 1, -1)
        q, k, v = torch.einsum("shbpd,dshe->shbpe", normed, weight) + offset
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        mixed = scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1) @ v
        output = block.attn.c_proj.weight.view(n_heads, -1, width)
        written += torch.einsum("hbpe,hed->hbpd", mixed, output).unbind(0)
        bias = bias + block.attn.c_proj.bias
        written.append(block.mlp(block.ln_2(read(1)))[0])
    final = stack.ln_f(read(1)[0, :, -1])
    return EdgewiseRun(model.lm_head(final), torch.stack(written, dim=1))
