"""Transcoders of every layer as circuit-tracer keeps them: `config.yaml` beside `layer_0.safetensors` and so on.

Source: circuit-tracer (https://github.com/decoderesearch/circuit-tracer), `transcoder/single_layer_transcoder.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.activation import AbstractActivation, Rectified, Thresholded
from acdc.graphs.features.dictionary import Decoder, Dictionary, Encoder
from acdc.graphs.features.hooks import Hook
from acdc.graphs.features.tensors import TensorFile

CONFIGURATION = "config.yaml"
_LAYER = re.compile(r"layer_(\d{1,4})\.safetensors")
_THRESHOLD = "activation_function.threshold"


def read(directory: Path) -> tuple[Dictionary, ...]:
    """The transcoders in a folder, by layer.

    Raises: BadDictionary.
    """
    path = directory / CONFIGURATION
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadDictionary(f"{path} cannot be read as YAML ({error}); get the folder again") from error
    kind = config.get("model_kind") if isinstance(config, dict) else None
    if kind != "transcoder_set":
        raise BadDictionary(
            f"{path} has model_kind {kind!r}, wanted 'transcoder_set', a transcoder for each layer; use another folder"
        )
    if {"activation", "k"} & config.keys():
        raise BadDictionary(
            f"{path} names an activation, wanted transcoders of ReLU or, with thresholds, of JumpReLU; use such"
        )
    files = {int(found[1]): each for each in directory.iterdir() if (found := _LAYER.fullmatch(each.name))}
    if not files:
        raise BadDictionary(f"{directory} has no layer_0.safetensors or any other layer; copy the whole folder")
    return tuple(_transcoder(config, layer, files[layer], path) for layer in sorted(files))


def _transcoder(config: dict[str, Any], layer: int, file: Path, path: Path) -> Dictionary:
    places = []
    for key in ("feature_input_hook", "feature_output_hook"):
        if not isinstance(config.get(key), str):
            raise BadDictionary(f"{path} has {key} {config.get(key)!r}, wanted a name such as hook_mlp_out; add it")
        places.append(Hook.in_layer(layer, config[key], str(path)))
    weights = TensorFile.read(file)
    weight = weights.take("W_enc", None, None)
    features, d_in = weight.shape
    bias = weights.take("b_dec", None)
    d_out = len(bias)
    activation: AbstractActivation = Rectified()
    if _THRESHOLD in weights:
        threshold = weights.take(_THRESHOLD, *([None] * weights.tensors[_THRESHOLD].ndim))
        activation = Thresholded(threshold.flatten().expand(features).clone())
        if (threshold < 0).any():
            raise BadDictionary(f"{_THRESHOLD} in {file} has numbers below 0, wanted none; use other transcoders")
    encoder = Encoder(weight.T.contiguous(), weights.take("b_enc", features), activation)
    skip = weights.take("W_skip", d_out, d_in).T.contiguous() if "W_skip" in weights else None
    decoder = Decoder(weights.take("W_dec", features, d_out), bias, skip)
    return Dictionary(f"{file.parent.name}/{file.stem}", encoder, decoder, places[0], places[1])
