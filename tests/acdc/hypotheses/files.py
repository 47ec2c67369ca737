"""Hypothesis files for tests: one that holds, about a small shipped model, and changes to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from acdc import tasks

EDGES = ("input->a0.h0<v>", "input->a0.h2<v>", "input->a1.h0<q>", "a0.h2->a1.h0<k>", "a0.h0->a1.h0<v>", "a1.h0->logits")
"""A circuit for `periodic`, found by `acdc discover`."""

HOLDS = f"""\
about: These six edges continue a periodic sequence.
task: periodic
model: periodic-2l
circuit: [{", ".join(f'"{edge}"' for edge in EDGES)}]
setup: {{prompts: 16}}
claims:
  behaviour: {{at_least: 0.9}}
  faithfulness: {{at_least: 0.8}}
  size: {{at_most: 6}}
"""


def write(directory: Path, text: str = HOLDS, name: str = "test_periodic.acdc.yaml") -> Path:
    """A hypothesis file with this text."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def changed(old: str, new: str) -> str:
    """The file that holds, with something else in it."""
    assert HOLDS.count(old) == 1, old
    return HOLDS.replace(old, new)


def claiming(claims: str) -> str:
    """The file that holds, with other claims, each on its own line from line 7 on."""
    return HOLDS[: HOLDS.index("claims:")] + "claims:\n" + claims


def untrained(directory: Path) -> Path:
    """A checkpoint like `periodic-2l` that has learned nothing."""
    shutil.copytree(tasks.shipped_model("periodic-2l"), directory)
    weights = load_file(directory / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    noise = {name: 0.02 * torch.randn(weight.shape, generator=generator) for name, weight in weights.items()}
    save_file(noise, directory / "model.safetensors", metadata={"format": "pt"})
    return directory
