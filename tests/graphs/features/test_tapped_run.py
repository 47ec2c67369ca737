"""What is noted at a place is what TransformerLens has there, and what is put there is what the rest reads."""

from __future__ import annotations

import pytest
import torch

from acdc.graphs.errors import BadDictionary
from acdc.graphs.features.hooks import SITES, Hook
from acdc.graphs.features.tapped_run import check_place, tapped_run
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.exact_float64 import exact_float64
from tests.graphs.oracle import load_bridge
from tests.graphs.random_circuits import CLEAN, CORRUPT
from tests.native_bridges import native_model


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "gemma2", "qwen3"])
def test_every_place_holds_what_transformer_lens_has_there(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    model, bridge = checkpoints.model(architecture), load_bridge(checkpoints.path(architecture))
    hooks = {Hook(site, layer) for site in SITES for layer in range(model.graph.n_layers)}
    with torch.no_grad(), exact_float64(bridge):
        _, cache = bridge.run_with_cache(CLEAN)
    with torch.no_grad():
        run = tapped_run(model, CLEAN, hooks)
        torch.testing.assert_close(run.final, model.final(CLEAN))
    compared = set()
    for hook in hooks:
        name = {"attn_z": "attn.hook_z", "mlp_in": "mlp.hook_in"}.get(hook.site, f"hook_{hook.site}")
        name = f"blocks.{hook.layer}.{name}"
        if hook.site == "resid_mid" and model.graph.parallel:  # the bridge has no such place there
            continue
        if name in cache:
            torch.testing.assert_close(run.found[hook], cache[name].reshape(run.found[hook].shape))
            compared.add(hook.site)
    assert compared >= {"resid_pre", "resid_post", "attn_out", "mlp_out", "mlp_in", "attn_z"}


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3"])
@pytest.mark.parametrize("site", SITES)
def test_what_another_prompt_has_at_a_place_carries_on(
    checkpoints: Checkpoints, architecture: Architecture, site
) -> None:
    model, last = checkpoints.model(architecture), checkpoints.model(architecture).graph.n_layers - 1
    hook, end = Hook(site, last), Hook("resid_post", last)
    with torch.no_grad():
        other = tapped_run(model, CORRUPT, {hook, end})
        own = tapped_run(model, CLEAN, {hook, end})
        mixed = tapped_run(model, CLEAN, {hook, end}, {hook: lambda x: other.found[hook]})
    assert (mixed.found[hook] == other.found[hook]).all()
    assert not torch.allclose(mixed.final, own.final)
    if site in ("resid_pre", "resid_post", "resid_mid"):
        torch.testing.assert_close(mixed.final, other.final)


def test_a_place_that_a_model_has_not_is_refused() -> None:
    with pytest.raises(BadDictionary, match="only 2 layers"):
        check_place(native_model("relu"), Hook("resid_pre", 2))
    with pytest.raises(BadDictionary, match="has no MLPs"):
        check_place(native_model("attention_only"), Hook("mlp_out", 0))
