"""The independent oracle: run one circuit through TransformerBridge's own hooks, one forward pass, by the definition.

It shares no code with `graphs`: circuits come as sets of edge names, and every value is what the bridge's forward
pass computes. A receiver's input is overwritten by the attention output biases before it plus, for every sender
before it, the sender's output in this very run when the edge is in the circuit and its ablated output when not; or
when no path over the circuit's edges joins the sender to the input.
Where edges have spans, all this is so position by position, by the name of its span.
With weights instead of a circuit it reads w times the one plus (1 - w) times the other, so that the derivative in w
says what an edge does to first order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from unittest import mock

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.transformers import helpers

from tests.graphs.edge_names import Anatomy
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.oracle_hooks import (
    Carried,
    Outputs,
    frozen,
    note_senders,
    overwrite_receivers,
    reading,
    receivers_apart,
    scales_of,
)

SpanNames = Sequence[Sequence[str]]
"""The name of the span of every position, prompt by prompt."""


def oracle_logits(
    bridge: TransformerBridge,
    clean: Int[Tensor, "batch pos"],
    corrupt: Int[Tensor, "batch pos"],
    positions: Int[Tensor, " batch"],
    edges: set[str],
    ablation: str,
    written: Outputs | None = None,
    spans: SpanNames | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The circuit's logits at the scored positions; `written`, if known, is what senders write on corrupt prompts.

    `spans` names the span of every position of every prompt, where edges have such.

    Raises: ValueError for an edge that the model does not have or an ablation that does not exist.
    """
    anatomy = anatomy_of(bridge)
    if unknown := {edge.split("@")[0] for edge in edges} - set(anatomy.edges()):
        raise ValueError(f"the model has no edges {sorted(unknown)}")
    ablated = ablate(oracle_outputs(bridge, corrupt) if written is None else written, ablation)
    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        outputs: Outputs = {}
        scales = scales_of(bridge, clean)
        hooks = note_senders(anatomy, bridge, outputs, scales.heads)
        carried = of_circuit(anatomy, edges, spans)
        hooks += overwrite_receivers(anatomy, bridge, reading(anatomy, bridge, carried, outputs, ablated))
        with frozen(scales):
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
            scales = scales_of(bridge, clean)
        outputs: Outputs = {}
        hooks = note_senders(anatomy, bridge, outputs, scales.heads, start or {})
        hooks += overwrite_receivers(anatomy, bridge, reading(anatomy, bridge, carried, outputs, ablated))
        with frozen(scales):
            logits: Tensor = bridge.run_with_hooks(clean, fwd_hooks=hooks)
    return logits[torch.arange(len(positions)), positions]


def oracle_outputs(bridge: TransformerBridge, tokens: Int[Tensor, "batch pos"]) -> Outputs:
    """What every sender writes in an untouched run."""
    outputs: Outputs = {}
    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        hooks = note_senders(anatomy_of(bridge), bridge, outputs, scales_of(bridge, tokens).heads)
        bridge.run_with_hooks(tokens, fwd_hooks=hooks)
    return outputs


def of_circuit(anatomy: Anatomy, edges: set[str], spans: SpanNames | None = None) -> Carried:
    """An edge of the circuit carries its sender's output, any other the ablated one.

    A sender that no path joins to the input writes what it does in the ablated run. With `spans`, an edge is in the
    circuit at the positions of those spans at which it is; a path over edges of any spans joins.
    """
    joined = anatomy.joined({edge.split("@")[0] for edge in edges})

    def carried(edge: str, out: Tensor, ablated: Tensor) -> Tensor:
        if edge.split("->")[0] not in joined:
            return ablated
        if spans is None or edge.endswith("->logits"):
            return out if edge in edges else ablated
        where = torch.tensor([[f"{edge}@{name}" in edges for name in names] for names in spans])
        return torch.where(where[..., None], out, ablated)

    return carried


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


@lru_cache(maxsize=32)
def load_bridge(checkpoint: Path, device: str = "cpu") -> TransformerBridge:
    """The checkpoint's bridge in float64; it must have one k and v head per query head.

    TransformerLens would install torchvision for a model that also reads images, and with it another torch.
    """
    with mock.patch.object(helpers, "_ensure_torchvision", return_value=False):
        bridge = TransformerBridge.boot_transformers(str(checkpoint), dtype=torch.float64, device=device)
    bridge.original_model.set_experts_implementation("eager")  # the others know no float64
    return bridge


def anatomy_of(bridge: TransformerBridge) -> Anatomy:
    """The bridge's size, from its modules and, for what they do not show, the original config."""
    config = bridge.original_model.config
    parallel = config.model_type in ("phi", "gptj", "codegen", "cohere", "cohere2", "falcon") or getattr(
        config, "use_parallel_residual", False
    )
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
