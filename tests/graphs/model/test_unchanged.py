"""A bridge that is no longer what was loaded is refused at the next use; an edit that both see alike is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from acdc import graphs
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import ModelChanged
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model, from_bridge
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.random_circuits import CLEAN, CORRUPT, POSITIONS
from tests.native_bridges import native_bridge

USES: dict[str, Callable[[Model], Any]] = {
    "logits": lambda model: model.logits(CLEAN),
    "embed": lambda model: model.embed(CLEAN),
    "executor": lambda model: Executor(model, CLEAN, CORRUPT, POSITIONS),
    "fingerprint": lambda model: model.fingerprint(),
}


def doubled(module: Any, args: Any, output: Any) -> Any:
    return 2 * output


@pytest.fixture
def gpt2(checkpoints: Checkpoints) -> Model:
    """One to be changed, with dropout of .1 everywhere."""
    return graphs.load(checkpoints.path("gpt2"))


def refusal(model: Model, use: str = "logits") -> str:
    with pytest.raises(ModelChanged) as caught:
        USES[use](model)
    return str(caught.value)


@pytest.mark.parametrize("use", USES)
def test_every_use_looks(gpt2: Model, use: str) -> None:
    USES[use](gpt2)
    gpt2.bridge.original_model.train()
    assert refusal(gpt2, use) == (
        "dropout of 0.1 is switched on in Dropout, so no two runs would agree; call eval() on the bridge or the model "
        "in it"
    )
    gpt2.bridge.original_model.eval()
    USES[use](gpt2)


def test_training_mode_without_dropout_changes_nothing() -> None:
    bridge = native_bridge("relu")
    model = from_bridge(bridge)
    bridge.train()
    model.logits(CLEAN)


def test_a_hook_on_the_embedding_is_seen_and_may_be_removed(gpt2: Model) -> None:
    before = gpt2.logits(CLEAN)
    handle = gpt2.bridge.original_model.get_input_embeddings().register_forward_hook(doubled)
    assert refusal(gpt2) == (
        "there is a hook on embed, but circuits are run without it; remove it (reset_hooks() of the bridge removes "
        "those of TransformerLens)"
    )
    handle.remove()
    assert torch.equal(gpt2.logits(CLEAN), before)


@pytest.mark.parametrize("point", ["hook_embed", "blocks.0.attn.hook_z", "blocks.1.hook_mlp_out"])
def test_hooks_of_transformerlens_are_seen(gpt2: Model, point: str) -> None:
    gpt2.bridge.hook_dict[point].add_hook(lambda tensor, hook: 2 * tensor)
    assert refusal(gpt2).startswith("there is a hook on ")
    gpt2.bridge.reset_hooks()
    gpt2.logits(CLEAN)


def test_a_bridge_with_a_hook_is_not_taken(gpt2: Model) -> None:
    gpt2.bridge.blocks[0].mlp.register_forward_pre_hook(lambda module, args: None)
    with pytest.raises(ModelChanged, match=r"there is a hook on blocks.0.mlp"):
        from_bridge(gpt2.bridge)


def test_running_the_bridge_as_its_users_do_is_no_change(gpt2: Model) -> None:
    before = gpt2.logits(CLEAN)
    _, cache = gpt2.bridge.run_with_cache(CLEAN)
    gpt2.bridge.run_with_hooks(CLEAN, fwd_hooks=[("hook_embed", lambda tensor, hook: 2 * tensor)])
    assert len(cache) > 0
    assert torch.equal(gpt2.logits(CLEAN), before)


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "qwen2", "gemma3", "qwen2_moe"])
def test_an_edit_of_any_weight_is_followed_or_refused(checkpoints: Checkpoints, architecture: Architecture) -> None:
    """Followed: what we compute is what the bridge computes now, and the fingerprint says that it is another model."""
    model = graphs.load(checkpoints.path(architecture), dtype=torch.float64)
    refused, followed = 0, 0
    for name, weight in model.bridge.original_model.named_parameters():
        if ".1." in name or ".2." in name:
            continue  # like layer 0
        kept, fingerprint = weight.detach().clone(), model.fingerprint()
        with torch.no_grad():
            weight.mul_(1.5)
        try:
            ours, said = model.logits(CLEAN), ""
        except ModelChanged as error:
            said = str(error)
        if said:
            assert said.startswith("the weight ")
            assert said.endswith("take the model anew with from_bridge")
            refused += 1
        else:
            torch.testing.assert_close(ours, model.bridge(CLEAN).detach(), rtol=1e-5, atol=2e-5)
            assert model.fingerprint() != fingerprint
            followed += 1
        with torch.no_grad():
            weight.copy_(kept)
        if said:
            model = from_bridge(model.bridge)
    assert refused >= 3  # queries, keys and values are copied head by head
    assert followed >= 4  # the embedding, the MLP, the output of attention


def test_an_unembedding_may_be_sharpened(checkpoints: Checkpoints) -> None:
    model = graphs.load(checkpoints.path("gpt2"))
    before, spread, fingerprint = model.logits(CLEAN), model.unembedding.spread, model.fingerprint()
    with torch.no_grad():
        model.unembedding.weight.mul_(10)
    assert torch.equal(model.embed(CLEAN)[:, :, 0], model.bridge(CLEAN, stop_at_layer=0)[:, :, 0])
    torch.testing.assert_close(model.logits(CLEAN), model.bridge(CLEAN).detach(), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(model.logits(CLEAN), before)
    assert model.unembedding.spread.reach == pytest.approx(10 * spread.reach)
    assert model.fingerprint() != fingerprint


def test_weights_that_are_exchanged_are_seen(gpt2: Model) -> None:
    norm = gpt2.bridge.ln_final.original_component
    norm.weight = nn.Parameter(2 * norm.weight.detach())
    assert "ln_f.weight was edited after the model was loaded" in refusal(gpt2)


def test_weights_that_move_elsewhere_are_seen(gpt2: Model) -> None:
    norm = gpt2.bridge.ln_final.original_component
    norm.weight.data = 2 * norm.weight.data
    assert "ln_f.weight was edited after the model was loaded" in refusal(gpt2)


def test_a_problem_does_not_mix_runs_of_two_models(checkpoints: Checkpoints) -> None:
    model = graphs.load(checkpoints.path("llama"))
    problem = Problem(model, behaviour(model, (5, 7)), LogitDifference())
    empty = [Circuit.empty(problem.graph)]
    problem.measure(empty)
    with torch.no_grad():
        model.unembedding.weight.mul_(3)
    with pytest.raises(ModelChanged, match="were edited after the prompts of this problem were run with the old ones"):
        problem.measure(empty)
    Problem(model, problem.pairs, LogitDifference()).measure(empty)
