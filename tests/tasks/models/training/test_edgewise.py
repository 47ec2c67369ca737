"""Run edge by edge, GPT-2 is GPT-2, and an interchanged edge carries what its sender wrote in the other run."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import GPT2LMHeadModel

from acdc.tasks.models.training.edgewise import Interchange, edge_indices, receivers, run, senders
from acdc.tasks.models.training.interchange import untrained
from tests.tasks.models.edges import one_edge


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    network = untrained(12, 8, seed=0)
    with torch.no_grad():  # biases start at zero, where a forgotten one would not show
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return network.eval()


def tokens(seed: int) -> Int[Tensor, "batch pos"]:
    return torch.randint(12, (5, 6), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_run_without_interchange_is_the_models_own(model: GPT2LMHeadModel) -> None:
    assert torch.allclose(run(model, tokens(0)).logits, model(tokens(0)).logits[:, -1], atol=1e-5)


@torch.no_grad()
def test_all_edges_interchanged_are_the_other_run(model: GPT2LMHeadModel) -> None:
    source = run(model, tokens(1))
    everything = torch.ones(5, len(receivers(model.config)), len(senders(model.config)), dtype=torch.bool)
    assert torch.allclose(run(model, tokens(0), Interchange(everything, source)).logits, source.logits, atol=1e-5)


@torch.no_grad()
def test_rows_are_interchanged_each_for_itself(model: GPT2LMHeadModel) -> None:
    source = run(model, tokens(1))
    swapped = torch.zeros(5, len(receivers(model.config)), len(senders(model.config)), dtype=torch.bool)
    swapped[3] = True
    mixed = run(model, tokens(0), Interchange(swapped, source)).logits
    assert torch.allclose(mixed[3], source.logits[3], atol=1e-5)
    assert torch.allclose(mixed[:3], run(model, tokens(0)).logits[:3], atol=1e-5)


@torch.no_grad()
def test_the_edges_into_the_logits_carry_what_the_sender_wrote(model: GPT2LMHeadModel) -> None:
    """By hand, through the final norm and the unembedding."""
    own, source = run(model, tokens(0)), run(model, tokens(1))
    at = senders(model.config).index("a1.h2")
    bias = sum(block.attn.c_proj.bias for block in model.transformer.h)
    residual = own.written.sum(1) - own.written[:, at] + source.written[:, at] + bias
    expected = model.lm_head(model.transformer.ln_f(residual[:, -1]))
    swapped = one_edge(model.config, "a1.h2->logits", 5)
    assert torch.allclose(run(model, tokens(0), Interchange(swapped, source)).logits, expected, atol=1e-5)


def test_every_edge_of_the_model_has_its_place(model: GPT2LMHeadModel) -> None:
    where = edge_indices(model.config)
    assert len(where) == len(set(where.values())) == 262
    assert "a0.h3->m0" in where
    assert "a0.h3->a0.h1<q>" not in where
    assert "m1->m1" not in where
