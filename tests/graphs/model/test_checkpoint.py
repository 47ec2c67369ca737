"""Everything that a checkpoint's files hold is in the model that is loaded, or it is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from acdc import graphs
from acdc.graphs.errors import ModelNotFound
from tests.checkpoints import Architecture, Checkpoints, change_config, change_weights
from tests.graphs.model.conftest import Copied

Weights = dict[str, torch.Tensor]


def refusal(where: Path) -> str:
    with pytest.raises(ModelNotFound) as caught:
        graphs.load(where)
    return str(caught.value)


@pytest.mark.parametrize(("architecture", "field"), [("llama", "num_hidden_layers"), ("gpt2", "n_layer")])
def test_half_a_model_is_refused(copied: Copied, architecture: Architecture, field: str) -> None:
    directory = copied(architecture)
    change_config(directory, **{field: 1})
    assert refusal(directory).startswith(f"the weights of {directory} have ")
    assert "tensors that its config.json has no place for, the first being " in refusal(directory)


@pytest.mark.parametrize(
    "name", ["model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.up_proj.bias", "score.weight"]
)
def test_a_weight_without_a_place_is_refused_by_name(copied: Copied, name: str) -> None:
    directory = copied("llama")
    change_weights(directory, lambda weights: weights.update({name: torch.ones(16)}))
    assert refusal(directory) == (
        f"the weights of {directory} have 1 tensors that its config.json has no place for, the first being {name}; "
        "without them it would be another model, so take both files from the same checkpoint"
    )


OLD_BUFFERS: list[tuple[Architecture, str, tuple[int, ...]]] = [
    ("gpt2", "transformer.h.0.attn.bias", (1, 1, 32, 32)),
    ("gpt2", "transformer.h.0.attn.masked_bias", ()),
    ("gpt_neox", "gpt_neox.layers.0.attention.bias", (1, 1, 32, 32)),
    ("gpt_neox", "gpt_neox.layers.0.attention.masked_bias", ()),
    ("gpt_neox", "gpt_neox.layers.0.attention.rotary_emb.inv_freq", (2,)),
    ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", (2,)),
]


def test_masks_and_frequencies_of_old_checkpoints_are_no_weights(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for architecture in ("gpt2", "gpt_neox", "llama"):
        directory = Path(shutil.copytree(checkpoints.path(architecture), tmp_path / architecture))
        buffers = {name: torch.ones(shape) for kind, name, shape in OLD_BUFFERS if kind == architecture}
        change_weights(directory, lambda weights, buffers=buffers: weights.update(buffers))
        assert graphs.load(directory).fingerprint() == graphs.load(checkpoints.path(architecture)).fingerprint()


@pytest.mark.parametrize(
    ("architecture", "name"), [("gpt2", "transformer.wte.weight"), ("gemma2", "model.embed_tokens.weight")]
)
def test_an_unembedding_of_its_own_is_refused_in_a_tied_model(
    copied: Copied, architecture: Architecture, name: str
) -> None:
    directory = copied(architecture)
    change_weights(directory, lambda weights: weights.update({"lm_head.weight": weights[name].clone()}))
    graphs.load(directory)
    change_weights(directory, lambda weights: weights["lm_head.weight"][3].add_(1e-3))
    assert refusal(directory) == (
        f"the weights of {directory} have an unembedding other than the embedding, but its config.json says "
        "tie_word_embeddings: true; set it to false if the unembedding is meant"
    )
    change_config(directory, tie_word_embeddings=False)
    graphs.load(directory)


# Tokenizers


def as_gpt2_was_published(directory: Path) -> None:
    """Write the tokenizer as vocab.json and merges.txt and nothing else."""
    pairs = json.loads((directory / "tokenizer.json").read_text())["model"]
    for path in directory.glob("*token*"):
        path.unlink()
    (directory / "vocab.json").write_text(json.dumps(pairs["vocab"]))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, pairs["merges"])]) + "\n")


def test_a_tokenizer_of_vocabulary_and_merges_is_read(checkpoints: Checkpoints, copied: Copied) -> None:
    directory = copied("gpt2")
    as_gpt2_was_published(directory)
    assert not any(directory.glob("tokenizer*"))
    text = " the cat saw Mary and gave it to John"
    wanted = graphs.load(checkpoints.path("gpt2")).tokenizer(text)["input_ids"]
    assert len(wanted) == 9
    assert graphs.load(directory).tokenizer(text)["input_ids"] == wanted


def without_merges(directory: Path) -> None:
    as_gpt2_was_published(directory)
    (directory / "merges.txt").unlink()


def only_settings(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    (directory / "tokenizer_config.json").write_text('{"model_max_length": 1024}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_merges, "it lacks tokenizer*: a tokenizer"),
        (only_settings, "has no vocabulary; add its tokenizer.json, or vocab.json and merges.txt"),
    ],
)
def test_a_tokenizer_is_not_made_up(copied: Copied, damage: Callable[[Path], None], said: str) -> None:
    directory = copied("gpt2")
    damage(directory)
    assert said in refusal(directory)
