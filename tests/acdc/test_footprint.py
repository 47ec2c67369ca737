"""What shapes say that is held is what tensors of a loaded model take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from acdc.algorithms import rough_logits
from acdc.algorithms.attribution import Attribution
from acdc.algorithms.kl_bounds import KLScreen
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.prices import Prices
from acdc.cost.forecast import _kept_for_gradients, footprint_of
from acdc.footprint import Footprint
from acdc.graphs.ablation import Ablation
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.execution.incremental import IncrementalExecutor
from acdc.graphs.shapes import shape_of_checkpoint
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence, LogitDifference
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints

ARCHITECTURES: tuple[Architecture, ...] = ("gpt2", "llama", "gemma3", "mixtral", "falcon")
"""Tied embeddings and grouped heads, norms that span heads, experts, and layers in parallel."""


def problem_on(architecture: Architecture, checkpoints: Checkpoints, ablation: Ablation = Ablation.RESAMPLE) -> Problem:
    model = checkpoints.model(architecture, torch.float32)
    return Problem(model, behaviour(model, (9,) * 16), LogitDifference(), ablation)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
def test_the_runs_take_what_their_tensors_take(
    architecture: Architecture, ablation: Ablation, checkpoints: Checkpoints
) -> None:
    problem = problem_on(architecture, checkpoints, ablation)
    (batch,) = problem.batches
    residuals = batch.whole.ablated.residuals
    tensors = [batch.whole.delta, *residuals.values(), *(batch.whole.clean_residual(read) for read in residuals)]
    if ablation is Ablation.RESAMPLE:
        tensors.append(batch.whole.ablated.outputs)
    assert footprint_of(problem).runs == sum(tensor.nbytes for tensor in tensors)
    assert footprint_of(problem).logits == batch.targets.reference.nbytes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_gradient_keeps_about_what_is_saved_for_it(architecture: Architecture, checkpoints: Checkpoints) -> None:
    problem, shape = problem_on(architecture, checkpoints), shape_of_checkpoint(checkpoints.path(architecture))
    assert shape is not None
    _ = problem.bounds
    with _kept_for_gradients(problem.model) as kept:
        ended(Attribution().walk(problem))
    sizes = shape.d_head, shape.mlp // shape.graph.d_model, 9
    told = footprint_of(problem).kept_for_gradient(*sizes)
    assert 0.8 < told / max(kept) < 2.6, told / max(kept)
    assert footprint_of(problem).gradient(*sizes) > told


def test_longer_prompts_take_more_than_their_tokens(checkpoints: Checkpoints) -> None:
    graph = checkpoints.model("llama").graph
    short, long = (Footprint(graph, 100, 4, rows, 1024) for rows in (64, 2))
    assert short.runs == long.runs
    assert short.gradient(8, 48, 16) < long.gradient(8, 48, 512), "attention scores grow with the square"


def test_what_is_searched_in_and_what_is_measured_are_not_held_together() -> None:
    held = Footprint(ComputationalGraph(2, 4, 16), 100, 4, 8, 64)
    assert held.peak(0) == 2 * (held.runs + held.logits) + held.measuring
    assert held.peak(1 << 40) == 2 * (held.runs + held.logits) + (1 << 40)


def test_many_runs_are_made_batch_by_batch_and_those_of_other_prompts_are_not_held_beside_them() -> None:
    held = Footprint(ComputationalGraph(12, 12, 768), 100, 4, 64, 64 * 500)
    assert held.runs > 4 << 30
    assert held.batch(held.runs, 500) == held
    some = held.batch(4 << 30, 500)
    assert some.runs <= 4 << 30 < some.runs * (some.rows + 1) / some.rows
    assert some.peak(0) == some.runs + some.logits + some.measuring
    assert held.batch(0, 500).tokens == 500, "one prompt at least"


def test_trials_that_are_unembedded_take_more_but_no_more_than_allowed() -> None:
    held = Footprint(ComputationalGraph(2, 4, 16), 1_000_000, 2, 8, 64)
    few, all_logits, bounded = (
        held.trials(size, vocabulary=all_) for size, all_ in ((1 << 40, False), (1 << 40, True), (1 << 28, True))
    )
    assert all_logits - few == 64 * held.logits
    assert bounded == (1 << 28) + held.stream * len(held.graph.senders)


def test_trials_that_bounds_decide_are_64_and_two_of_them_are_unembedded() -> None:
    held = Footprint(ComputationalGraph(12, 12, 512), 10_000, 4, 8, 4096)
    state = held.stream * len(held.graph.senders)
    assert held.trials(1 << 40, vocabulary=True) == 33 * state + 8 * held.logits + held.bounds
    assert held.trials(1 << 28, vocabulary=True) == (1 << 28) + state + held.bounds


def test_bounds_on_kl_hold_what_their_tensors_take(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the likeliest tokens and of all in bfloat16, logits and their logarithms, and probabilities four times
    over while an anchor is made.
    """
    monkeypatch.setattr(rough_logits, "suits", lambda device, dtype, width: True)
    problem = replace(problem_on("llama", checkpoints), metric=KLDivergence())
    (batch,) = problem.batches
    executor = IncrementalExecutor(batch.runs)
    anchor = KLScreen(problem.model.unembedding, batch.targets).anchor(executor.residual, executor.logits)
    probabilities = executor.logits.double().nbytes
    assert anchor.logs is not None
    held = [executor.logits, anchor.logs, anchor.rows, problem.model.unembedding.rough.rows]
    assert footprint_of(problem).bounds == 4 * probabilities + sum(tensor.nbytes for tensor in held)


def test_a_step_of_training_takes_about_what_its_tensors_take(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for the gradient of a step, all gates open, and what senders write: told to a factor of 3."""
    problem = problem_on("llama", checkpoints)
    weights = {weight.untyped_storage().data_ptr() for weight in problem.model.bridge.original_model.parameters()}
    held: list[int] = []
    slope = LearnedMasks._slope

    def weighed(*given: Any) -> torch.Tensor:
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            result = slope(*given)
        held.append(sum(sizes.values()))
        return result

    monkeypatch.setattr(LearnedMasks, "_slope", weighed)
    masks = LearnedMasks(prompts=8, prices=Prices(1))
    ended(masks.walk(problem))
    graph, stream = problem.graph, 8 * 9 * problem.graph.d_model * 4
    written = 2 * len(graph.senders) * stream  # what is written and its slope, which no hook sees
    assert 1 / 3 < masks.bytes_per_step(problem) / (held[0] + written) < 3, (
        masks.bytes_per_step(problem),
        held,
        written,
    )


def test_a_step_of_training_is_as_the_masks_say(measurable: Problem) -> None:
    masks = LearnedMasks(max_bytes=1 << 21)
    longest = max(pair.length for pair in measurable.pairs.pairs)
    told = footprint_of(measurable).training(masks.max_bytes, masks.prompts, longest)
    assert told == masks.bytes_per_step(measurable)
