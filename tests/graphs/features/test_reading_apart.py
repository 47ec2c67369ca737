"""Parts that read for themselves write their share of what the MLP makes of their own input, by cheap forms or not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from acdc.graphs.features.activation import AbstractActivation, Gated, Rectified, Thresholded, TopK
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder, Normalisation
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.splitting import FeatureParts, NeuronParts
from acdc.graphs.model import Model
from acdc.graphs.model.layer import Layer
from acdc.graphs.model.mlp import FeedForward
from acdc.graphs.model.parts import Norm
from tests.checkpoints import Architecture, Checkpoints

COUNT, CHOSEN = 9, [1, 2, 6]
ACTIVATIONS: tuple[AbstractActivation, ...] = (
    Rectified(),
    TopK(2),
    Thresholded(torch.linspace(0, 1, COUNT, dtype=torch.float64)),
    Gated(*torch.randn(3, COUNT, generator=torch.Generator().manual_seed(1), dtype=torch.float64)),
)


def solu(x: Tensor) -> Tensor:
    return x * x.softmax(-1)


def of_features(model: Model, activation: AbstractActivation, reads: str, how: Normalisation) -> FeatureParts:
    """Features of m1, drawn at random, with everything that a dictionary may have."""
    draw, width = torch.Generator().manual_seed(2), model.graph.d_model

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    encoder = Encoder(drawn(width, COUNT), drawn(COUNT), activation, drawn(width) / 4, drawn(COUNT).exp())
    decoder = Decoder(drawn(COUNT, width), drawn(width))
    made = Dictionary("drawn", encoder, decoder, Hook(reads, 1), Hook("mlp_out", 1), how)  # type: ignore[arg-type]
    return FeatureParts.of(model, made, CHOSEN)


@pytest.fixture(scope="module")
def residuals() -> Tensor:
    """Three residual streams, the last of which is the first again."""
    made = torch.randn(3, 2, 4, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made[2] = made[0]
    return made


def defined(layer: Layer, residuals: Tensor, parts: Tensor) -> Tensor:
    """By the definition: all shares of what the MLP makes of each residual stream, and of these the part's own."""
    assert layer.parts is not None
    assert layer.mlp is not None
    every = [layer.parts(layer.mlp, residual) for residual in residuals]
    return torch.stack([shares[part] for shares, part in zip(every, parts.tolist(), strict=True)])


def check(layer: Layer, residuals: Tensor) -> None:
    """Every part at every input, with gradients and without, alone and together."""
    assert layer.parts is not None
    count = len(layer.parts.names)
    for shift in range(len(residuals)):
        inputs = (torch.arange(count) + shift) % len(residuals)
        parts = torch.randperm(count, generator=torch.Generator().manual_seed(shift))
        own = residuals[inputs]
        wanted = defined(layer, own, parts)
        torch.testing.assert_close(layer.mlp_apart(own, parts), wanted, rtol=0, atol=1e-11)
        with torch.enable_grad():
            leaf, other = own.clone().requires_grad_(), own.clone().requires_grad_()
            torch.testing.assert_close(layer.mlp_apart(leaf, parts), wanted, rtol=0, atol=1e-11)
            slope = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
            [found] = torch.autograd.grad(layer.mlp_apart(leaf, parts), leaf, slope)
            [known] = torch.autograd.grad(defined(layer, other, parts), other, slope)
        torch.testing.assert_close(found, known, rtol=0, atol=1e-10)
        last = torch.tensor([count - 1])
        torch.testing.assert_close(layer.mlp_apart(own[:1], last), defined(layer, own[:1], last), rtol=0, atol=1e-11)


def split(model: Model, parts: NeuronParts | FeatureParts, layer: int) -> Layer:
    return model.split({layer: parts}).layers[layer]


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "olmo2"])
def test_a_neuron_needs_its_own_rows_only(
    checkpoints: Checkpoints, architecture: Architecture, residuals: Tensor
) -> None:
    model = checkpoints.model(architecture)
    check(split(model, NeuronParts.of(model, 0), 0), residuals[..., : model.graph.d_model])


@pytest.mark.parametrize("spans", ["norm", "activation"])
def test_a_neuron_needs_the_others_where_something_spans_them(
    checkpoints: Checkpoints, spans: str, residuals: Tensor
) -> None:
    model = checkpoints.model("gpt2")
    layer = split(model, NeuronParts.of(model, 0), 0)
    assert layer.mlp is not None
    assert isinstance(layer.mlp.inner, FeedForward)
    changed = {"norm": Norm("layer", eps=1e-5)} if spans == "norm" else {"activation": solu}
    mlp = replace(layer.mlp, inner=replace(layer.mlp.inner, **changed))
    check(replace(layer, mlp=mlp), residuals)


@pytest.mark.parametrize("reads", ["mlp_out", "mlp_in", "resid_mid"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: type(activation).__name__)
def test_a_feature_needs_its_own_row_of_the_encoder(
    checkpoints: Checkpoints, activation: AbstractActivation, reads: str, residuals: Tensor
) -> None:
    model = checkpoints.model("llama")
    layer = split(model, of_features(model, activation, reads, Normalisation.NONE), 1)
    assert layer.parts is not None
    assert layer.parts.names == ("f1", "f2", "f6", "rest", "error")
    check(layer, residuals[..., : model.graph.d_model])


@pytest.mark.parametrize("how", [Normalisation.CONSTANT_NORM, Normalisation.LAYER_NORM])
def test_what_normalises_activations_is_that_of_the_part_s_own_input(
    checkpoints: Checkpoints, how: Normalisation, residuals: Tensor
) -> None:
    model = checkpoints.model("gemma2")
    check(split(model, of_features(model, Rectified(), "mlp_out", how), 1), residuals[..., : model.graph.d_model])


def test_parts_of_the_same_input_share_what_is_made_of_it(checkpoints: Checkpoints, residuals: Tensor) -> None:
    model, ran = checkpoints.model("llama"), list[int]()
    layer = split(model, of_features(model, Rectified(), "mlp_out", Normalisation.NONE), 1)
    assert layer.mlp is not None

    def noted(x: Tensor) -> Tensor:
        ran.append(x.numel())
        return torch.nn.functional.silu(x)

    assert isinstance(layer.mlp.inner, FeedForward)
    layer = replace(layer, mlp=replace(layer.mlp, inner=replace(layer.mlp.inner, activation=noted)))
    own = residuals[..., : model.graph.d_model]
    layer.mlp_apart(own, torch.arange(3))  # two of the three streams are the same
    shared = sum(ran)
    ran.clear()
    layer.mlp_apart(own[:2], torch.arange(2))
    assert shared == sum(ran) > 0
