"""Operations told from shapes are those that torch counts in a run of the loaded model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from acdc.cost.operations import Operations
from acdc.graphs.shapes import shape_of_checkpoint
from tests.checkpoints import Architecture, Checkpoints


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma3", "mixtral", "qwen2_moe", "falcon"])
def test_a_forward_takes_the_operations_that_torch_counts(architecture: Architecture, checkpoints: Checkpoints) -> None:
    model, shape = checkpoints.model(architecture), shape_of_checkpoint(checkpoints.path(architecture))
    assert shape is not None
    tokens = torch.randint(4, shape.vocabulary, (6, 20), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model.bridge.original_model(tokens, logits_to_keep=1)
    told = Operations(shape, tokens.numel(), 20, len(tokens), shape.vocabulary).forward
    assert 0.8 < told / counted.get_total_flops() < 1.25


def test_more_of_anything_takes_more(checkpoints: Checkpoints) -> None:
    shape = shape_of_checkpoint(checkpoints.path("llama"))
    assert shape is not None
    one = Operations(shape, 100, 10, 10, 50)
    for other in (
        replace(one, tokens=200),
        replace(one, length=50),
        replace(one, rows=20),
        replace(one, vocabulary=90),
    ):
        assert other.forward > one.forward
        assert other.gradient > one.gradient
    assert one.gradient > 2 * one.forward
    assert one.measuring(1) < one.measuring(20) <= one.measuring(110)
