"""The models trained by interchange answer as their program does, whatever is interchanged, and keep to its edges."""

from __future__ import annotations

import importlib.util
from functools import cache

import pytest
import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from acdc.tasks.builtin.combinations import Combinations
from acdc.tasks.models import shipped_model
from acdc.tasks.models.training.aligned import AlignedModel
from acdc.tasks.models.training.edgewise import edge_indices
from acdc.tasks.models.training.interchange import Interchanges
from tests.tasks.models.edges import these_edges

NAMES = ("siit-lookup-3l", "siit-pick-3l")
ROWS = 256


@cache
def aligned(name: str) -> AlignedModel:
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), shipped_model(name) / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    trained: AlignedModel = module.ALIGNED
    return trained


@cache
def model(name: str) -> GPT2LMHeadModel:
    return AutoModelForCausalLM.from_pretrained(shipped_model(name)).eval()


@torch.no_grad()
def agreement(name: str, swapped: Bool[Tensor, "batch receiver sender"]) -> float:
    """The share of rows in which the model answers as the program does under these interchanges."""
    network, program = model(name), aligned(name).program
    tokens, source = (aligned(name).prompts(len(swapped), seed, Combinations.HELD_OUT) for seed in (5, 6))
    drawn = Interchanges(program, network.config, tokens, source, swapped)
    return float((drawn.logits(network)[1].argmax(-1) == drawn.answers).float().mean())


@pytest.mark.parametrize("name", NAMES)
def test_interchanging_true_edges_does_what_it_does_to_the_program(name: str) -> None:
    true = these_edges(model(name).config, aligned(name).program.edges, ROWS)
    some = torch.rand(true.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    assert agreement(name, true & some) >= 0.98


@pytest.mark.parametrize("name", NAMES)
def test_interchanging_all_other_edges_leaves_the_answer(name: str) -> None:
    others = edge_indices(model(name).config).keys() - set(aligned(name).program.edges)
    assert agreement(name, these_edges(model(name).config, others, ROWS)) >= 0.98


@pytest.mark.parametrize("name", NAMES)
def test_interchanging_what_no_variable_is_kept_by_leaves_the_answer(name: str) -> None:
    """Strictness as it was first defined, component by component: all that such a component writes."""
    config = model(name).config
    components = {"input", *(variable.component for variable in aligned(name).program.variables)}
    swapped = [
        [edge for edge in edge_indices(config) if edge.startswith(f"{component}->")]
        for component in sorted({edge.split("->")[0] for edge in edge_indices(config)} - components)
    ]
    assert len(swapped) >= 10
    assert all(agreement(name, these_edges(config, edges, 64)) >= 0.98 for edges in swapped)


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_model_does_none_of_this(name: str) -> None:
    """So that the claims above can fail."""
    training = aligned(name).training(0, pool=200)
    drawn = training.draw(200)
    assert float((drawn.logits(training.model)[1].argmax(-1) == drawn.answers).float().mean()) < 0.5


def test_training_interchanges_everything_now_and_then() -> None:
    training = aligned("siit-lookup-3l").training(0, pool=100)
    swapped = training.draw(400).swapped
    for edges in (training.true, ~training.true):
        share = swapped[:, edges].float().mean(1)
        assert 0.15 < (share == 0).float().mean() < 0.6
        assert 0.15 < (share == 1).float().mean() < 0.6
        assert ((share > 0) & (share < 1)).any()


def test_training_lowers_the_loss() -> None:
    losses = list(aligned("siit-lookup-3l").training(0, pool=100).steps(35, batch=16))
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
