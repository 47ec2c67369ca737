"""Models compiled from RASP programs, by name or from any program: each with a task and its true edges."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

import torch

from acdc import tasks
from acdc.errors import BadProgram
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.ground_truth.compiler import compile_program, load_compiled
from acdc.ground_truth.derivation import true_edges
from acdc.ground_truth.inputs import TokenSequences
from acdc.ground_truth.known import Known
from acdc.ground_truth.programs import PREFIX, RaspProgram, program
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.task import About, Task

TOLERANCE = 1e-3
"""What an edge must move an output by to be true. Outputs are 0, 1 or fractions of small numbers; a compiled attention
head leaks less than 1e-5 of its attention to where it should not look.
"""
_PER_LENGTH = 64


def load(name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Model:
    """The model compiled from the program of that name (`reverse`, `proportion`).

    Raises: UnknownModel, MissingExtra.
    """
    return _compiled(program(name), PREFIX + name, device, dtype)


def known(name: str, seed: int = 0) -> Known:
    """The model of that name, its built-in task and its true edges under every ablation that learns nothing.

    Raises: UnknownModel, MissingExtra.
    """
    compiled = load(name)
    return Known(PREFIX + name, tasks.get(f"tracr_{name}"), compiled, _truths(_inputs(program(name), compiled), seed))


def tracr_task(
    expression: Any,
    vocabulary: Collection[Hashable],
    max_len: int,
    *,
    name: str = "program",
    causal: bool = False,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Known:
    """A model compiled from any RASP program, a task for it, and its true edges by ablation, where nothing is learned.

    `expression` is a `tracr.rasp.rasp.SOp` over sequences of up to `max_len` tokens of the vocabulary. Prompts are
    random pairs of inputs whose outputs differ, measured by the distance from the model's own output. With `seed` the
    inputs are drawn that edges are derived from, where there are too many for all of them.

    Raises: MissingExtra without Tracr; BadProgram when it cannot compile the program, or its output never changes.

    Source: Lindner et al. 2023, arXiv:2301.05062.
    """
    if max_len < 1 or len(vocabulary) < 2:
        raise BadProgram(
            f"a program needs inputs that differ: got {len(vocabulary)} tokens and a length of at most {max_len}, "
            "wanted at least 2 tokens and a length of 1"
        )
    # Tokens are numbered by name, so that the same prompts are drawn whatever order a set gives them in.
    compiling = RaspProgram(expression, tuple(sorted(vocabulary, key=str)), max_len, causal)
    compiled = _compiled(compiling, PREFIX + name, device, dtype)
    inputs = _inputs(compiling, compiled)
    about = About(f"Does what the RASP program {name!r} does.", "Lindner et al. 2023, Tracr, arXiv:2301.05062")
    task = Task(name, about, PREFIX + name, "l2", TemplatePrompts(inputs.draw))
    return Known(PREFIX + name, task, compiled, _truths(inputs, seed))


def _compiled(source: RaspProgram, name: str, device: str | torch.device, dtype: torch.dtype) -> Model:
    assembled = compile_program(source.expression, source.vocabulary, source.max_len, causal=source.causal)
    return load_compiled(assembled, name, device=device, dtype=dtype)


def _inputs(source: RaspProgram, compiled: Model) -> TokenSequences:
    return TokenSequences(compiled, tuple(str(token) for token in source.vocabulary), source.max_len)


def _truths(inputs: TokenSequences, seed: int) -> dict[Ablation, frozenset[Edge]]:
    batches = inputs.batches(_PER_LENGTH, seed)
    return {ablation: true_edges(inputs.model, batches, ablation, TOLERANCE) for ablation in UNLEARNED}
