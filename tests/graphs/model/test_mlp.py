"""An MLP is what plain PyTorch, or a formula written out, gives, and a module that is run whole is that module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acdc.graphs.model.mlp import FeedForward, Mlp, WholeModule
from acdc.graphs.model.parts import Norm
from tests.graphs.model.test_parts import BATCH, D_MODEL, NO_NORM, POS, close, drawn


def test_a_plain_mlp_is_two_linear_maps_with_a_function_between() -> None:
    into, out = (drawn(12, D_MODEL, seed=1), drawn(12, seed=2)), (drawn(D_MODEL, 12, seed=3), drawn(D_MODEL, seed=4))
    norm, x = Norm("layer", None, None, 1e-5), drawn(BATCH, POS, D_MODEL)
    mlp = Mlp(norm, FeedForward(into, None, out, torch.relu, NO_NORM), NO_NORM)
    hidden = torch.einsum("bpd,md->bpm", norm(x), into[0]) + into[1]
    close(mlp(x), torch.einsum("bpm,dm->bpd", hidden.clamp(min=0), out[0]) + out[1])


def test_in_a_gated_mlp_the_gate_goes_through_the_function() -> None:
    into, gate, out = (drawn(12, D_MODEL, seed=1), None), (drawn(12, D_MODEL, seed=2), None), drawn(D_MODEL, 12, seed=3)
    post, x = Norm("rms", None, None, 1e-5), drawn(BATCH, POS, D_MODEL)
    mlp = Mlp(NO_NORM, FeedForward(into, gate, (out, None), F.silu, NO_NORM), post)
    close(mlp(x), post((F.silu(x @ gate[0].T) * (x @ into[0].T)) @ out.T))


def test_an_inner_norm_stands_between_the_function_and_the_second_map() -> None:
    into, out, inner = (drawn(12, D_MODEL, seed=1), None), drawn(D_MODEL, 12, seed=2), Norm("layer", None, None, 1e-5)
    x = drawn(BATCH, D_MODEL)
    mlp = Mlp(NO_NORM, FeedForward(into, None, (out, None), torch.relu, inner), NO_NORM)
    close(mlp(x), F.layer_norm(torch.relu(x @ into[0].T), (12,)) @ out.T)


class Rounding(nn.Module):
    """A mixture of two experts, each position's weight of which is worked out in float32, as routers do."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(D_MODEL, 2, dtype=torch.float64)
        self.experts = nn.ModuleList(nn.Linear(D_MODEL, D_MODEL, dtype=torch.float64) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x)
        weights = scores.float().softmax(-1).to(x.dtype)
        return sum(weights[..., [index]] * expert(x) for index, expert in enumerate(self.experts)), scores


def test_a_module_is_run_position_by_position_and_exactly() -> None:
    module, x = Rounding(), drawn(3, BATCH, POS, D_MODEL)
    weights = module.router(x).softmax(-1)
    wanted = sum(weights[..., [index]] * expert(x) for index, expert in enumerate(module.experts))
    close(WholeModule.of(module)(x), wanted.detach())


def test_gradients_flow_through_a_module_but_not_to_its_weights() -> None:
    module = Rounding()
    x = drawn(BATCH, POS, D_MODEL).requires_grad_()
    mlp = Mlp(Norm("rms", None, None, 1e-5), WholeModule.of(module), NO_NORM, scale=0.5)
    wrote = mlp(x)
    (gradient,) = torch.autograd.grad(wrote.sum(), x)
    step, direction = 1e-6, drawn(BATCH, POS, D_MODEL, seed=1)
    with torch.no_grad():
        rise = (mlp(x + step * direction).sum() - mlp(x - step * direction).sum()) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), rise, rtol=1e-6, atol=1e-6)
    assert all(weight.requires_grad for weight in module.parameters())
    (wrote,) = (mlp(drawn(BATCH, POS, D_MODEL)),)
    assert not wrote.requires_grad


def test_what_an_mlp_writes_is_scaled_after_its_norms() -> None:
    into, out, x = (drawn(12, D_MODEL, seed=1), None), (drawn(D_MODEL, 12, seed=2), None), drawn(BATCH, D_MODEL)
    inner, post = FeedForward(into, None, out, torch.relu, NO_NORM), Norm("rms", None, None, 1e-5)
    close(Mlp(NO_NORM, inner, post, scale=0.4)(x), 0.4 * Mlp(NO_NORM, inner, post)(x))
