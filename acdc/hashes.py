"""Hashes by which weights, tokenizers and circuits are told apart."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from acdc.graphs.circuit import Circuit
    from acdc.graphs.model import Model

NO_TOKENIZER = "none"
_PROBES = ("", "a", " a", "A b, c.\n", " The 1234 quick-brown foxes", "café Ω 東京")


def weights_hash(model: Model, dtype: torch.dtype | None = None) -> str:
    """The hash of a model's weights, as they are in that precision (None: in their own)."""
    return f"sha256:{model.fingerprint(dtype)}"


def tokenizer_hash(tokenizer: Any) -> str:
    """The hash of what a tokenizer does: its vocabulary, and the tokens of a few texts, special ones included."""
    if tokenizer is None:
        return NO_TOKENIZER
    vocabulary = sorted(tokenizer.get_vocab().items()) if hasattr(tokenizer, "get_vocab") else []
    texts = [[list(tokenizer.encode(text, add_special_tokens=added)) for text in _PROBES] for added in (True, False)]
    return f"sha256:{hashlib.sha256(json.dumps([vocabulary, texts]).encode()).hexdigest()}"


def edges_hash(circuit: Circuit) -> str:
    """The hash of a circuit's edges by name."""
    names = json.dumps([edge.name for edge in circuit.ordered()])
    return f"sha256:{hashlib.sha256(names.encode()).hexdigest()}"
