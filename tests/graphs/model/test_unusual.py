"""What stands out in a model is what its configuration changes and what no part reads."""

from __future__ import annotations

import pytest

from acdc.graphs.model.unusual import possible_reasons, unread_weights, unusual_fields
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_of_a_supported_layer_is_read(checkpoints: Checkpoints, architecture: Architecture) -> None:
    for block in checkpoints.model(architecture).bridge.blocks:
        assert unread_weights(block) == ()


def test_fields_that_change_the_arithmetic_stand_out_and_sizes_do_not() -> None:
    from transformers import GPT2Config, GPTNeoXConfig

    assert unusual_fields(GPT2Config(n_layer=2, n_embd=16, n_head=4, vocab_size=7)) == {}
    assert unusual_fields(GPT2Config(scale_attn_by_inverse_layer_idx=True)) == {"scale_attn_by_inverse_layer_idx": True}
    assert unusual_fields(GPTNeoXConfig(attention_bias=False)) == {"attention_bias": False}
    assert unusual_fields(None) == {}


def test_reasons_are_one_clause(checkpoints: Checkpoints) -> None:
    granite, gpt2 = checkpoints.model("granite"), checkpoints.model("gpt2")
    assert possible_reasons(gpt2.bridge, 0) == ""
    said = possible_reasons(granite.bridge, 0)
    assert said.startswith("unlike the defaults in its configuration: ")
    assert "residual_multiplier=0.4" in said
