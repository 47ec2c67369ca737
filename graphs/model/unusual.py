"""What may be behind it that a layer is not computed as its model does: weights that no part reads, unusual fields."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

_READ = ("ln1", "ln2", "ln1_post", "ln2_post", "mlp")
_READ_IN_ATTENTION = ("q", "k", "v", "qkv", "o", "q_norm", "k_norm")

_SIZES = re.compile(
    r"^(_|num_|n_|max_|dtype|architectures|transformers)|(_size|_dim|_ids?|_types?)$|^head_dim$|^d_|^layer"
)
"""Names of fields that say how large a model is, or what goes with it, and not what it computes."""

_MOST = 8


def possible_reasons(bridge: Any, layer: int | None = None) -> str:
    """A clause for a message that refuses a model, or one layer of it; empty where nothing stands out."""
    reasons = []
    unread = () if layer is None else unread_weights(bridge.blocks[layer])
    if unread:
        reasons.append(f"weights there that nothing here reads: {', '.join(unread[:_MOST])}")
    fields = unusual_fields(getattr(bridge.original_model, "config", None))
    if fields:
        shown = ", ".join(f"{name}={value!r}" for name, value in list(fields.items())[:_MOST])
        reasons.append(f"unlike the defaults in its configuration: {shown}")
    return "; ".join(reasons)


def unread_weights(block: Any) -> tuple[str, ...]:
    """The weights of a layer that belong to no part which is read, by name."""
    parts = [getattr(block, name, None) for name in _READ]
    parts += [getattr(block.attn, name, None) for name in _READ_IN_ATTENTION]
    read = {id(weight) for part in parts if isinstance(part, nn.Module) for weight in part.parameters()}
    every = block.original_component.named_parameters()
    return tuple(name.replace("._original_component", "") for name, weight in every if id(weight) not in read)


def unusual_fields(config: Any) -> dict[str, Any]:
    """The fields of a configuration that are unlike its class's defaults, without those that only say sizes."""
    if not hasattr(config, "get_text_config"):
        return {}
    text = config.get_text_config()
    try:
        usual = type(text)().to_dict()
    except Exception:  # some cannot be made of defaults alone; then nothing is known to be unusual
        return {}
    fields = {name: value for name, value in text.to_dict().items() if name in usual and value != usual[name]}
    return {name: value for name, value in fields.items() if not _SIZES.search(name)}
