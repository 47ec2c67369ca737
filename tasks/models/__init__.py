"""The shipped models: ordinary Hugging Face checkpoints in folders beside this file."""

from __future__ import annotations

from pathlib import Path

from acdc.tasks.errors import UnknownShippedModel


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that come with the package."""
    return tuple(sorted(checkpoint.parent.name for checkpoint in Path(__file__).parent.glob("*/model.safetensors")))


def shipped_model(name: str) -> Path:
    """Return the folder of the shipped model of this name.

    Raises: UnknownShippedModel, with the nearest names.
    """
    if name not in shipped_models():
        raise UnknownShippedModel(name, shipped_models())
    return Path(__file__).parent / name


def shipped_dictionaries() -> tuple[str, ...]:
    """Return the names of the dictionaries of features that come with the package, of places in shipped models."""
    return tuple(sorted(weights.parent.name for weights in Path(__file__).parent.glob("*/sae_weights.safetensors")))


def shipped_dictionary(name: str) -> Path | None:
    """Return the folder of the shipped dictionary of this name, if there is one."""
    return Path(__file__).parent / name if name in shipped_dictionaries() else None
