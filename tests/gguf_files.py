"""Tiny GGUF files, written as llama.cpp's own converter writes them, and wheels that carry them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import torch
from torch import Tensor

from tests.checkpoints import SPECIAL, WORDS

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

HEADS, KV_HEADS = 4, 2
Change = Callable[[gguf.GGUFWriter], object]


def alphabet() -> list[str]:
    """Every byte as a byte-level vocabulary writes it."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def pieces() -> list[str]:
    """Every prefix of two letters and more of every one of `WORDS`."""
    prefixes = [word[:end].replace(" ", "\u0120") for word in WORDS for end in range(2, len(word) + 1)]
    return list(dict.fromkeys(prefixes))


def llama(*, tied: bool = False, seed: int = 0) -> LlamaForCausalLM:
    """A Llama of two layers with random weights, as wide as blocks of quantised numbers are long."""
    import transformers

    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        vocab_size=len(SPECIAL) + len(alphabet()) + len(pieces()),
        tie_word_embeddings=tied,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(std=0.3, generator=generator)
            parameter.copy_(noise if parameter.ndim > 1 else 1 + noise)
    return model


def write_gguf(
    path: Path, model: LlamaForCausalLM, kind: str = "F32", *, pre: str = "gpt-2", change: Change | None = None
) -> Path:
    """Write the model with a byte-level tokenizer, its matrices in that type of numbers; `change` adds to it.

    Source: `convert_hf_to_gguf.py` of llama.cpp.
    """
    writer = gguf.GGUFWriter(path, "llama")
    config = model.config
    writer.add_file_type({"F32": 0, "F16": 1, "Q8_0": 7}[kind])
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_vocab_size(config.vocab_size)
    add_byte_level_tokenizer(writer, pre)
    for name, weight in _tensors(model):
        _add(writer, name, weight, kind if weight.ndim > 1 else "F32")
    if change:
        change(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheel(directory: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """Write a wheel that pip takes, with these files in it."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"{stem}.dist-info"
    content = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in content.items())
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in {**content, f"{about}/RECORD": f"{record}{about}/RECORD,,\n".encode()}.items():
            archive.writestr(file, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def add_byte_level_tokenizer(writer: gguf.GGUFWriter, pre: str) -> None:
    """Add a tokenizer with a token for every byte and every prefix of every one of `WORDS`."""
    tokens = [*SPECIAL, *alphabet(), *pieces()]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    special, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([special if token in SPECIAL else normal for token in tokens])
    writer.add_token_merges([f"{piece[:-1]} {piece[-1]}" for piece in pieces()])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(3)
    writer.add_add_bos_token(False)


def _tensors(model: LlamaForCausalLM) -> list[tuple[str, Tensor]]:
    """The model's weights under llama.cpp's names; queries and keys in its order of rotated numbers."""
    weights: dict[str, Tensor] = model.state_dict()
    found = [("token_embd.weight", weights["model.embed_tokens.weight"])]
    names = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    for layer in range(model.config.num_hidden_layers):
        for theirs, ours in names.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                weight = _rotated_pairs_together(weight, HEADS if theirs == "attn_q" else KV_HEADS)
            found.append((f"blk.{layer}.{theirs}.weight", weight))
    found.append(("output_norm.weight", weights["model.norm.weight"]))
    if not model.config.tie_word_embeddings:
        found.append(("output.weight", weights["lm_head.weight"]))
    return found


def _rotated_pairs_together(weight: Tensor, heads: int) -> Tensor:
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)


def _add(writer: gguf.GGUFWriter, name: str, weight: Tensor, kind: str) -> None:
    data: Any = weight.numpy()
    match kind:
        case "F32":
            writer.add_tensor(name, data)
        case "F16":
            writer.add_tensor(name, data.astype("float16"))
        case _:
            quantised = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quants.quantize(data, quantised), raw_dtype=quantised)
