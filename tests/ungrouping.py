"""Grouped-query attention undone: the same function with one key and one value head per query head.

TransformerLens's hooks have one key and one value per group; an oracle with one per query head needs as many.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


def is_grouped(checkpoint: Path) -> bool:
    """Whether several query heads share a key and a value head."""
    text = _language(_config(checkpoint))
    groups = _groups(text)
    return groups is not None and groups < _heads(text)


def ungroup(source: Path, directory: Path) -> None:
    """Write the checkpoint that repeats each key and value head for every query head of its group."""
    shutil.copytree(source, directory)
    config = _config(source)
    text = _language(config)
    heads, groups = _heads(text), _groups(text)
    assert groups is not None
    weights: dict[str, Tensor] = {}
    for name, weight in load_file(source / "model.safetensors").items():
        joint = ".k_norm." in name and (weight.ndim == 2 or text["model_type"].startswith("olmo"))
        weights |= {name: _repeated(weight, heads, groups)} if joint else _ungrouped(name, weight, heads, groups)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    text |= {"multi_query": False} if "multi_query" in text else {"num_key_value_heads": heads}
    (directory / "config.json").write_text(json.dumps(config))


def _config(checkpoint: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text())
    return config


def _language(config: dict[str, Any]) -> dict[str, Any]:
    """The part that is the language model's."""
    text: dict[str, Any] = config.get("text_config", config)
    return text


def _heads(text: dict[str, Any]) -> int:
    heads: int = text["n_head"] if "n_head" in text else text["num_attention_heads"]
    return heads


def _groups(text: dict[str, Any]) -> int | None:
    """How many key and value heads there are; None where there is one per query head."""
    groups: int | None = 1 if text.get("multi_query") else text.get("num_key_value_heads")
    return groups


def _repeated(part: Tensor, heads: int, groups: int) -> Tensor:
    per_head = part.unflatten(0, (groups, -1)).repeat_interleave(heads // groups, dim=0).flatten(0, 1)
    return per_head.contiguous()


def _ungrouped(name: str, weight: Tensor, heads: int, groups: int) -> dict[str, Tensor]:
    """What becomes of one weight, norms of queries and keys that are of all heads left out."""
    if "vision" in name:
        return {name: weight}
    if ".k_proj." in name or ".v_proj." in name:
        return {name: _repeated(weight, heads, groups)}
    if ".k_layernorm.norms." in name:  # StableLM: one module per head
        first, _, number = name.removesuffix(".weight").rpartition(".")
        times = heads // groups
        return {f"{first}.{int(number) * times + copy}.weight": weight.clone() for copy in range(times)}
    if any(fused in name for fused in (".qkv_proj.", ".query_key_value.")):
        d_head = len(weight) // (heads + 2 * groups)
        query, key, value = weight.split([heads * d_head, groups * d_head, groups * d_head])
        parts = query, _repeated(key, heads, groups), _repeated(value, heads, groups)
        if ".qkv_proj." in name:
            return {name: torch.cat(parts)}
        return {name: torch.stack([part.unflatten(0, (heads, -1)) for part in parts], 1).flatten(0, 2)}  # head by head
    return {name: weight}
