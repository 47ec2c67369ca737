"""A model made of matrices computes what a bare transformer with these matrices computes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from acdc.graphs.model.weights import BareLayer, BareWeights, from_weights

CONTEXT, VOCABULARY, D_MODEL, HEADS, D_HEAD, D_MLP = 6, 9, 7, 2, 3, 5
TOKENS = torch.tensor([[0, 3, 8, 1], [4, 4, 2, 7]])


def drawn(causal: bool) -> BareWeights:
    generator = torch.Generator().manual_seed(0)

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def layer() -> BareLayer:
        query, key, value = (matrix(HEADS, D_MODEL, D_HEAD) for _ in range(3))
        return BareLayer(
            query, key, value, matrix(HEADS, D_HEAD, D_MODEL), matrix(D_MODEL, D_MLP), matrix(D_MLP, D_MODEL)
        )

    layers = (layer(), layer(), layer())
    return BareWeights(
        matrix(VOCABULARY, D_MODEL), matrix(CONTEXT, D_MODEL), layers, matrix(D_MODEL, VOCABULARY), causal
    )


def logits_of(weights: BareWeights) -> Tensor:
    length = TOKENS.shape[1]
    residual = weights.tokens[TOKENS] + weights.positions[:length]
    hidden = torch.ones(length, length).triu(1).bool() if weights.causal else torch.zeros(length, length).bool()
    for layer in weights.layers:
        heads = []
        for head in range(HEADS):
            q, k, v = (residual @ part[head] for part in (layer.query, layer.key, layer.value))
            scores = (q @ k.transpose(1, 2) / math.sqrt(D_HEAD)).masked_fill(hidden, -math.inf)
            heads.append(scores.softmax(-1) @ v @ layer.output[head])
        residual = residual + sum(heads)
        residual = residual + (residual @ layer.mlp_in).relu() @ layer.mlp_out
    return residual @ weights.unembedding


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_a_model_of_matrices_is_the_transformer_written_out(causal: bool) -> None:
    weights = drawn(causal)
    model = from_weights(weights, "made", dtype=torch.float64)
    assert model.is_causal == causal
    assert (model.identity.name, model.identity.n_context) == ("made", CONTEXT)
    torch.testing.assert_close(model.logits(TOKENS), logits_of(weights), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.bridge(TOKENS), logits_of(weights), rtol=0, atol=1e-10)


def test_a_model_has_the_precision_asked_for_and_leaves_the_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    assert from_weights(drawn(True), "made", dtype=torch.float32).dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_of_matrices_may_have_fewer_outputs_than_inputs() -> None:
    weights = drawn(True)
    few = replace(weights, unembedding=weights.unembedding[:, :2])
    model = from_weights(few, "made", dtype=torch.float64)
    torch.testing.assert_close(model.logits(TOKENS), logits_of(few), rtol=0, atol=1e-10)
