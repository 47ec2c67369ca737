"""No prompt's numbers depend on its batch or on padding, whatever the rotary embedding does with its length."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from acdc import graphs
from acdc.batch import Batching
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.crossing import CrossedRun
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference
from acdc.tasks.prompts import PromptPairs
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints, change_config

ORIGINAL = 8
"""The length up to which the model was trained, before its rotations were stretched."""

ROTATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": ORIGINAL},
    "llama3": {
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    },
    "longrope": {
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
        "short_factor": [1.0, 1.5],
        "long_factor": [3.0, 9.0],
    },
}
LENGTHS = (5, 9, 8, 11, 9)


def rotated(checkpoints: Checkpoints, tmp_path: Path, kind: str) -> Model:
    """The tiny Llama with that rotary embedding."""
    directory = Path(shutil.copytree(checkpoints.path("llama"), tmp_path / kind))
    change_config(directory, rope_parameters={"rope_type": kind, "rope_theta": 100.0, **ROTATIONS[kind]})
    return graphs.load(directory, dtype=torch.float64)


def alone(model: Model, pairs: PromptPairs) -> torch.Tensor:
    """The logits at the scored position of each whole prompt on its own, by the original."""
    with torch.no_grad():
        return torch.stack([model.bridge(torch.tensor([pair.clean]))[0, pair.position] for pair in pairs.pairs])


@pytest.mark.parametrize("kind", ROTATIONS)
def test_batches_and_padding_change_no_number(checkpoints: Checkpoints, tmp_path: Path, kind: str) -> None:
    model = rotated(checkpoints, tmp_path, kind)
    whole = Problem(model, behaviour(model, LENGTHS), LogitDifference())
    names = [edge.name for edge in whole.graph.edges()]
    circuits = [Circuit.full(whole.graph), *(Circuit.from_names(whole.graph, names[start::3]) for start in range(3))]
    reference = torch.empty(len(LENGTHS), len(model.unembedding.weight), dtype=torch.float64)
    for batch in whole.batches:
        reference[batch.prompts.index] = batch.targets.reference
    torch.testing.assert_close(reference, alone(model, whole.pairs), rtol=1e-5, atol=1e-5)

    metrics = [LogitDifference(), KLDivergence()]
    for ablation, size in ((Ablation.RESAMPLE, 1), (Ablation.MEAN, 2)):
        one = replace(whole, ablation=ablation)
        values = one.measure(circuits, metrics)
        other = replace(one, batching=Batching(size)).measure(circuits, metrics)
        torch.testing.assert_close(other, values, rtol=0, atol=1e-9)
    parts = torch.empty_like(values)
    for batch in one.batches:
        for part in batch.parts(2):
            parts[..., part.prompts.index] = part.measure(circuits, metrics)
    torch.testing.assert_close(parts, values, rtol=0, atol=1e-9)


def test_only_rotations_of_a_fixed_kind_are_padded(checkpoints: Checkpoints, tmp_path: Path) -> None:
    padded = {kind: rotated(checkpoints, tmp_path, kind).ignores_padding for kind in ROTATIONS}
    assert padded == {**dict.fromkeys(ROTATIONS, True), "dynamic": False, "longrope": False}


def test_a_rotation_by_length_tells_a_padded_prompt(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Otherwise the law above would say nothing."""
    model = rotated(checkpoints, tmp_path, "longrope")
    tokens = torch.arange(10, 22)[None]
    short, long = (model.logits(tokens[:, :length])[:, :ORIGINAL] for length in (ORIGINAL, 12))
    assert (short - long).abs().max() > 0.1


def test_crossed_prompts_have_the_rotation_of_their_whole_length(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = rotated(checkpoints, tmp_path, "longrope")
    pairs, position = behaviour(model, (11, 11, 11)), 5
    clean = torch.tensor([pair.clean for pair in pairs.pairs])
    crossing = CrossedRun(model, Circuit.full(model.graph), clean, clean.flip(0), position)
    torch.testing.assert_close(crossing.reference(), model.bridge(clean)[:, position].detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("architecture", "padded"), [("gpt2", True), ("gemma3", True)])
def test_positions_that_are_embedded_or_of_two_kinds_may_be_padded(
    checkpoints: Checkpoints, architecture: Architecture, padded: bool
) -> None:
    assert checkpoints.model(architecture, torch.float32).ignores_padding == padded
