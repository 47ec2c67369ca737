"""The oracle of split graphs: what parts of MLPs write, worked out by hooks of the bridge at its own modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from tests.graphs.exact_float64 import exact_float64
from tests.graphs.features.stream_oracle import NotedOutputs, Parts, StreamAnatomy
from tests.graphs.oracle import ablate, anatomy_of, of_circuit
from tests.graphs.oracle_hooks import (
    Carried,
    Outputs,
    frozen,
    norm_scale,
    note_senders,
    overwrite_receivers,
    reading,
    receivers_apart,
    scales_of,
)


@dataclass(frozen=True)
class NamedParts:
    """The parts of one MLP: their names, and the output of each given what its neurons and the whole of it write."""

    names: tuple[str, ...]
    output: Callable[[Any, Tensor, Tensor, int], Tensor]
    bias: Callable[[Any], Tensor | float] = lambda block: 0.0


def neurons(layer: int, count: int) -> NamedParts:
    """Every neuron: the difference that it alone makes to what the last linear map makes of nothing."""

    def output(block: Any, hidden: Tensor, wrote: Tensor, number: int) -> Tensor:
        linear = block.mlp.out.original_component
        alone = linear(hidden * (torch.arange(count) == number)) - linear(torch.zeros_like(hidden))
        if hasattr(block, "ln2_post"):
            return alone * norm_scale(block.ln2_post.original_component, linear(hidden))
        return alone

    def bias(block: Any) -> Tensor:
        return block.mlp.out.original_component(torch.zeros(1, 1, count, dtype=torch.float64))

    return NamedParts(tuple(f"m{layer}.n{number}" for number in range(count)), output, bias)


def features(layer: int, encoder: Tensor, bias: Tensor, decoder: Tensor, chosen: list[int]) -> NamedParts:
    """ReLU features of what the MLP writes: those chosen, the others, and what all of them leave over."""

    def output(block: Any, hidden: Tensor, wrote: Tensor, number: int) -> Tensor:
        every = [(wrote @ encoder[:, f] + bias[f]).clamp(min=0)[..., None] * decoder[f] for f in range(len(decoder))]
        rest = sum((each for f, each in enumerate(every) if f not in chosen), start=torch.zeros_like(wrote))
        return [*(every[f] for f in chosen), rest, wrote - sum(every)][number]

    names = (*(f"m{layer}.f{f}" for f in chosen), f"m{layer}.rest", f"m{layer}.error")
    return NamedParts(names, output)


def split_logits(
    bridge: TransformerBridge,
    prompts: tuple[Tensor, Tensor, Tensor],
    parts: Mapping[int, NamedParts],
    edges: set[str],
    ablation: str,
    *,
    streams: Mapping[str, tuple[tuple[str, ...], Parts]] | None = None,
    parts_read: bool = False,
) -> Tensor:
    """The circuit's logits at the scored positions, one forward pass through hooks.

    `streams` has the names and parts of what else is split: attention (`a0`) and the residual stream (`r0mid`, `r1`).
    With `parts_read`, the MLP is run once more for each part, on what this part reads; its share is what it writes.
    """
    clean, corrupt, positions = prompts
    whole, streams = anatomy_of(bridge), streams or {}
    anatomy = StreamAnatomy(
        whole.n_layers,
        whole.n_heads,
        parallel=whole.parallel,
        parts={layer: each.names for layer, each in parts.items()},
        parts_read=parts_read,
        split={node: names for node, (names, _) in streams.items()},
    )
    biases = [parts[layer].bias(block) if layer in parts else 0.0 for layer, block in enumerate(bridge.blocks)]
    if unknown := edges - set(anatomy.edges()):
        raise ValueError(f"the model has no edges {sorted(unknown)[:3]}")

    def run(tokens: Tensor, carried: Carried, ablated: Outputs | None) -> tuple[Outputs, Tensor]:
        outputs = NotedOutputs(bridge, anatomy, {node: each for node, (_, each) in streams.items()})
        read = reading(anatomy, bridge, carried, outputs, outputs if ablated is None else ablated, biases)
        outputs.read, scales = read, scales_of(bridge, tokens)
        hooks = note_senders(anatomy, bridge, outputs, scales.heads)
        hooks += _note_parts(bridge, parts, outputs, read if ablated is not None and parts_read else None)
        hooks += [] if ablated is None else overwrite_receivers(anatomy, bridge, read)
        with frozen(scales):
            return outputs, bridge.run_with_hooks(tokens, fwd_hooks=hooks)

    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        written, _ = run(corrupt, lambda edge, out, missing: out, None)
        senders = {sender for senders in anatomy.reads().values() for sender in senders}
        ablated = ablate({sender: written[sender] for sender in senders}, ablation)
        _, logits = run(clean, of_circuit(anatomy, edges), ablated)
    return logits[torch.arange(len(positions)), positions]


def _note_parts(
    bridge: TransformerBridge, parts: Mapping[int, NamedParts], outputs: Outputs, read: Callable[[str], Tensor] | None
) -> list[Any]:
    hidden: dict[int, Tensor] = {}

    def note(layer: int) -> Callable[[Tensor, Any], None]:
        def hook(value: Tensor, hook: Any) -> None:
            block = bridge.blocks[layer]
            for number, name in enumerate(parts[layer].names):
                if read is not None:
                    value = _run_mlp(block, read(name))
                outputs[name] = parts[layer].output(block, hidden.get(layer, value), value, number)

        return hook

    def keep(layer: int) -> Callable[[Tensor, Any], None]:
        return lambda value, hook: hidden.update({layer: value})

    hooks: list[Any] = []
    for layer in parts:
        block = bridge.blocks[layer]
        if hasattr(block.mlp, "out"):
            hooks.append((f"blocks.{layer}.mlp.out.hook_in", keep(layer)))
        hooks.append(
            (f"blocks.{layer}.{'ln2_post.hook_out' if hasattr(block, 'ln2_post') else 'hook_mlp_out'}", note(layer))
        )
    return hooks


def _run_mlp(block: Any, residual: Tensor) -> Tensor:
    """What the MLP writes of this residual stream, by the original modules; what its last map reads is hooked."""
    normed = block.ln2.original_component(residual) if hasattr(block, "ln2") else residual
    made = block.mlp.original_component(normed)
    wrote: Tensor = made if isinstance(made, Tensor) else made[0]
    return block.ln2_post.original_component(wrote) if hasattr(block, "ln2_post") else wrote
