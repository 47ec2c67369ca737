"""Every rule's derivative is the formula written out, and no rule changes a value."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acdc.graphs.model.backward_rules import BackwardRules
from acdc.graphs.model.mlp import FeedForward, Mlp, WholeModule
from acdc.graphs.model.parts import Attention, AttentionScores, HeadNorm, Norm, NormKind, OutputProjection, Projection
from tests.graphs.model.test_parts import BATCH, D_HEAD, D_MODEL, HEADS, NO_HEAD_NORM, NO_NORM, POS, causal, drawn

OTHERS = (BackwardRules.RELEVANCE, BackwardRules.INTERACTION)
HALF = (torch.float16, torch.bfloat16)


def solu(x: Tensor) -> Tensor:
    return x * x.softmax(-1)


def gradient_at(made: Tensor, x: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(made, x, at)[0]


def close(got: Tensor, wanted: Tensor) -> None:
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("function", [F.gelu, F.silu, torch.relu, solu], ids=["gelu", "silu", "relu", "solu"])
def test_by_relevance_an_activation_function_has_its_value_over_what_it_reads(function: nn.Module) -> None:
    x, at = drawn(BATCH, D_MODEL).requires_grad_(), drawn(BATCH, D_MODEL, seed=1)
    got = gradient_at(BackwardRules.RELEVANCE.activated(function, x), x, at)
    close(got, at * function(x.detach()) / x.detach())
    assert torch.allclose(got, gradient_at(function(x), x, at)) == (function is torch.relu)


@pytest.mark.parametrize(
    ("function", "slope"),
    [(F.gelu, 0.5), (F.silu, 0.5), (torch.relu, 0.0), (solu, 0.25)],
    ids=["gelu", "silu", "relu", "solu"],
)
def test_at_0_the_coefficient_is_the_derivative(function: nn.Module, slope: float) -> None:
    """SoLU of four numbers, three of them 0 and the last nearly: each has a quarter of the softmax."""
    x = torch.tensor([0.0, 0.0, 0.0, 1e-9], dtype=torch.float64, requires_grad=True)
    got = gradient_at(BackwardRules.RELEVANCE.activated(function, x), x, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(got[:3], torch.full((3,), slope, dtype=torch.float64), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_the_coefficient_of_the_smallest_numbers_is_not_lost(dtype: torch.dtype) -> None:
    """Half of the smallest number is 0 in half precision."""
    x = torch.full((3,), torch.finfo(dtype).smallest_normal, dtype=dtype).mul(torch.finfo(dtype).eps).requires_grad_()
    assert x.min() > 0
    got = gradient_at(BackwardRules.RELEVANCE.activated(F.silu, x), x, torch.ones_like(x))
    torch.testing.assert_close(got, torch.full_like(got, 0.5))


def test_the_interaction_rules_leave_activation_functions_alone() -> None:
    x, at = drawn(BATCH, D_MODEL).requires_grad_(), drawn(BATCH, D_MODEL, seed=1)
    got = gradient_at(BackwardRules.INTERACTION.activated(F.silu, x), x, at)
    assert torch.equal(got, gradient_at(F.silu(x), x, at))


@pytest.mark.parametrize("rules", OTHERS)
def test_each_factor_of_a_gate_has_half_of_its_derivative(rules: BackwardRules) -> None:
    gate, hidden = (drawn(BATCH, D_MODEL, seed=seed).requires_grad_() for seed in (1, 2))
    at = drawn(BATCH, D_MODEL, seed=3)
    got = torch.autograd.grad(rules.gated(gate, hidden), (gate, hidden), at)
    close(got[0], at * hidden.detach() / 2)
    close(got[1], at * gate.detach() / 2)


@pytest.mark.parametrize("rules", OTHERS)
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_the_scale_of_a_norm_is_a_constant(rules: BackwardRules, kind: NormKind) -> None:
    weight, bias = drawn(D_MODEL, seed=1), drawn(D_MODEL, seed=2) if kind == "layer" else None
    x, at = (3 * drawn(BATCH, D_MODEL) + 1).requires_grad_(), drawn(BATCH, D_MODEL, seed=3)
    centred = x.detach() - x.detach().mean(-1, keepdim=True) if kind == "layer" else x.detach()
    wanted = at * weight / (centred.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    wanted = wanted - wanted.mean(-1, keepdim=True) if kind == "layer" else wanted
    norm = Norm(kind, weight, bias, 1e-3)
    close(gradient_at(norm(x, rules), x, at), wanted)
    assert not torch.allclose(wanted, gradient_at(norm(x), x, at), rtol=0.1)


def test_the_pattern_has_the_derivative_of_a_softmax_at_twice_the_temperature_not_divided_by_it() -> None:
    scores, at = (2 * drawn(HEADS, POS, POS)).requires_grad_(), drawn(HEADS, POS, POS, seed=1)
    softer = (scores.detach() / 2).softmax(-1)
    jacobian = torch.diag_embed(softer) - softer[..., :, None] * softer[..., None, :]
    got = gradient_at(BackwardRules.INTERACTION.pattern(scores), scores, at)
    close(got, torch.einsum("hqk,hqkl->hql", at, jacobian))


def attention(soft_cap: float | None = None) -> Attention:
    parts = [Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=seed), None, NO_HEAD_NORM) for seed in range(3)]
    output = OutputProjection(drawn(HEADS, D_HEAD, D_MODEL), drawn(D_MODEL))
    return Attention(NO_NORM, *parts, output, AttentionScores(0.7, soft_cap))


@pytest.mark.parametrize("cap", [None, 1.5])
def test_by_interaction_gradients_are_halved_at_values_and_quartered_at_queries_and_keys(cap: float | None) -> None:
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed).requires_grad_() for seed in range(4, 7))
    at = drawn(HEADS, BATCH, POS, D_HEAD, seed=8)
    got = torch.autograd.grad(
        attention(cap).attend(q, k, v, causal(POS), rules=BackwardRules.INTERACTION), (q, k, v), at
    )
    scores = 0.7 * q @ k.transpose(-2, -1)
    scores = (scores if cap is None else cap * torch.tanh(scores / cap)).masked_fill(~causal(POS).allowed, -torch.inf)
    at_pattern = at @ v.detach().transpose(-2, -1)
    softer = (scores.detach() / 2).softmax(-1)
    at_scores = softer * (at_pattern - (softer * at_pattern).sum(-1, keepdim=True))
    at_q, at_k = torch.autograd.grad(scores, (q, k), at_scores)
    close(got[0], at_q / 4)
    close(got[1], at_k / 4)
    close(got[2], scores.detach().softmax(-1).transpose(-2, -1) @ at / 2)


def test_by_relevance_attention_has_its_own_derivative() -> None:
    """So that edges into queries and keys have scores."""
    made = [drawn(HEADS, BATCH, POS, D_HEAD, seed=seed).requires_grad_() for seed in range(4, 7)]
    at = drawn(HEADS, BATCH, POS, D_HEAD, seed=8)
    got, wanted = (
        torch.autograd.grad(attention().attend(*made, causal(POS), rules=rules), made, at)
        for rules in (BackwardRules.RELEVANCE, BackwardRules.GRADIENT)
    )
    assert all(torch.equal(*pair) for pair in zip(got, wanted, strict=True))
    assert min(part.abs().max() for part in got) > 0.01


@pytest.mark.parametrize("rules", OTHERS)
def test_norms_of_queries_are_frozen_too(rules: BackwardRules) -> None:
    norm = Norm("rms", drawn(D_HEAD, seed=1), None, 1e-3)
    part = Projection(drawn(HEADS, D_MODEL, D_HEAD), None, HeadNorm(norm))
    made, at = drawn(HEADS, POS, D_HEAD, seed=2).requires_grad_(), drawn(HEADS, POS, D_HEAD, seed=3)
    close(gradient_at(part.finish(made, rules=rules), made, at), at * norm.scale(made.detach()))


@pytest.mark.parametrize("function", [F.gelu, F.silu, torch.relu], ids=["gelu", "silu", "relu"])
@pytest.mark.parametrize("gated", [True, False])
def test_relevance_is_conserved_by_an_mlp_without_biases(gated: bool, function: nn.Module) -> None:
    """What it reads, times its coefficients, adds up to what it writes, times theirs, exactly; gradients miss that."""
    into, gate, out = (drawn(12, D_MODEL, seed=1), None), (drawn(12, D_MODEL, seed=2), None), drawn(D_MODEL, 12, seed=3)
    inner = FeedForward(into, gate if gated else None, (out, None), function, NO_NORM)
    mlp = Mlp(Norm("rms", drawn(D_MODEL, seed=4), None, 1e-3), inner, Norm("layer", drawn(D_MODEL, seed=5), None, 1e-3))
    x, at = drawn(BATCH, POS, D_MODEL).requires_grad_(), drawn(BATCH, POS, D_MODEL, seed=6)
    wrote = mlp(x, BackwardRules.RELEVANCE)
    close((gradient_at(wrote, x, at) * x).sum(-1).detach(), (wrote * at).sum(-1).detach())
    assert not torch.allclose((gradient_at(mlp(x), x, at) * x).sum(-1), (wrote * at).sum(-1), rtol=0.1)


@pytest.mark.parametrize("rules", OTHERS)
def test_a_module_that_is_run_whole_has_its_own_derivative_between_frozen_norms(rules: BackwardRules) -> None:
    module = nn.Sequential(nn.Linear(D_MODEL, D_MODEL), nn.SiLU()).double()
    norm, x, at = Norm("rms", None, None, 1e-3), drawn(BATCH, POS, D_MODEL).requires_grad_(), drawn(BATCH, POS, D_MODEL)
    got = gradient_at(Mlp(norm, WholeModule.of(module), NO_NORM)(x, rules), x, at)
    normed = norm(x.detach()).requires_grad_()
    close(got, gradient_at(module(normed), normed, at) * norm.scale(x.detach()))


@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("rules", OTHERS)
def test_no_value_changes(rules: BackwardRules, size: float, dtype: torch.dtype) -> None:
    def to(*shape: int, seed: int) -> Tensor:
        return drawn(*shape, seed=seed).to(dtype)

    inner = FeedForward(
        (to(12, 8, seed=1), None), (to(12, 8, seed=2), None), (to(8, 12, seed=3), None), F.silu, NO_NORM
    )
    mlp = Mlp(Norm("layer", to(8, seed=4), to(8, seed=5), 1e-5), inner, Norm("rms", to(8, seed=6), None, 1e-6))
    x = (size * drawn(BATCH, POS, 8)).to(dtype).requires_grad_()
    assert torch.equal(mlp(x, rules), mlp(x))
    q, k, v = ((size * drawn(HEADS, BATCH, POS, D_HEAD, seed=seed)).to(dtype).requires_grad_() for seed in range(3))
    assert torch.equal(attention().attend(q, k, v, causal(POS), rules=rules), attention().attend(q, k, v, causal(POS)))
