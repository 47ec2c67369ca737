"""Models compiled from RASP programs, each once per module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from acdc.ground_truth.compiler import compile_program, load_compiled
from acdc.ground_truth.inputs import TokenSequences
from acdc.ground_truth.programs import NAMES, RaspProgram, program


@dataclass(frozen=True)
class Compiled:
    """A program, the compiler's own model of it, and ours."""

    source: RaspProgram
    assembled: Any
    inputs: TokenSequences


@pytest.fixture(scope="session")
def compiled() -> dict[str, Compiled]:
    """The programs that go by name, in float64."""
    found = {}
    for name in NAMES:
        source = program(name)
        assembled = compile_program(source.expression, source.vocabulary, source.max_len)
        model = load_compiled(assembled, name, dtype=torch.float64)
        words = tuple(str(token) for token in source.vocabulary)
        found[name] = Compiled(source, assembled, TokenSequences(model, words, source.max_len))
    return found
