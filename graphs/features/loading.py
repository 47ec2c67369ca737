"""Dictionaries from the files they were saved in, whichever library wrote them."""

from __future__ import annotations

from pathlib import Path

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features import circuit_tracer, gemma_scope, saelens
from acdc.graphs.features.dictionary import Dictionary
from acdc.graphs.features.hooks import Hook

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")


def load(directory: Path, hook: str | None = None) -> tuple[Dictionary, ...]:
    """The dictionaries in a folder: one, or a transcoder for each layer.

    `hook` names where they read and write, such as `blocks.3.hook_mlp_out`, where the files do not say.

    Raises: BadDictionary.
    """
    if directory.suffix.lower() in _PICKLES:
        raise _pickled(directory)
    if directory.is_file():
        directory = directory.parent
    if not directory.is_dir():
        raise BadDictionary(f"{directory} is no folder; give the folder that an autoencoder or transcoder was saved in")
    given = None if hook is None else Hook.parse(hook, "--hook")
    if (directory / saelens.CONFIGURATION).exists():
        return (saelens.read(directory, given),)
    if (directory / circuit_tracer.CONFIGURATION).exists():
        return circuit_tracer.read(directory)
    if (directory / gemma_scope.WEIGHTS).exists():
        return (gemma_scope.read(directory, given),)
    pickled = next((each for each in sorted(directory.iterdir()) if each.suffix.lower() in _PICKLES), None)
    if pickled is not None:
        raise _pickled(pickled)
    raise BadDictionary(
        f"{directory} holds no features: wanted {saelens.CONFIGURATION} with {saelens.WEIGHTS} (SAELens), "
        f"{circuit_tracer.CONFIGURATION} with layer_0.safetensors (circuit-tracer) or {gemma_scope.WEIGHTS} "
        "(Gemma Scope); give the folder that has them"
    )


def _pickled(path: Path) -> BadDictionary:
    return BadDictionary(
        f"{path} is a pickle, which can run any code when it is read, and is not opened; where you trust it, load it "
        "with the library that wrote it and save it as SAELens does (sae.save_model), or write its tensors with "
        f"safetensors.torch.save_file to {saelens.WEIGHTS}, beside a {saelens.CONFIGURATION}"
    )
