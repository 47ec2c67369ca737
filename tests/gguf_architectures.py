"""Tiny GGUF files of every architecture but Llama's, whose weights `tests.gguf_files` writes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import gguf
import torch

from tests.checkpoints import SPECIAL
from tests.gguf_files import add_byte_level_tokenizer, alphabet, pieces

Architecture = Literal["gpt2", "qwen2", "qwen3", "gemma2", "gemma3"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
_VOCABULARY = len(SPECIAL) + len(alphabet()) + len(pieces())
_SPACE = "\u2581"  # how a SentencePiece vocabulary writes a space


def write(architecture: Architecture, path: Path) -> Any:
    """Write a file of that architecture; the model of transformers that it holds.

    Source: `convert_hf_to_gguf.py` of llama.cpp, whose package `gguf` names the tensors.
    """
    model = _model(architecture)
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(1e6 if architecture == "gemma3" else 1e4)
    if architecture in ("gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
        _add_sentencepiece_tokenizer(writer)
    else:
        add_byte_level_tokenizer(writer, "gpt-2")
    _add_tensors(writer, architecture, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _model(architecture: Architecture) -> Any:
    import transformers as hf

    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "vocab_size": _VOCABULARY,
    }
    match architecture:
        case "gpt2":  # of its own length of context, which transformers does not read from the file
            ids: dict[str, Any] = {"vocab_size": _VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}
            config: Any = hf.GPT2Config(n_embd=32, n_layer=2, n_head=4, **ids)
        case "qwen2":
            config = hf.Qwen2Config(**sizes)
        case "qwen3":  # likewise for the width of its heads
            config = hf.Qwen3Config(**sizes, head_dim=128)
        case "gemma2":
            config = hf.Gemma2Config(**sizes, head_dim=8, sliding_window=4)
        case "gemma3":
            config = hf.Gemma3TextConfig(**sizes, head_dim=8, sliding_window=4)
    model: Any = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.empty_like(parameter).normal_(std=0.3, generator=generator))
    return model


def _add_tensors(writer: gguf.GGUFWriter, architecture: Architecture, model: Any) -> None:
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(kind, model.config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if architecture == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            weight = weight.T
        if architecture in ("gemma2", "gemma3") and name.endswith("norm.weight"):
            weight = weight + 1
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight.contiguous().numpy())


def _add_sentencepiece_tokenizer(writer: gguf.GGUFWriter) -> None:
    special, letters = ["<pad>", "<eos>", "<bos>", "<unk>"], "abcdefghijklmnopqrstuvwxyzJM"
    found = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [_SPACE, *letters, *(piece.replace("\u0120", _SPACE) for piece in pieces())]
    tokens = [*special, *found, *words][:_VOCABULARY]
    kinds = gguf.TokenType
    ordinary = [kinds.NORMAL] * (len(tokens) - len(special) - len(found))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([*([kinds.CONTROL] * 3), kinds.UNKNOWN, *([kinds.BYTE] * len(found)), *ordinary])
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
