"""Dictionaries as SAELens saves them: `cfg.json` beside `sae_weights.safetensors`; autoencoders and transcoders.

Source: SAELens 6 (https://github.com/decoderesearch/SAELens), `sae_lens/saes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.graphs import strict_json
from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.activation import AbstractActivation, Gated, Rectified, Thresholded, TopK
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder, Normalisation
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.tensors import TensorFile

CONFIGURATION, WEIGHTS = "cfg.json", "sae_weights.safetensors"

_AUTOENCODERS = ("standard", "topk", "jumprelu", "gated")
_TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
_NORMALISATIONS = {
    None: Normalisation.NONE,
    "none": Normalisation.NONE,
    # scaled in training by a number that SAELens folds into the weights before it saves them
    "expected_average_only_in": Normalisation.NONE,
    "constant_norm_rescale": Normalisation.CONSTANT_NORM,
    "layer_norm": Normalisation.LAYER_NORM,
}


def read(directory: Path, hook: Hook | None = None) -> Dictionary:
    """The dictionary in a folder; `hook` is where it reads and writes, where its configuration does not say.

    Raises: BadDictionary.
    """
    path = directory / CONFIGURATION
    try:
        config = strict_json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadDictionary(f"{path} cannot be read as JSON ({error}); get the folder again") from error
    if not isinstance(config, dict):
        raise BadDictionary(f"{path} holds no JSON object; get the folder again")
    architecture = config.get("architecture", "standard")
    if architecture not in (*_AUTOENCODERS, *_TRANSCODERS):
        raise BadDictionary(
            f"{path} has the architecture {architecture!r}, wanted one of "
            f"{', '.join((*_AUTOENCODERS, *_TRANSCODERS))}; use another dictionary"
        )
    normalisation = config.get("normalize_activations")
    if normalisation not in _NORMALISATIONS:
        raise BadDictionary(
            f"{path} has normalize_activations {normalisation!r}, wanted one of "
            f"{', '.join(name for name in _NORMALISATIONS if name)}; fold it into the weights with SAELens and save it"
        )
    reshape = config.get("reshape_activations", "none")
    if reshape not in ("none", "hook_z"):
        raise BadDictionary(f"{path} has reshape_activations {reshape!r}, wanted 'none' or 'hook_z'; use another one")
    reads, writes = _hooks(config, path, transcoder=architecture in _TRANSCODERS, given=hook)
    weights = TensorFile.read(directory / WEIGHTS)
    d_in, features = _whole(config, "d_in", path), _whole(config, "d_sae", path)
    d_out = _whole(config, "d_out", path) if architecture in _TRANSCODERS else d_in
    encoder = _encoder(config, weights, (d_in, features), path)
    skip = weights.take("W_skip", d_out, d_in).T.contiguous() if "skip" in architecture else None
    decoder = Decoder(weights.take("W_dec", features, d_out), weights.take("b_dec", d_out), skip)
    made = Dictionary(directory.name, encoder, decoder, reads, writes, _NORMALISATIONS[normalisation])
    if architecture == "topk" and config.get("rescale_acts_by_decoder_norm"):
        return _rescaled(made)
    return made


def _encoder(config: Mapping[str, Any], weights: TensorFile, shape: tuple[int, int], path: Path) -> Encoder:
    d_in, features = shape
    weight = weights.take("W_enc", d_in, features)
    # SAELens' own default
    centred = config.get("apply_b_dec_to_input", config["architecture"] not in _TRANSCODERS)
    centre = weights.take("b_dec", d_in) if centred else None
    activation: AbstractActivation = Rectified()
    match config["architecture"]:
        case "gated":
            gate, scale, magnitude = (weights.take(name, features) for name in ("b_gate", "r_mag", "b_mag"))
            bias = gate.new_zeros(features)
            return Encoder(weight, bias, Gated(gate, scale.exp(), magnitude), centre)
        case "topk":
            activation = TopK(_whole(config, "k", path))
        case "jumprelu" | "jumprelu_transcoder" | "jumprelu_skip_transcoder":
            activation = Thresholded(weights.take("threshold", features))
    return Encoder(weight, weights.take("b_enc", features), activation, centre)


def _rescaled(made: Dictionary) -> Dictionary:
    """With the lengths of directions in what the largest are chosen by: SAELens' `rescale_acts_by_decoder_norm`."""
    encoder, decoder = made.encoder, made.decoder
    length = decoder.weight.norm(dim=-1).clamp(min=1e-8)
    scaled = Encoder(encoder.weight * length, encoder.bias * length, encoder.activation, encoder.centre)
    unit = Decoder(decoder.weight / length[:, None], decoder.bias, decoder.skip)
    return Dictionary(made.name, scaled, unit, made.reads, made.writes, made.normalisation)


def _hooks(config: Mapping[str, Any], path: Path, *, transcoder: bool, given: Hook | None) -> tuple[Hook, Hook]:
    """Where it reads and writes: what its metadata says, in the place that SAELens has for it or had once."""
    metadata = config.get("metadata") or {}
    names = {key: metadata.get(key) or config.get(key) for key in ("hook_name", "hook_name_out")}
    if given is not None and not transcoder:
        return given, given
    if not isinstance(names["hook_name"], str):
        raise BadDictionary(
            f"{path} does not say in metadata.hook_name which activations it is of; add it, or name the place "
            "(--hook blocks.3.hook_mlp_out)"
        )
    reads = Hook.parse(names["hook_name"], str(path))
    if not transcoder:
        return reads, reads
    if isinstance(names["hook_name_out"], str):
        return reads, Hook.parse(names["hook_name_out"], str(path))
    if given is not None:
        return reads, given
    raise BadDictionary(
        f"{path} does not say in metadata.hook_name_out which activations the transcoder writes; add it, or name the "
        "place (--hook blocks.3.hook_mlp_out)"
    )


def _whole(config: Mapping[str, Any], key: str, path: Path) -> int:
    number = config.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BadDictionary(f"{path} has {key} {number!r}, wanted a whole number from 1 on; get the folder again")
    return number
