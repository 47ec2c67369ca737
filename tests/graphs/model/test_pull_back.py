"""What every receiver of a layer's heads reads has the gradient that autograd gives it."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.parts import (
    Attention,
    AttentionScores,
    HeadNorm,
    Norm,
    NormKind,
    OutputProjection,
    Projection,
)
from acdc.graphs.model.pull_back import pull_back

HEADS, BATCH, POS, D_MODEL, D_HEAD = 4, 2, 5, 8, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attention(kind: NormKind, *, bare: bool, dtype: torch.dtype = torch.float64, d_model: int = D_MODEL) -> Attention:
    """One whose keys and values are shared by two heads each; `bare` without optional weights and biases."""

    def projection(seed: int, groups: int) -> Projection:
        bias = None if bare else drawn(groups, D_HEAD, seed=seed + 10).to(dtype)
        weight = drawn(groups, d_model, D_HEAD, seed=seed).to(dtype)
        return Projection(weight, bias, HeadNorm(Norm("none")), shared=HEADS // groups)

    weight, bias = (None, None) if bare else (drawn(d_model, seed=1).to(dtype), drawn(d_model, seed=2).to(dtype))
    norm = Norm(kind, weight, bias if kind == "layer" else None, 1e-2 if dtype is torch.float64 else 1e-6)
    output = OutputProjection(drawn(HEADS, D_HEAD, d_model).to(dtype), torch.zeros(d_model, dtype=dtype))
    return Attention(norm, projection(3, HEADS), projection(4, 2), projection(5, 2), output, AttentionScores(1.0))


def pulled(
    layer: Attention,
    residual: Tensor,
    gradients: list[Tensor],
    dtype: torch.dtype,
    rules: BackwardRules = BackwardRules.GRADIENT,
) -> Tensor:
    made = [part.of_all(layer.norm(residual)) for part in (layer.query, layer.key, layer.value)]
    out = torch.empty(3 * HEADS, *residual.shape, dtype=dtype)
    pull_back(layer, residual, made, gradients, out, rules)
    return out


def by_autograd(
    layer: Attention, residual: Tensor, gradients: list[Tensor], rules: BackwardRules = BackwardRules.GRADIENT
) -> Tensor:
    """Every head given a copy of the residual of its own."""
    copies = residual.expand(HEADS, *residual.shape).clone().requires_grad_()
    parts = zip((layer.query, layer.key, layer.value), gradients, strict=True)
    return torch.cat([torch.autograd.grad(part.linear(layer.norm(copies, rules)), copies, at)[0] for part, at in parts])


@pytest.mark.parametrize("bare", [False, True], ids=["weights and biases", "bare"])
@pytest.mark.parametrize("kind", get_args(NormKind))
def test_gradients_are_those_of_autograd(kind: NormKind, bare: bool) -> None:
    layer, residual = attention(kind, bare=bare), 3 * drawn(BATCH, POS, D_MODEL) + 1
    gradients = [drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(20, 23)]
    wanted = by_autograd(layer, residual, gradients)
    torch.testing.assert_close(pulled(layer, residual, gradients, torch.float64), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rules", [BackwardRules.RELEVANCE, BackwardRules.INTERACTION])
@pytest.mark.parametrize("bare", [False, True], ids=["weights and biases", "bare"])
@pytest.mark.parametrize("kind", get_args(NormKind))
def test_where_norms_are_frozen_gradients_are_those_through_a_constant_scale(
    kind: NormKind, bare: bool, rules: BackwardRules
) -> None:
    layer, residual = attention(kind, bare=bare), 3 * drawn(BATCH, POS, D_MODEL) + 1
    gradients = [drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(20, 23)]
    got = pulled(layer, residual, gradients, torch.float64, rules)
    torch.testing.assert_close(got, by_autograd(layer, residual, gradients, rules), rtol=0, atol=1e-12)
    assert torch.equal(got, pulled(layer, residual, gradients, torch.float64)) == (kind == "none")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0.01, 1.0, 300.0, 2e4])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_gradients_in_half_precision_are_those_of_float64_to_rounding(
    kind: NormKind, size: float, dtype: torch.dtype
) -> None:
    """In half precision the squares of residuals from 256 on overflow, and those below 0.0002 are 0."""
    layer = attention(kind, bare=True, dtype=dtype, d_model=64)
    residual = (size * drawn(BATCH, POS, 64)).to(dtype)
    gradients = [drawn(HEADS, BATCH, POS, D_HEAD, seed=seed).to(dtype) for seed in range(20, 23)]
    exact = attention(kind, bare=True, d_model=64)
    parts = [
        Projection(part.weight.double(), None, part.norm, part.shared) for part in (layer.query, layer.key, layer.value)
    ]
    exact = Attention(Norm(kind, None, None, 1e-6), *parts, exact.output, exact.scores)
    wanted = by_autograd(exact, residual.double(), [each.double() for each in gradients])
    got = pulled(layer, residual, gradients, torch.float32)
    torch.testing.assert_close(got.double(), wanted, rtol=2e-2, atol=2e-2 * float(wanted.abs().max()))
    assert got.abs().max() > 0
