"""A model that loads computes what the original does; every other one is refused, naming what is wrong with it."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from acdc import graphs
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadTokens, ModelNotFound, ModelUnreachable, UnsupportedModel
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model, extraction, from_bridge, parity
from acdc.graphs.model.extraction import layer_of
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints, change_config, change_weights, write
from tests.graphs.model.conftest import Copied
from tests.graphs.random_circuits import CLEAN
from tests.native_bridges import NATIVES, Native, native_bridge
from tests.siblings import SIBLINGS, sibling

GROUPED: tuple[Architecture, ...] = ("llama", "phi3", "mixtral", "olmo2", "cohere")


def refusal(where: str | Path, kind: type[Exception], **how: Any) -> str:
    with pytest.raises(kind) as caught:
        graphs.load(where, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What loads


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_our_logits_are_those_of_transformers_at_every_position(
    checkpoints: Checkpoints, architecture: Architecture
) -> None:
    from transformers import AutoModelForCausalLM

    model = checkpoints.model(architecture, torch.float32)
    original: Any = AutoModelForCausalLM.from_pretrained(checkpoints.path(architecture), dtype=torch.float32)
    original.eval()
    with torch.no_grad():
        torch.testing.assert_close(model.logits(CLEAN), original(CLEAN).logits, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", SIBLINGS)
def test_architectures_of_the_same_parts_load_as_well(tmp_path: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM

    write(sibling(name), tmp_path)
    original: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    original.eval()
    with torch.no_grad():
        wanted = original(CLEAN).logits
    torch.testing.assert_close(graphs.load(tmp_path).logits(CLEAN), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("architecture", GROUPED)
def test_keys_and_values_of_a_group_are_held_once(checkpoints: Checkpoints, architecture: Architecture) -> None:
    attention = checkpoints.model(architecture).layers[0].attention
    assert (len(attention.query.weight), len(attention.key.weight), len(attention.value.weight)) == (4, 2, 2)


@pytest.mark.parametrize("name", NATIVES)
def test_our_logits_are_those_of_the_native_bridge(name: Native) -> None:
    bridge = native_bridge(name)
    with torch.no_grad():
        torch.testing.assert_close(from_bridge(bridge).logits(CLEAN), bridge(CLEAN), rtol=0, atol=1e-10)


def test_a_model_says_what_it_is(checkpoints: Checkpoints) -> None:
    path = checkpoints.path("gpt2")
    model = graphs.load(path, dtype=torch.float64)
    assert (model.identity.name, model.identity.revision, model.identity.n_context) == (str(path), None, 32)
    assert (model.dtype, model.device, model.is_causal) == (torch.float64, torch.device("cpu"), True)
    assert model.tokenizer(" the cat")["input_ids"] == [
        model.tokenizer.convert_tokens_to_ids(t) for t in ("Ġthe", "Ġcat")
    ]
    assert not from_bridge(native_bridge("bidirectional")).is_causal


def test_the_fingerprint_is_of_the_weights_alone(checkpoints: Checkpoints, copied: Copied) -> None:
    directory = copied("gpt2")
    same = graphs.load(directory).fingerprint()
    assert graphs.load(checkpoints.path("gpt2")).fingerprint() == same
    change_weights(directory, lambda weights: weights["transformer.ln_f.bias"].add_(1e-3))
    assert graphs.load(directory).fingerprint() != same


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_load(checkpoints: Checkpoints, dtype: torch.dtype) -> None:
    assert graphs.load(checkpoints.path("llama"), dtype=dtype).dtype == dtype


def test_a_model_of_a_short_context_loads_and_refuses_longer_prompts(copied: Copied) -> None:
    directory = copied("gpt2")
    change_config(directory, n_positions=8)
    change_weights(
        directory,
        lambda weights: weights.update({"transformer.wpe.weight": weights["transformer.wpe.weight"][:8].clone()}),
    )
    model = graphs.load(directory)
    assert model.identity.n_context == 8
    assert model.logits(torch.ones(1, 8, dtype=torch.long)).shape[1] == 8
    with pytest.raises(BadTokens, match="a prompt has 9 tokens but the model reads at most 8; shorten it"):
        model.logits(torch.ones(1, 9, dtype=torch.long))


def test_a_native_model_of_a_short_context_loads() -> None:
    assert from_bridge(native_bridge("relu", n_ctx=3)).identity.n_context == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"rotary_dim": 2, "n_key_value_heads": 2},
        {"normalization_type": "RMS", "act_fn": "silu", "gated_mlp": True, "final_rms": True, "rotary_base": 100},
        {"rope_scaling": {"rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 8}},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_rotary_native_bridges_of_every_kind_load(changes: dict[str, Any]) -> None:
    bridge = native_bridge("rotary", dtype=torch.float32, **changes)
    with torch.no_grad():
        torch.testing.assert_close(from_bridge(bridge).logits(CLEAN), bridge(CLEAN), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("outputs", [5, 90])
def test_a_model_may_tell_fewer_tokens_apart_than_it_reads_or_more(outputs: int) -> None:
    bridge = native_bridge("relu", d_vocab=64, d_vocab_out=outputs)
    model = from_bridge(bridge)
    tokens = torch.tensor([[63, 0, 31, 7]])
    assert model.vocabulary == 64
    torch.testing.assert_close(model.logits(tokens), bridge(tokens).detach(), rtol=0, atol=1e-10)
    executor = Executor(model, tokens, tokens.flip(1), torch.tensor([3]))
    assert executor.run([Circuit.full(model.graph)]).shape == (1, 1, outputs)
    with pytest.raises(BadTokens, match="token 64 is not in the model's vocabulary of 64"):
        model.logits(tokens + 1)


def test_loading_leaves_random_numbers_as_they_were(checkpoints: Checkpoints) -> None:
    directory, bridge = checkpoints.path("gpt2"), native_bridge("relu")
    state = torch.get_rng_state()
    graphs.load(directory)
    from_bridge(bridge)
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_leaves_logging_as_it_was(checkpoints: Checkpoints) -> None:
    names = ("transformers", "huggingface_hub", "transformer_lens", "")
    before = [logging.getLogger(name).level for name in names]
    graphs.load(checkpoints.path("gpt2"))
    assert [logging.getLogger(name).level for name in names] == before


# What is not supported


def test_what_transformers_does_not_know_is_refused_by_the_field_that_says_so(copied: Copied) -> None:
    directory = copied("gpt2")
    change_config(directory, model_type="no_such_architecture")
    assert refusal(directory, UnsupportedModel) == (
        f"model_type='no_such_architecture' of {directory} is no causal language model that transformers knows; wanted "
        "a decoder-only transformer"
    )


def test_a_quantised_model_is_refused(copied: Copied) -> None:
    directory = copied("llama")
    change_config(directory, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert "quantization_config of" in refusal(directory, UnsupportedModel)


def without_attention_biases(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if ".attention." in name and name.endswith(".bias")]:
        del weights[name]


def test_neox_without_attention_biases_is_refused(copied: Copied) -> None:
    directory = copied("gpt_neox")
    change_config(directory, attention_bias=False)
    change_weights(directory, without_attention_biases)
    message = refusal(directory, UnsupportedModel)
    assert message.startswith(f"{directory} cannot be taken apart into heads and MLPs: ")
    assert "see the fields that differ from its architecture's defaults: " in message
    assert "attention_bias=False" in message


def test_biases_before_a_post_attention_norm_are_refused(copied: Copied) -> None:
    directory = copied("gemma2")
    change_config(directory, attention_bias=True)

    def add_biases(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if ".self_attn." in name and name.endswith("_proj.weight")]:
            weights[name.replace(".weight", ".bias")] = torch.zeros(len(weights[name]))

    change_weights(directory, add_biases)
    assert refusal(directory, UnsupportedModel).endswith("only the heads are in the sum; got an output bias")


def test_a_norm_we_do_not_know_is_refused() -> None:
    with pytest.raises(
        UnsupportedModel, match="the norm BatchNorm1d is not supported; wanted LayerNorm, RMSNorm or none"
    ):
        extraction._norm(torch.nn.BatchNorm1d(4))


def doubled_scores(block: Any) -> Any:
    layer = layer_of(block)
    scores = layer.attention.scores
    return replace(layer, attention=replace(layer.attention, scores=replace(scores, scale=2 * scores.scale)))


def without_bias(block: Any) -> Any:
    layer = layer_of(block)
    output = layer.attention.output
    return replace(layer, attention=replace(layer.attention, output=replace(output, bias=0 * output.bias)))


@pytest.mark.parametrize("tampered", [doubled_scores, without_bias])
def test_arithmetic_that_drifts_from_the_models_own_is_refused(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, tampered: Callable[[Any], Any]
) -> None:
    path = checkpoints.path("gpt2")
    monkeypatch.setattr(parity, "layer_of", tampered)
    for dtype in (torch.float32, torch.float64):
        message = refusal(path, UnsupportedModel, dtype=dtype)
        assert re.match(
            rf"our attention of layer 0 of {path} differs from the model's own by \S+ of its size where at most \S+ is",
            message,
        )
    with pytest.raises(UnsupportedModel, match="our attention of layer 0 of bridge differs"):
        from_bridge(native_bridge("relu"))


def test_logits_that_are_not_numbers_are_refused(copied: Copied) -> None:
    directory = copied("gpt2")
    change_weights(directory, lambda weights: weights["transformer.ln_f.weight"].fill_(torch.nan))
    assert "differs from the model's own by nan" in refusal(directory, UnsupportedModel)


# Damaged and incomplete checkpoints


@pytest.mark.parametrize(
    ("removed", "missing"),
    [
        ("config.json", "config.json: a configuration"),
        ("tokenizer*", "tokenizer*: a tokenizer"),
        ("*.safetensors", "*.safetensors: weights (only safetensors are read; convert .bin or .pt files first)"),
    ],
)
def test_a_directory_that_lacks_a_part_is_refused_naming_it(copied: Copied, removed: str, missing: str) -> None:
    directory = copied("gpt2")
    for path in directory.glob(removed):
        path.unlink()
    assert refusal(directory, ModelNotFound) == f"the directory {directory} is no checkpoint: it lacks {missing}"


def test_weights_in_a_pickle_are_not_read(copied: Copied) -> None:
    directory = copied("gpt2")
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    assert "only safetensors are read" in refusal(directory, ModelNotFound)


def test_a_directory_of_something_else_is_refused_naming_all_it_lacks(tmp_path: Path) -> None:
    message = refusal(tmp_path, ModelNotFound)
    assert all(part in message for part in ("config.json", "*.safetensors", "tokenizer*"))


@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.99])
def test_truncated_weights_are_refused(copied: Copied, kept: float) -> None:
    path = copied("gpt2") / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert refusal(path.parent, ModelNotFound).startswith(f"the checkpoint in {path.parent} cannot be read: Safetensor")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_damaged_json_is_refused(copied: Copied, name: str) -> None:
    directory = copied("gpt2")
    (directory / name).write_text((directory / name).read_text()[:50])
    assert refusal(directory, ModelNotFound).startswith(f"the checkpoint in {directory} cannot be read: ")


def test_a_tensor_missing_from_the_weights_is_not_made_up(copied: Copied) -> None:
    directory = copied("gpt2")
    change_weights(directory, lambda weights: weights.pop("transformer.h.1.attn.c_attn.weight"))
    assert refusal(directory, ModelNotFound) == (
        f"the weights of {directory} lack 1 tensors that its config.json asks for, the first being "
        "transformer.h.1.attn.c_attn.weight; take both files from the same checkpoint"
    )


def test_more_layers_than_weights_are_refused(copied: Copied) -> None:
    directory = copied("gpt2")
    change_config(directory, n_layer=4)
    assert "lack 12 tensors that its config.json asks for, the first being transformer.h.3" in refusal(
        directory, ModelNotFound
    )


def test_weights_of_another_size_are_refused_with_both_sizes(copied: Copied) -> None:
    directory = copied("gpt2")
    change_config(directory, n_inner=30)
    assert "transformer.h.0.mlp.c_fc.bias is (64,), wanted (30,)" in refusal(directory, ModelNotFound)


def test_an_activation_nobody_knows_is_refused_by_name(copied: Copied) -> None:
    directory = copied("gpt2")
    change_config(directory, activation_function="zork")
    assert refusal(directory, ModelNotFound) == f"the checkpoint in {directory} cannot be read: KeyError 'zork'"


# Names


def test_a_hub_name_without_the_network_says_so() -> None:
    assert refusal("no-such-organisation/no-such-model", ModelUnreachable) == (
        "no-such-organisation/no-such-model is not on this machine and the Hugging Face hub cannot be reached; "
        "connect to the network, or give a shipped model's name or a local checkpoint directory"
    )


@pytest.mark.parametrize("how", [("nobody/nothing@step1000", None), ("nobody/nothing", "step1000")])
def test_a_revision_may_be_written_after_the_name(how: tuple[str, str | None]) -> None:
    name, revision = how
    message = refusal(name, ModelUnreachable, revision=revision)
    assert message.startswith("nobody/nothing at revision step1000 is not on this machine")


def test_a_model_at_a_revision_is_found_in_the_hubs_cache(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cached, commit = tmp_path / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(checkpoints.path("gpt2"), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "step1000").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = graphs.load("someone/tiny@step1000")
    assert (model.identity.name, model.identity.revision) == ("someone/tiny", "step1000")
    assert model.fingerprint() == graphs.load(checkpoints.path("gpt2")).fingerprint()


def test_a_directory_with_an_at_sign_is_a_directory(checkpoints: Checkpoints, tmp_path: Path) -> None:
    directory = shutil.copytree(checkpoints.path("gpt2"), tmp_path / "gpt2@home")
    assert graphs.load(directory).identity.revision is None


@pytest.mark.parametrize("name", ["not a name", "/no/such/directory"])
def test_a_text_that_is_no_name_is_refused(name: str) -> None:
    assert refusal(name, ModelNotFound).startswith(f"no model called {name!r} could be loaded: ")


# Tokens


@pytest.mark.parametrize("token", [-1, 1000])
def test_tokens_outside_the_vocabulary_are_refused(checkpoints: Checkpoints, token: int) -> None:
    model: Model = graphs.load(checkpoints.path("gpt2"))
    tokens = torch.tensor([[1, token]])
    with pytest.raises(BadTokens, match=f"token {token} is not in the model's vocabulary"):
        Executor(model, tokens, tokens, torch.tensor([1]))
