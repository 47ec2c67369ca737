"""Activations times directions add up to what is written: all of it less the bias, or the reconstruction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features import load
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.tapped_run import tapped_run
from acdc.graphs.features.units import Features, Neurons
from acdc.graphs.model.mlp import FeedForward
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.random_circuits import CLEAN
from tests.native_bridges import native_model

WRITTEN = Path(__file__).parent / "written"


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2", "granite", "gpt_neox"])
def test_neurons_add_up_to_what_the_mlp_writes_less_its_bias(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model = checkpoints.model(architecture)
    neurons = Neurons.of(model, 1)
    with torch.no_grad():
        found = tapped_run(model, CLEAN, {neurons.reads, neurons.writes}).found
        total = neurons.activations(found[neurons.reads]) @ neurons.directions
    assert isinstance(neurons.mlp.inner, FeedForward)
    bias = neurons.mlp.inner.out[1]
    torch.testing.assert_close(total + (0 if bias is None else bias), found[neurons.writes])
    assert neurons.name(7) == "m1.n7"


def test_features_of_what_heads_gather_write_through_the_heads() -> None:
    model = native_model("relu")
    (dictionary,) = load(WRITTEN / "standard-hook-z")
    features = Features.of(dictionary, model)
    with torch.no_grad():
        found = tapped_run(model, CLEAN % 64, {features.reads, Hook("attn_out", 1)}).found
        z = found[features.reads]
        said = features.dictionary.reconstruct(z) - features.dictionary.decoder.bias
        output = model.layers[1].attention.output.weight.flatten(0, 1)
        torch.testing.assert_close(features.activations(z) @ features.directions, said @ output)
    assert features.name(3) == "a1.f3"


def test_experts_have_no_neurons(checkpoints: Checkpoints) -> None:
    with pytest.raises(BadDictionary, match="mixture of experts"):
        Neurons.of(checkpoints.model("mixtral"), 0)
