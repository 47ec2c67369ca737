"""The oracles agree with the untouched models, with each other, and with what can be worked out by hand."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.native_oracle import native_anatomy_of, native_oracle_logits
from tests.graphs.oracle import anatomy_of, load_bridge, oracle_logits
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS, ROWS, random_circuits
from tests.native_bridges import NATIVES, Native, native_bridge

ABLATIONS = ("resample", "mean", "mean-positional", "zero")


def untouched(bridge: TransformerBridge, tokens: Tensor) -> Tensor:
    with torch.no_grad(), exact_float64(bridge):
        logits: Tensor = bridge(tokens)
    return logits[ROWS, POSITIONS]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_full_circuit_is_the_clean_run_and_the_empty_one_the_corrupt_run(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    clean, corrupt = untouched(bridge, CLEAN), untouched(bridge, CORRUPT)
    everything = set(anatomy_of(bridge).edges())
    for ablation in ABLATIONS:
        full = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, everything, ablation)
        torch.testing.assert_close(full, clean, rtol=0, atol=1e-12)
    empty = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, set(), "resample")
    torch.testing.assert_close(empty, corrupt, rtol=0, atol=1e-12)
    assert (clean - corrupt).abs().amax(-1).min() > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_undoing_the_casts_to_float32_changes_the_logits_by_rounding_only(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    exact = untouched(bridge, CLEAN)
    with torch.no_grad():
        torch.testing.assert_close(bridge(CLEAN)[ROWS, POSITIONS], exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_edge_matters(checkpoints: Checkpoints, architecture: Architecture) -> None:
    """Otherwise agreement with the oracle would say nothing about the edges that do not; that all have a derivative is
    seen where scores are compared.
    """
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    edges = anatomy_of(bridge).edges()
    clean = untouched(bridge, CLEAN)
    for edge in random.Random(0).sample(edges, 6):
        without = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, set(edges) - {edge}, "resample")
        assert (without - clean).abs().max() > 1e-6, edge


def test_with_only_the_input_at_the_logits_and_zeros_elsewhere_the_embedding_is_normed_and_unembedded(
    checkpoints: Checkpoints,
) -> None:
    bridge = load_bridge(checkpoints.path("gpt2"))
    model = bridge.original_model.transformer
    with torch.no_grad():
        final = model.wte(CLEAN) + model.wpe(torch.arange(7)) + sum(block.attn.b_O for block in bridge.blocks)
        by_hand = bridge.original_model.lm_head(model.ln_f(final))[ROWS, POSITIONS]
    logits = oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, {"input->logits"}, "zero")
    torch.testing.assert_close(logits, by_hand, rtol=0, atol=1e-12)


def test_an_edge_that_the_model_does_not_have_is_refused(checkpoints: Checkpoints) -> None:
    bridge = load_bridge(checkpoints.path("gpt_neox"))
    with pytest.raises(ValueError, match=r"no edges \['a1.h0->m1'\]"):  # the layer is parallel
        oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, {"a1.h0->m1"}, "zero")


@pytest.mark.parametrize("name", NATIVES)
def test_the_native_oracle_reproduces_the_clean_and_the_corrupt_run(name: Native) -> None:
    bridge = native_bridge(name)
    everything = set(native_anatomy_of(bridge).edges())
    with torch.no_grad():
        clean, corrupt = (bridge(tokens)[ROWS, POSITIONS] for tokens in (CLEAN, CORRUPT))
    full = native_oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, everything, "mean")
    empty = native_oracle_logits(bridge, CLEAN, CORRUPT, POSITIONS, set(), "resample")
    torch.testing.assert_close(full, clean, rtol=0, atol=1e-11)
    torch.testing.assert_close(empty, corrupt, rtol=0, atol=1e-11)


def test_the_two_oracles_agree_on_gpt2_rebuilt_as_a_native_model(checkpoints: Checkpoints) -> None:
    gpt2 = load_bridge(checkpoints.path("gpt2"))
    native = native_gpt2(gpt2)
    edges = anatomy_of(gpt2).edges()
    for ablation, circuit in zip(ABLATIONS, random_circuits(edges, 4), strict=True):
        one = oracle_logits(gpt2, CLEAN, CORRUPT, POSITIONS, circuit, ablation)
        other = native_oracle_logits(native, CLEAN, CORRUPT, POSITIONS, circuit, ablation)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def native_gpt2(gpt2: TransformerBridge) -> TransformerBridge:
    """The same function as a native model, its weights copied one by one."""
    cfg = gpt2.cfg
    native = native_bridge(
        "gelu_new",
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=cfg.d_mlp,
        n_ctx=cfg.n_ctx,
        d_vocab=cfg.d_vocab,
    )
    theirs, ours = gpt2.original_model.transformer, native.original_model
    with torch.no_grad():
        ours.tok_embed.weight.copy_(theirs.wte.weight)
        ours.pos.weight.copy_(theirs.wpe.weight)
        ours.head.weight.copy_(gpt2.original_model.lm_head.weight)
        norms = [(ours.ln_out, theirs.ln_f)]
        for mine, block in zip(native.blocks, gpt2.blocks, strict=True):
            norms += [(mine.ln1, block.ln1), (mine.ln2, block.ln2)]
            for slot, weight, bias in (
                (mine.attn.q, block.attn.W_Q, block.attn.b_Q),
                (mine.attn.k, block.attn.W_K, block.attn.b_K),
                (mine.attn.v, block.attn.W_V, block.attn.b_V),
            ):
                slot.weight.copy_(weight.transpose(1, 2).flatten(0, 1))  # [(head d_head) d_model]
                slot.bias.copy_(bias.flatten())
            mine.attn.o.weight.copy_(block.attn.W_O.flatten(0, 1).T)
            mine.attn.o.bias.copy_(block.attn.b_O)
            hf = block.mlp.original_component
            for linear, conv in ((getattr(mine.mlp, "in"), hf.c_fc), (mine.mlp.out, hf.c_proj)):
                linear.weight.copy_(conv.weight.T)
                linear.bias.copy_(conv.bias)
        for norm, original in norms:
            norm.weight.copy_(original.weight)
            norm.bias.copy_(original.bias)
    return native
