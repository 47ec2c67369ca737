"""Each part of the arithmetic is what plain PyTorch, or a formula written out, gives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from acdc.graphs.model.parts import Attention, Mlp, Norm, NormKind, Positional, Projection, Unembedding

HEADS, BATCH, POS, D_MODEL, D_HEAD = 3, 2, 5, 8, 4
NO_NORM = Norm("none")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def causal(length: int) -> Positional:
    return Positional(torch.ones(1, length, length, dtype=torch.bool).tril())


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


# Norms


def test_a_layer_norm_is_pytorchs() -> None:
    module = torch.nn.LayerNorm(D_MODEL, eps=1e-3, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(drawn(D_MODEL, seed=1))
        module.bias.copy_(drawn(D_MODEL, seed=2))
    x = drawn(BATCH, POS, D_MODEL)
    close(Norm("layer", module.weight.detach(), module.bias.detach(), 1e-3)(x), module(x).detach())


def test_an_rms_norm_divides_by_the_root_of_the_mean_square() -> None:
    x, weight = torch.tensor([[3.0, 4.0, 0.0, 0.0]], dtype=torch.float64), drawn(4)
    close(Norm("rms", weight, None, 0.0)(x), x / 2.5 * weight)  # sqrt((9 + 16) / 4) = 2.5
    close(Norm("rms", None, None, 11.0)(x), x / math.sqrt(6.25 + 11.0))


def test_an_rms_norm_is_its_scale_times_what_it_reads() -> None:
    norm, x = Norm("rms", drawn(D_MODEL, seed=1), None, 1e-5), drawn(BATCH, D_MODEL)
    close(norm.scale(x) * x, norm(x))


def test_no_norm_changes_nothing() -> None:
    x = drawn(BATCH, D_MODEL)
    assert NO_NORM(x) is x


def test_an_rms_norm_of_half_precision_is_worked_out_in_float32() -> None:
    x = torch.full((1, 4), 300.0, dtype=torch.float16)  # whose square overflows
    torch.testing.assert_close(Norm("rms")(x), torch.ones(1, 4, dtype=torch.float16))


@pytest.mark.parametrize("bare", [False, True], ids=["weight and bias", "bare"])
@pytest.mark.parametrize("kind", ["layer", "rms", "none"])
def test_a_norm_pulls_gradients_back_as_autograd_does(kind: NormKind, bare: bool) -> None:
    norm = Norm(kind, None if bare else drawn(D_MODEL, seed=1), None if bare else drawn(D_MODEL, seed=2), 1e-2)
    x, gradients = drawn(BATCH, D_MODEL).requires_grad_(), drawn(HEADS, BATCH, D_MODEL, seed=3)
    wanted = [torch.autograd.grad(norm(x), x, gradient)[0] for gradient in gradients]
    close(norm.pull_back(x.detach(), gradients), torch.stack(wanted))


# Rotary embedding


def rotation(length: int, angles: Tensor) -> tuple[Tensor, Tensor]:
    turned = torch.arange(length, dtype=torch.float64)[:, None] * angles
    both = torch.cat((turned, turned), dim=-1)[None]
    return both.cos(), both.sin()


def test_rotary_embedding_turns_each_pair_as_a_complex_number() -> None:
    """Dimension i is the real and i + 2 the imaginary part of a number multiplied by exp(i * position * angle)."""
    angles = torch.tensor([1.0, 0.01], dtype=torch.float64)
    positional = Positional(causal(POS).allowed, rotation(POS, angles))
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    turned = torch.complex(x[..., :2], x[..., 2:]) * torch.polar(
        torch.ones(POS, 2, dtype=torch.float64), torch.arange(POS, dtype=torch.float64)[:, None] * angles
    )
    close(positional.rotate(x), torch.cat((turned.real, turned.imag), dim=-1))


def test_dimensions_past_the_rotary_ones_stay() -> None:
    positional = Positional(causal(POS).allowed, rotation(POS, torch.tensor([0.5], dtype=torch.float64)))
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    turned = positional.rotate(x)
    assert torch.equal(turned[..., 2:], x[..., 2:])
    assert not torch.equal(turned[..., 1:, :2], x[..., 1:, :2])


def test_without_rotary_embedding_nothing_turns() -> None:
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    assert causal(POS).rotate(x) is x


def test_queries_at_one_position_per_prompt_are_rows_of_those_at_all() -> None:
    positional = Positional(causal(POS).allowed, rotation(POS, torch.tensor([1.0, 0.1], dtype=torch.float64)))
    positions, rows = torch.tensor([3, 1]), torch.arange(BATCH)
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    at = positional.at(positions)
    some = q[:, rows, positions][:, :, None]
    close(at.rotate(some), positional.rotate(q)[:, rows, positions][:, :, None])
    attention = attention_of(seed=5)
    whole = attention.attend(q, k, v, positional)
    close(attention.attend(some, k, v, at), whole[:, rows, positions][:, :, None])


# Projection


def test_every_head_projects_its_own_input() -> None:
    weight, bias = drawn(HEADS, D_MODEL, D_HEAD, seed=1), drawn(HEADS, D_HEAD, seed=2)
    x = drawn(HEADS, BATCH, POS, D_MODEL)
    wanted = torch.stack([x[head] @ weight[head] + bias[head] for head in range(HEADS)])
    close(Projection(weight, bias, NO_NORM)(x), wanted)
    close(Projection(weight, None, NO_NORM)(x), wanted - bias[:, None, None])


def test_selected_heads_project_with_their_own_weights_and_norm() -> None:
    norm = Norm("rms", drawn(D_HEAD, seed=3), None, 1e-5)
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=1), drawn(HEADS, D_HEAD, seed=2), norm)
    x, heads = drawn(HEADS, BATCH, POS, D_MODEL), torch.tensor([2, 0])
    close(projection(x[heads], heads), projection(x)[heads])
    close(projection(x), norm(Projection(projection.weight, projection.bias, NO_NORM)(x)))


def test_a_projection_takes_any_batch_axes() -> None:
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=1), None, NO_NORM)
    x = drawn(HEADS, 4, BATCH, POS, D_MODEL)
    close(projection(x)[:, 1], projection(x[:, 1]))


def test_a_projection_pulls_gradients_back_as_autograd_does() -> None:
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=1), drawn(HEADS, D_HEAD, seed=2), NO_NORM)
    x, gradient = drawn(HEADS, BATCH, POS, D_MODEL).requires_grad_(), drawn(HEADS, BATCH, POS, D_HEAD, seed=3)
    (wanted,) = torch.autograd.grad(projection.linear(x), x, gradient)
    close(projection.pull_back(gradient), wanted)


# Attention


def attention_of(scale: float = 0.7, soft_cap: float | None = None, seed: int = 0) -> Attention:
    def projection(offset: int) -> Projection:
        return Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=seed + offset), None, NO_NORM)

    output, bias = drawn(HEADS, D_HEAD, D_MODEL, seed=seed + 4), drawn(D_MODEL, seed=seed + 5)
    return Attention(NO_NORM, projection(1), projection(2), projection(3), output, bias, scale, soft_cap, None)


@pytest.mark.parametrize("window", [POS, 2])
def test_attention_is_pytorchs_under_the_same_mask(window: int) -> None:
    allowed = torch.ones(POS, POS, dtype=torch.bool).tril().triu(1 - window)
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=0.7)
    close(attention_of().attend(q, k, v, Positional(allowed[None])), wanted)


def test_a_soft_cap_bends_the_scores_before_the_mask() -> None:
    q, k, v = (3 * drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    scores = torch.einsum("hbqd,hbkd->hbqk", q, k) * 0.7
    capped = (2 * torch.tanh(scores / 2)).exp() * torch.ones(POS, POS, dtype=torch.float64).tril()
    wanted = torch.einsum("hbqk,hbkd->hbqd", capped / capped.sum(-1, keepdim=True), v)
    close(attention_of(soft_cap=2.0).attend(q, k, v, causal(POS)), wanted)


def test_the_first_position_gathers_its_own_value() -> None:
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    close(attention_of().attend(q, k, v, causal(POS))[:, :, 0], v[:, :, 0])


def test_heads_and_bias_add_up_to_one_multi_head_attention() -> None:
    """PyTorch's own module, with the heads' weights side by side."""
    attention, x = attention_of(scale=D_HEAD**-0.5), drawn(BATCH, POS, D_MODEL)
    width = HEADS * D_HEAD
    module = torch.nn.MultiheadAttention(width, HEADS, batch_first=True, bias=True, dtype=torch.float64)
    up = torch.eye(width, dtype=torch.float64)[:D_MODEL]  # d_model in a wider residual stream
    with torch.no_grad():
        for third, part in enumerate((attention.query, attention.key, attention.value)):
            flat = part.weight.transpose(1, 2).flatten(0, 1) @ up
            module.in_proj_weight[third * width : (third + 1) * width] = flat
        module.in_proj_bias.zero_()
        module.out_proj.weight.copy_((attention.output.flatten(0, 1) @ up).T)
        module.out_proj.bias.copy_(attention.output_bias @ up)
        mask = ~causal(POS).allowed[0]
        wanted, _ = module(*[x @ up] * 3, attn_mask=mask, need_weights=False)
    heads = x.expand(HEADS, *x.shape)
    q, k, v = attention.query(heads), attention.key(heads), attention.value(heads)
    close(attention.write(attention.attend(q, k, v, causal(POS))).sum(0) + attention.output_bias, wanted[..., :D_MODEL])


def test_selected_heads_write_what_they_write_among_all() -> None:
    attention, z, heads = attention_of(), drawn(HEADS, BATCH, POS, D_HEAD), torch.tensor([1])
    close(attention.write(z[heads], heads), attention.write(z)[heads])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0.01, 1.0, 300.0, 2e4])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_gradients_of_norms_in_half_precision_are_those_of_float64_to_rounding(
    kind: NormKind, size: float, dtype: torch.dtype
) -> None:
    """In half precision the squares of residuals from 256 on overflow, and those below 0.0002 are 0."""
    x, gradient = (size * drawn(BATCH, 64)).to(dtype), drawn(BATCH, 64, seed=1).to(dtype)
    wanted = Norm(kind, None, None, 1e-6).pull_back(x.double(), gradient.double())
    got = Norm(kind, None, None, 1e-6).pull_back(x, gradient)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), wanted, rtol=2e-2, atol=2e-2 * float(wanted.abs().max()))
    assert got.abs().max() > 0


# MLP and unembedding


def test_a_plain_mlp_is_two_linear_maps_with_a_function_between() -> None:
    into, out = (drawn(12, D_MODEL, seed=1), drawn(12, seed=2)), (drawn(D_MODEL, 12, seed=3), drawn(D_MODEL, seed=4))
    norm, x = Norm("layer", None, None, 1e-5), drawn(BATCH, POS, D_MODEL)
    mlp = Mlp(norm, into, None, out, torch.relu, NO_NORM, NO_NORM)
    hidden = torch.einsum("bpd,md->bpm", norm(x), into[0]) + into[1]
    close(mlp(x), torch.einsum("bpm,dm->bpd", hidden.clamp(min=0), out[0]) + out[1])


def test_in_a_gated_mlp_the_gate_goes_through_the_function() -> None:
    into, gate, out = (drawn(12, D_MODEL, seed=1), None), (drawn(12, D_MODEL, seed=2), None), drawn(D_MODEL, 12, seed=3)
    post, x = Norm("rms", None, None, 1e-5), drawn(BATCH, POS, D_MODEL)
    mlp = Mlp(NO_NORM, into, gate, (out, None), F.silu, NO_NORM, post)
    close(mlp(x), post((F.silu(x @ gate[0].T) * (x @ into[0].T)) @ out.T))


def test_an_inner_norm_stands_between_the_function_and_the_second_map() -> None:
    into, out, inner = (drawn(12, D_MODEL, seed=1), None), drawn(D_MODEL, 12, seed=2), Norm("layer", None, None, 1e-5)
    x = drawn(BATCH, D_MODEL)
    mlp = Mlp(NO_NORM, into, None, (out, None), torch.relu, inner, NO_NORM)
    close(mlp(x), F.layer_norm(torch.relu(x @ into[0].T), (12,)) @ out.T)


@pytest.mark.parametrize("bias", [None, drawn(20, seed=7)], ids=["no bias", "bias"])
@pytest.mark.parametrize("soft_cap", [None, 1.5])
def test_columns_of_the_unembedding_are_those_of_the_whole(bias: Tensor | None, soft_cap: float | None) -> None:
    unembedding = Unembedding(Norm("rms", None, None, 1e-5), drawn(20, D_MODEL, seed=1), bias, soft_cap)
    residual, columns = drawn(4, BATCH, D_MODEL), torch.tensor([[3, 19, 0], [5, 5, 1]])
    logits = unembedding(residual)
    assert logits.shape == (4, BATCH, 20)
    close(unembedding(residual, columns), logits.gather(-1, columns.expand(4, -1, -1)))
    if soft_cap is not None:
        assert logits.abs().max() < soft_cap
