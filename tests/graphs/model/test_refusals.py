"""A model that is no decoder of parts that are known is refused in one sentence, naming the layer and the part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acdc import graphs
from acdc.graphs.errors import UnsupportedModel
from tests.checkpoints import small, token_ids, tokenizer, write

Make = Callable[[], Any]


def hf() -> Any:
    import transformers

    return transformers


def bert() -> Any:
    sizes = {name: value for name, value in small().items() if name != "num_key_value_heads"}
    return hf().BertConfig(**sizes)


def state_space() -> Any:
    return hf().MambaConfig(hidden_size=16, num_hidden_layers=2, **token_ids())


def recurrent() -> Any:
    return hf().RwkvConfig(hidden_size=16, num_hidden_layers=2, intermediate_size=24, context_length=32, **token_ids())


def attention_sinks() -> Any:
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    return hf().GptOssConfig(**small(), **experts, head_dim=8, sliding_window=4)


def latent_attention() -> Any:
    heads = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4}
    sizes = small() | {"num_key_value_heads": 4}
    return hf().DeepseekV2Config(**sizes, **heads, first_k_dense_replace=2, n_routed_experts=2, num_experts_per_tok=1)


def norms_after_sums() -> Any:
    sizes = {"hidden_size": 16, "ffn_dim": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape = {"word_embed_proj_dim": 16, "max_position_embeddings": 32}
    return hf().OPTConfig(**sizes, **shape, do_layer_norm_before=False, **token_ids())


def residual_of_normed() -> Any:
    how = {"apply_residual_connection_post_layernorm": True}
    return hf().BloomConfig(hidden_size=16, n_layer=2, n_head=4, **how, **token_ids())


def bias_added_twice() -> Any:
    """What transformers' plain attention does with Falcon's ALiBi, and its fused one does not."""
    shape = {"multi_query": False, "parallel_attn": False, "new_decoder_architecture": False, "alibi": True}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    return hf().FalconConfig(**sizes, **shape, **token_ids())


def interleaved_groups() -> Any:
    """Falcon 40B keeps the projections of a group together, which TransformerLens splits as if it did not."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_kv_heads": 2}
    return hf().FalconConfig(**sizes, new_decoder_architecture=True, **token_ids())


def no_norm_at_the_end() -> Any:
    return hf().OpenAIGPTConfig(n_embd=16, n_layer=2, n_head=4, n_positions=32, vocab_size=token_ids()["vocab_size"])


REFUSED: list[tuple[Make, str]] = [
    (bert, "BertLMHeadModel has no list of layers; wanted a decoder-only transformer"),
    (
        state_space,
        "layer 0 of the model, MambaBlock, has no attention; wanted a transformer with attention in every layer",
    ),
    (recurrent, "has no attention; wanted "),
    (attention_sinks, "our attention of layer 0 of "),
    (attention_sinks, "; weights there that nothing here reads: self_attn.sinks; "),
    (latent_attention, "cannot be taken apart into heads and MLPs: "),
    (norms_after_sums, "has no norm before the unembedding; wanted one"),
    (residual_of_normed, "our MLP of layer 0 of "),
    (residual_of_normed, "unlike the defaults in its configuration: apply_residual_connection_post_layernorm=True"),
    (bias_added_twice, "our attention of layer 0 of "),
    (interleaved_groups, "cannot be taken apart into heads and MLPs: "),
    (no_norm_at_the_end, "has no norm before the unembedding; wanted one"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_not_exact_is_refused_by_the_part_that_differs(tmp_path: Path, make: Make, said: str) -> None:
    write(make(), tmp_path)
    with pytest.raises(UnsupportedModel) as caught:
        graphs.load(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_encoder_decoder_is_refused_by_its_configuration(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 4}
    config = hf().T5Config(**sizes, decoder_start_token_id=0, **token_ids())
    hf().T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel) as caught:
        graphs.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is an encoder-decoder (model_type='t5'), whose decoder also reads what an encoder wrote; wanted a "
        "decoder-only transformer"
    )
