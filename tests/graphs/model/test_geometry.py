"""What positions do is read from what the model hands its layers, whatever the architecture."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.model.geometry import turned_layers, turns_neighbours
from tests.checkpoints import Architecture, Checkpoints


@pytest.mark.parametrize(
    ("architecture", "wanted"), [("smollm3", (True, False)), ("llama", (True, True)), ("gptj", (False, False))]
)
def test_layers_that_make_no_use_of_the_rotation_are_found(
    checkpoints: Checkpoints, architecture: Architecture, wanted: tuple[bool, ...]
) -> None:
    """GPT-J's layers are handed none: they keep it themselves."""
    assert turned_layers(checkpoints.model(architecture).bridge) == wanted


@pytest.mark.parametrize(("architecture", "wanted"), [("llama", False), ("cohere", True), ("gptj", True)])
def test_whether_neighbours_turn_is_told_by_the_models_own_function(
    checkpoints: Checkpoints, architecture: Architecture, wanted: bool
) -> None:
    assert turns_neighbours(checkpoints.model(architecture).bridge.blocks[0].attn.original_component) == wanted


def test_windows_that_a_layer_keeps_are_read(checkpoints: Checkpoints) -> None:
    whole, local = (geometry.allowed[0] for geometry in checkpoints.model("gpt_neo").geometries(6))
    assert torch.equal(whole, torch.ones(6, 6, dtype=torch.bool).tril())
    assert torch.equal(local, torch.ones(6, 6, dtype=torch.bool).tril().triu(-2))


def test_biases_by_distance_are_read(checkpoints: Checkpoints) -> None:
    """The slopes are 1/4, 1/16, ... of a score per position (Press et al. 2022, section 3)."""
    geometries = checkpoints.model("bloom").geometries(5)
    slopes = torch.tensor([2.0 ** -(2 * head) for head in range(1, 5)], dtype=torch.float64)
    for geometry in geometries:
        assert geometry.bias is not None
        torch.testing.assert_close(geometry.bias, slopes[:, None] * torch.arange(5), rtol=0, atol=0)


def test_asking_leaves_the_model_as_it_was(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("phi3", torch.bfloat16)
    before = model.bridge(torch.arange(7)[None])
    turned_layers(model.bridge)
    model.geometries(7)
    assert torch.equal(model.bridge(torch.arange(7)[None]), before)
    assert not any("forward" in vars(block.attn) for block in model.bridge.blocks)
    assert model.check_unchanged() == 0
