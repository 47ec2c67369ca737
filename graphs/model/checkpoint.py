"""What a checkpoint must have and may not have, for what is loaded to be the model that its files hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from acdc.graphs.errors import ModelNotFound, UnsupportedModel

# Masks and rotary frequencies that older transformers wrote beside the weights; they follow from config.json.
_BUFFERS = re.compile(r"(attn|attention)\.(masked_)?bias$|rotary_emb\.(inv_freq|(cos|sin)_cached)$")


def check_directory(path: Path) -> None:
    """Refuse a directory that lacks a part of a checkpoint; anything else passes.

    Raises: ModelNotFound.
    """
    if not path.is_dir():
        return
    pairs = all((path / name).exists() for name in ("vocab.json", "merges.txt"))  # how GPT-2's tokenizer was published
    needed = {
        "config.json": "a configuration",
        "*.safetensors": "weights (only safetensors are read; convert .bin or .pt files first)",
        "tokenizer*": "a tokenizer",
    }
    missing = [
        f"{pattern}: {what}"
        for pattern, what in needed.items()
        if not any(path.glob(pattern)) and not (pairs and pattern == "tokenizer*")
    ]
    if missing:
        raise ModelNotFound(f"the directory {path} is no checkpoint: it lacks {'; '.join(missing)}")


def check_fields(where: str, config: dict[str, Any]) -> None:
    """Refuse by the configuration alone, before transformers makes of it what it can.

    Raises: UnsupportedModel.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):
        raise UnsupportedModel(
            f"{where} is an encoder-decoder (model_type={kind!r}), whose decoder also reads what an encoder wrote; "
            "wanted a decoder-only transformer"
        )
    if kind is not None and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UnsupportedModel(
            f"model_type={kind!r} of {where} is no causal language model that transformers knows; wanted a "
            "decoder-only transformer"
        )
    if config.get("quantization_config") is not None:
        raise UnsupportedModel(f"quantization_config of {where} is not supported; load the model unquantised")


def check_weights(where: str, found: dict[str, Any], model: Any) -> None:
    """Refuse weights that transformers would fill with random numbers, and weights that it would leave out.

    `found` is what it reports of having loaded `model`.

    Raises: ModelNotFound.
    """
    remedy = "take both files from the same checkpoint"
    missing = sorted(found["missing_keys"])
    if missing:
        raise ModelNotFound(
            f"the weights of {where} lack {len(missing)} tensors that its config.json asks for, the first being "
            f"{missing[0]}; {remedy}"
        )
    mismatched = sorted(found["mismatched_keys"])
    if mismatched:
        name, got, wanted = mismatched[0]
        raise ModelNotFound(
            f"{len(mismatched)} weights of {where} are not of the size that its config.json asks for: {name} is "
            f"{tuple(got)}, wanted {tuple(wanted)}; {remedy}"
        )
    unused = sorted(name for name in found["unexpected_keys"] if not _BUFFERS.search(name))
    if unused:
        raise ModelNotFound(
            f"the weights of {where} have {len(unused)} tensors that its config.json has no place for, the first being "
            f"{unused[0]}; without them it would be another model, so {remedy}"
        )
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    if getattr(model.config, "tie_word_embeddings", False) and head is not embedding:
        raise ModelNotFound(
            f"the weights of {where} have an unembedding other than the embedding, but its config.json says "
            "tie_word_embeddings: true; set it to false if the unembedding is meant"
        )


def check_tokenizer(where: str, tokenizer: Any) -> None:
    """Refuse a tokenizer that knows special tokens only: transformers makes one up where its files are missing.

    Raises: ModelNotFound.
    """
    if not set(tokenizer.get_vocab()).difference(tokenizer.all_special_tokens):
        raise ModelNotFound(
            f"the tokenizer of {where} has no vocabulary; add its tokenizer.json, or vocab.json and merges.txt"
        )
