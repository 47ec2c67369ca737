"""Architectures beside those that every law is tested on: what they are made of is among what those have."""

from __future__ import annotations

from typing import Any

from tests.checkpoints import small, token_ids

SIBLINGS = (
    *("apertus", "arcee", "codegen", "cohere2", "ernie4_5", "exaone4", "gemma", "glm", "glm4", "gpt_bigcode"),
    *("granitemoe", "mpt", "nemotron", "olmo3", "olmoe", "qwen3_moe", "seed_oss", "starcoder2"),
)


def sibling(name: str) -> Any:
    """The configuration of a small model of that architecture."""
    import transformers as hf

    ids, sizes = token_ids(), small()
    experts = {"num_experts_per_tok": 2, "moe_intermediate_size": 12}
    changes: dict[str, dict[str, Any]] = {
        "apertus": {"max_position_embeddings": 16384},  # its scaled rotations are for more than 8192
        "cohere2": {"logit_scale": 0.3, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        "exaone4": {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        "granitemoe": {"num_experts_per_tok": 2, "num_local_experts": 4, "residual_multiplier": 0.4},
        "olmo3": {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        "olmoe": {"num_experts_per_tok": 2, "num_experts": 4, "clip_qkv": 1.0},
        "qwen3_moe": {**experts, "num_experts": 4},
    }
    match name:
        case "mpt":
            return hf.MptConfig(d_model=16, n_layers=2, n_heads=4, max_seq_len=32, **ids)
        case "codegen":
            return hf.CodeGenConfig(n_embd=32, n_layer=2, n_head=4, n_positions=32, rotary_dim=4, **ids)
        case "gpt_bigcode":
            return hf.GPTBigCodeConfig(n_embd=16, n_layer=2, n_head=4, n_positions=32, **ids)
        case _:
            fields = {**sizes, **({} if name in ("apertus", "granitemoe", "olmo3", "olmoe") else {"head_dim": 8})}
            fields |= changes.get(name, {})
            return hf.AutoConfig.for_model(name, **fields)
