"""Activation patching equals an independent implementation through TransformerBridge's own hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from acdc.graphs import load
from acdc.graphs.execution.restoring import Restoring, streams
from acdc.graphs.model import Model
from acdc.graphs.nodes import SLOTS
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.oracle import load_bridge
from tests.graphs.oracle_hooks import receivers_apart
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS
from tests.native_bridges import native_model

SITES = torch.zeros(3, *CLEAN.shape, dtype=torch.bool)
SITES[0, :, 1] = True
SITES[1, 0, 2] = SITES[1, 1, 3:5] = True  # another position in every prompt, and in the last none
SITES[2] = True


def restoring(model: Model, base: Tensor, source: Tensor) -> Restoring:
    geometries = model.geometries(base.shape[1])
    with torch.no_grad():
        runs = [streams(model, model.embed(tokens), geometries) for tokens in (base, source)]
    return Restoring(model, geometries, POSITIONS, *runs)


def noted(bridge: TransformerBridge, tokens: Tensor, names: list[str]) -> dict[str, Tensor]:
    """What passes each of these hooks in a run."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[Tensor, Any], None]:
        def hook(value: Tensor, hook: Any) -> None:
            seen[name] = value.clone()

        return hook

    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        bridge.run_with_hooks(tokens, fwd_hooks=[(name, note(name)) for name in names])
    return seen


def patched(bridge: TransformerBridge, base: Tensor, name: str, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The logits of a run on `base` in which what passes a hook is changed."""
    with torch.no_grad(), exact_float64(bridge), receivers_apart(bridge):
        logits: Tensor = bridge.run_with_hooks(base, fwd_hooks=[(name, lambda value, hook: change(value))])
    return logits[ROWS, POSITIONS]


def at(site: Tensor, source: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda base: torch.where(site[..., None], source, base)


def of_head(head: int, source: Tensor) -> Callable[[Tensor], Tensor]:
    def change(base: Tensor) -> Tensor:
        mixed = base.clone()
        mixed[:, :, head] = source[:, :, head]
        return mixed

    return change


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_patching_is_what_hooks_make_of_it(checkpoints: Checkpoints, architecture: Architecture) -> None:
    """Residual stream, attention and MLP by position; the output, queries, keys and values of every head."""
    path = checkpoints.ungrouped(architecture)
    model, bridge = load(path, dtype=torch.float64), load_bridge(path)
    outputs = ("hook_attn_out", "hook_mlp_out")
    if hasattr(bridge.blocks[0], "ln1_post"):
        outputs = ("ln1_post.hook_out", "ln2_post.hook_out")
    parts = ("hook_resid_pre", *outputs)
    slots = {None: "attn.hook_result", **{slot: f"attn.{slot}.hook_out" for slot in SLOTS}}
    layers = range(model.graph.n_layers)
    names = [f"blocks.{layer}.{name}" for layer in layers for name in (*parts, *slots.values())]
    for base, other in ((CORRUPT, CLEAN), (CLEAN, CORRUPT)):
        ours, source = restoring(model, base, other), noted(bridge, other, names)
        for layer in layers:
            for run, part in zip((ours.residual, ours.attention, ours.mlp), parts, strict=True):
                name = f"blocks.{layer}.{part}"
                wanted = [patched(bridge, base, name, at(site, source[name])) for site in SITES]
                got = model.unembedding(run([layer], SITES)[0])
                torch.testing.assert_close(got, torch.stack(wanted), rtol=0, atol=1e-9)
            for slot, part in slots.items():
                name = f"blocks.{layer}.{part}"
                wanted = [patched(bridge, base, name, of_head(h, source[name])) for h in range(model.graph.n_heads)]
                got = model.unembedding(ours.heads([layer], slot)[0])
                torch.testing.assert_close(got, torch.stack(wanted), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["attention_only", "relu"])
def test_replacing_everything_is_the_other_run_and_replacing_nothing_the_own(name: Any) -> None:
    model = native_model(name)
    tokens = [part % model.vocabulary for part in (CORRUPT, CLEAN)]
    ours = restoring(model, *tokens)
    every, none = torch.ones(1, *CLEAN.shape, dtype=torch.bool), torch.zeros(1, *CLEAN.shape, dtype=torch.bool)
    own, other = (model.logits(part)[ROWS, POSITIONS] for part in tokens)
    for layer in range(model.graph.n_layers):
        torch.testing.assert_close(model.unembedding(ours.residual([layer], every))[0, 0], other, rtol=0, atol=1e-9)
        for part in (ours.residual, ours.attention):
            torch.testing.assert_close(model.unembedding(part([layer], none))[0, 0], own, rtol=0, atol=1e-9)


def test_many_sites_in_small_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = native_model("relu")
    ours = restoring(model, CORRUPT % model.vocabulary, CLEAN % model.vocabulary)
    at_once = ours.residual([0, 1], SITES), ours.heads([0], "k")
    monkeypatch.setattr("acdc.graphs.execution.branching._TOKENS", 1)
    apart = torch.cat([ours.residual([layer], SITES) for layer in (0, 1)]), ours.heads([0], "k")
    for one, other in zip(at_once, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
