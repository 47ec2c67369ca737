"""Dictionaries as Gemma Scope publishes them: JumpReLU weights in `params.npz`, whose folders say where they belong.

Source: Lieberum et al. 2024 (arXiv:2408.05147); https://huggingface.co/google/gemma-scope.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.activation import Thresholded
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook, Site
from acdc.graphs.features.tensors import TensorFile

WEIGHTS = "params.npz"
_LAYER = re.compile(r"layer_(\d{1,4})")
_PLACES: tuple[tuple[str, Site, Site], ...] = (
    ("transcoder", "mlp_in", "mlp_out"),
    ("res", "resid_post", "resid_post"),
    ("mlp", "mlp_out", "mlp_out"),
    ("att", "attn_z", "attn_z"),
)
"""What a folder's name ends in, as in `gemma-scope-2b-pt-res`, and where its dictionaries read and write."""


def read(directory: Path, hook: Hook | None = None) -> Dictionary:
    """The dictionary in a folder; `hook` is where it reads and writes, where the folders' names do not say.

    Raises: BadDictionary.
    """
    reads, writes = (hook, hook) if hook is not None else _places(directory)
    stored = TensorFile.read(directory / WEIGHTS)
    weights = TensorFile(stored.path, {re.sub("^w_", "W_", name): x for name, x in stored.tensors.items()})
    if "scaling_factor" in weights and not torch.allclose(weights.tensors["scaling_factor"], torch.tensor(1.0)):
        raise BadDictionary(f"{stored.path} scales its features by other numbers than 1, which is not supported")
    d_in, features = weights.take("W_enc", None, None).shape
    weight, bias = weights.take("W_enc", d_in, features), weights.take("b_enc", features)
    encoder = Encoder(weight, bias, Thresholded(weights.take("threshold", features)))
    decoder_bias = weights.take("b_dec", None)
    decoder = Decoder(weights.take("W_dec", features, len(decoder_bias)), decoder_bias)
    return Dictionary("/".join(directory.resolve().parts[-3:]), encoder, decoder, reads, writes)


def _places(directory: Path) -> tuple[Hook, Hook]:
    parts = directory.resolve().parts
    layer = next((found[1] for part in reversed(parts) if (found := _LAYER.fullmatch(part))), None)
    scope = next((part for part in reversed(parts) if part.startswith("gemma-scope")), None)
    for name, reads, writes in _PLACES:
        if layer is not None and scope is not None and name in scope.rsplit("-", 1)[-1]:
            return Hook(reads, int(layer)), Hook(writes, int(layer))
    raise BadDictionary(
        f"the folders of {directory} do not say where its features belong; keep the names that Gemma Scope gives them, "
        "such as gemma-scope-2b-pt-mlp/layer_3/width_16k/average_l0_71, or name the place "
        "(--hook blocks.3.hook_mlp_out)"
    )
