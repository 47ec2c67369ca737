"""Each part of the arithmetic is what plain PyTorch, or a formula written out, gives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from acdc.graphs.model.geometry import Geometry
from acdc.graphs.model.parts import (
    Attention,
    AttentionScores,
    HeadNorm,
    Norm,
    OutputProjection,
    Projection,
    Scales,
)

HEADS, BATCH, POS, D_MODEL, D_HEAD = 3, 2, 5, 8, 4
NO_NORM = Norm("none")
NO_HEAD_NORM = HeadNorm(NO_NORM)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def causal(length: int) -> Geometry:
    return Geometry(torch.ones(1, length, length, dtype=torch.bool).tril())


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


# Rotary embedding


def rotation(length: int, angles: Tensor) -> tuple[Tensor, Tensor]:
    turned = torch.arange(length, dtype=torch.float64)[:, None] * angles
    both = torch.cat((turned, turned), dim=-1)[None]
    return both.cos(), both.sin()


def test_rotary_embedding_turns_each_pair_as_a_complex_number() -> None:
    """Dimension i is the real and i + 2 the imaginary part of a number multiplied by exp(i * position * angle)."""
    angles = torch.tensor([1.0, 0.01], dtype=torch.float64)
    geometry = Geometry(causal(POS).allowed, rotation(POS, angles))
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    turned = torch.complex(x[..., :2], x[..., 2:]) * torch.polar(
        torch.ones(POS, 2, dtype=torch.float64), torch.arange(POS, dtype=torch.float64)[:, None] * angles
    )
    close(geometry.rotate(x), torch.cat((turned.real, turned.imag), dim=-1))


def test_neighbours_turn_as_halves_do_in_another_order() -> None:
    halves = rotation(POS, torch.tensor([1.0, 0.01], dtype=torch.float64))
    pairs = tuple(part[..., [0, 2, 1, 3]] for part in halves)
    x, order = drawn(HEADS, BATCH, POS, D_HEAD), torch.tensor([0, 2, 1, 3])
    turned = Geometry(causal(POS).allowed, (pairs[0], pairs[1]), neighbours=True).rotate(x[..., order])
    close(turned, Geometry(causal(POS).allowed, halves).rotate(x)[..., order])


def test_dimensions_past_the_rotary_ones_stay() -> None:
    geometry = Geometry(causal(POS).allowed, rotation(POS, torch.tensor([0.5], dtype=torch.float64)))
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    turned = geometry.rotate(x)
    assert torch.equal(turned[..., 2:], x[..., 2:])
    assert not torch.equal(turned[..., 1:, :2], x[..., 1:, :2])


def test_without_rotary_embedding_nothing_turns() -> None:
    x = drawn(HEADS, BATCH, POS, D_HEAD)
    assert causal(POS).rotate(x) is x


def test_queries_at_one_position_per_prompt_are_rows_of_those_at_all() -> None:
    geometry = Geometry(causal(POS).allowed, rotation(POS, torch.tensor([1.0, 0.1], dtype=torch.float64)))
    positions, rows = torch.tensor([3, 1]), torch.arange(BATCH)
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    at = geometry.at(positions)
    some = q[:, rows, positions][:, :, None]
    close(at.rotate(some), geometry.rotate(q)[:, rows, positions][:, :, None])
    attention = attention_of(seed=5)
    whole = attention.attend(q, k, v, geometry)
    close(attention.attend(some, k, v, at), whole[:, rows, positions][:, :, None])


# Projection


def test_every_head_projects_its_own_input() -> None:
    weight, bias = drawn(HEADS, D_MODEL, D_HEAD, seed=1), drawn(HEADS, D_HEAD, seed=2)
    x = drawn(HEADS, BATCH, POS, D_MODEL)
    wanted = torch.stack([x[head] @ weight[head] + bias[head] for head in range(HEADS)])
    close(Projection(weight, bias, NO_HEAD_NORM).linear(x), wanted)
    close(Projection(weight, None, NO_HEAD_NORM).linear(x), wanted - bias[:, None, None])


def test_selected_heads_project_with_their_own_weights_and_norm() -> None:
    norm = Norm("rms", drawn(D_HEAD, seed=3), None, 1e-5)
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=1), drawn(HEADS, D_HEAD, seed=2), HeadNorm(norm))
    x, heads = drawn(HEADS, BATCH, POS, D_MODEL), torch.tensor([2, 0])
    made = projection.linear(x)
    close(projection.linear(x[heads], heads), made[heads])
    close(projection.finish(made[heads], heads), projection.finish(made)[heads])
    close(projection.finish(made), norm(made))


@pytest.mark.parametrize("some", [True, False])
@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_a_scale_that_is_put_on_last_changes_nothing(some: bool, shared: int, weighted: bool, biased: bool) -> None:
    bias = drawn(2, D_HEAD, seed=2) if biased else None
    projection = Projection(drawn(2, D_MODEL, D_HEAD, seed=1), bias, NO_HEAD_NORM, shared)
    norm = Norm("rms", drawn(D_MODEL, seed=3) if weighted else None, None, 1e-5)
    heads = torch.tensor([2 * shared - 1, 0, 1]) if some else None
    x = drawn(2 * shared if heads is None else len(heads), BATCH, POS, D_MODEL, seed=4)
    close(projection.of_normed(norm, x, heads), projection.linear(norm(x), heads))


def test_a_projection_takes_any_batch_axes() -> None:
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=1), None, NO_HEAD_NORM)
    x = drawn(HEADS, 4, BATCH, POS, D_MODEL)
    close(projection.linear(x)[:, 1], projection.linear(x[:, 1]))


# Attention


def attention_of(scale: float = 0.7, soft_cap: float | None = None, seed: int = 0) -> Attention:
    def projection(offset: int) -> Projection:
        return Projection(drawn(HEADS, D_MODEL, D_HEAD, seed=seed + offset), None, NO_HEAD_NORM)

    output = OutputProjection(drawn(HEADS, D_HEAD, D_MODEL, seed=seed + 4), drawn(D_MODEL, seed=seed + 5))
    return Attention(NO_NORM, projection(1), projection(2), projection(3), output, AttentionScores(scale, soft_cap))


@pytest.mark.parametrize("window", [POS, 2])
def test_attention_is_pytorchs_under_the_same_mask(window: int) -> None:
    allowed = torch.ones(POS, POS, dtype=torch.bool).tril().triu(1 - window)
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=0.7)
    close(attention_of().attend(q, k, v, Geometry(allowed[None])), wanted)


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
        module.out_proj.weight.copy_((attention.output.weight.flatten(0, 1) @ up).T)
        module.out_proj.bias.copy_(attention.output.bias @ up)
        mask = ~causal(POS).allowed[0]
        wanted, _ = module(*[x @ up] * 3, attn_mask=mask, need_weights=False)
    heads = x.expand(HEADS, *x.shape)
    q, k, v = (part.linear(heads) for part in (attention.query, attention.key, attention.value))
    close(attention.write(attention.attend(q, k, v, causal(POS))).sum(0) + attention.output.bias, wanted[..., :D_MODEL])


def test_selected_heads_write_what_they_write_among_all() -> None:
    attention, z, heads = attention_of(), drawn(HEADS, BATCH, POS, D_HEAD), torch.tensor([1])
    close(attention.write(z[heads], heads), attention.write(z)[heads])


# What is of all heads, or of groups of them


def test_heads_of_a_group_share_a_weight() -> None:
    weight, bias, gain = drawn(2, D_MODEL, D_HEAD, seed=1), drawn(2, D_HEAD, seed=2), drawn(2, D_HEAD, seed=3)
    norm = Norm("rms", None, None, 1e-5)
    grouped = Projection(weight, bias, HeadNorm(norm, gain), shared=3)
    apart = [part.repeat_interleave(3, dim=0) for part in (weight, bias, gain)]
    single = Projection(apart[0], apart[1], HeadNorm(norm, apart[2]))
    x, heads = drawn(6, BATCH, POS, D_MODEL), torch.tensor([5, 0, 2])
    close(grouped.linear(x), single.linear(x))
    close(grouped.linear(x[heads], heads), single.linear(x)[heads])
    close(grouped.of_all(x[0]), single.linear(x[:1].expand(6, -1, -1, -1)))
    made = drawn(6, 4, BATCH, POS, D_HEAD)
    close(grouped.finish(made), single.finish(made))
    close(grouped.finish(made[heads], heads), single.finish(made)[heads])


def test_a_gain_multiplies_each_heads_own_norm() -> None:
    norm, gain, made = Norm("layer", None, None, 1e-5), drawn(HEADS, D_HEAD, seed=1), drawn(HEADS, BATCH, POS, D_HEAD)
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD), None, HeadNorm(norm, gain))
    close(projection.finish(made), torch.stack([norm(made[head]) * gain[head] for head in range(HEADS)]))


def test_a_joint_norm_is_one_of_all_heads_side_by_side() -> None:
    gain, made = drawn(HEADS, D_HEAD, seed=1), drawn(HEADS, BATCH, POS, D_HEAD)
    joint = HeadNorm(Norm("rms", None, None, 1e-5), gain, joint=True)
    projection = Projection(drawn(HEADS, D_MODEL, D_HEAD), None, joint)
    flat = made.permute(1, 2, 0, 3).flatten(2)
    wanted = Norm("rms", gain.flatten(), None, 1e-5)(flat).unflatten(2, (HEADS, D_HEAD)).permute(2, 0, 1, 3)
    close(projection.finish(made, scale=joint.scale(made)), wanted)
    assert HeadNorm(joint.norm, gain).scale(made) is None


def test_nothing_is_larger_than_the_clip() -> None:
    made = 3 * drawn(HEADS, BATCH, POS, D_HEAD)
    clipped = Projection(drawn(HEADS, D_MODEL, D_HEAD), None, NO_HEAD_NORM, clip=0.5).finish(made)
    close(clipped, made.clip(-0.5, 0.5))


def test_scales_are_put_together_kind_by_kind() -> None:
    one, other = (
        Scales(drawn(BATCH, POS, D_MODEL, seed=seed), None, drawn(BATCH, POS, 1, seed=seed)) for seed in (1, 2)
    )
    both = Scales.cat([one, other])
    assert both.heads is not None
    assert both.key is not None
    assert both.query is None
    assert both.heads.shape == (2 * BATCH, POS, D_MODEL)
    again = both.map(lambda part: part[BATCH:])
    assert again.key is not None
    assert other.key is not None
    close(again.key, other.key)


def test_a_bias_is_added_to_the_scores_of_each_key_by_each_head() -> None:
    q, k, v = (drawn(HEADS, BATCH, POS, D_HEAD, seed=seed) for seed in range(3))
    bias, allowed = drawn(HEADS, POS, seed=4), torch.ones(1, POS, POS, dtype=torch.bool).tril()
    mask = torch.where(allowed, bias[:, None], -torch.inf)[:, None]
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.7)
    geometry, heads = Geometry(allowed, bias=bias), torch.tensor([2, 0])
    close(attention_of().attend(q, k, v, geometry), wanted)
    close(attention_of().attend(q[heads], k[heads], v[heads], geometry, heads), wanted[heads])
    short = geometry.first(3)
    close(attention_of().attend(q[:, :, :3], k[:, :, :3], v[:, :, :3], short), wanted[:, :, :3])
