"""The headers of a checkpoint's files tell the sizes that its loaded model has, and no weight is read for it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import transformers

from acdc import graphs, tasks
from acdc.graphs.model.mlp import FeedForward
from acdc.graphs.shapes import shape_of_checkpoint
from tests.checkpoints import ARCHITECTURES, Architecture, Checkpoints


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_sizes_are_those_of_the_loaded_model(architecture: Architecture, checkpoints: Checkpoints) -> None:
    shape, model = shape_of_checkpoint(checkpoints.path(architecture)), checkpoints.model(architecture)
    assert shape is not None
    assert shape.graph == model.graph
    loaded = transformers.AutoModelForCausalLM.from_pretrained(checkpoints.path(architecture))
    assert shape.parameters == sum(weight.numel() for weight in loaded.parameters())
    assert shape.vocabulary == len(model.unembedding.weight)
    assert shape.d_head == model.layers[0].attention.output.weight.shape[1]
    parts = [layer.attention for layer in model.layers]
    weights = [w for part in parts for w in (part.query.weight, part.key.weight, part.value.weight, part.output.weight)]
    # norms with weights for each head are matrices too
    assert 0 <= shape.attention - sum(weight.numel() for weight in weights) <= 0.05 * shape.attention


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2", "phi3", "falcon", "gemma3_multimodal"])
def test_a_token_goes_through_all_of_a_plain_mlp(architecture: Architecture, checkpoints: Checkpoints) -> None:
    shape, model = shape_of_checkpoint(checkpoints.path(architecture)), checkpoints.model(architecture)
    assert shape is not None
    assert all(layer.mlp is not None and isinstance(layer.mlp.inner, FeedForward) for layer in model.layers)
    plain = [layer.mlp.inner for layer in model.layers if layer.mlp and isinstance(layer.mlp.inner, FeedForward)]
    linear = [each[0] for one in plain for each in (one.into, one.gate, one.out) if each is not None]
    assert shape.mlp == sum(weight.numel() for weight in linear)


@pytest.mark.parametrize(
    ("architecture", "mlp"),
    [
        ("mixtral", 2 * (2 * 3 * 16 * 24 + 4 * 16)),  # per layer, 2 of 4 experts and the router
        ("qwen2_moe", 2 * 3 * 16 * 12 + 4 * 16 + 3 * 16 * 20 + 16 + 3 * 16 * 24),  # and what all share; a plain layer
    ],
)
def test_a_token_goes_through_the_experts_that_it_is_sent_to(
    architecture: Architecture, mlp: int, checkpoints: Checkpoints
) -> None:
    shape = shape_of_checkpoint(checkpoints.path(architecture))
    assert shape is not None
    assert shape.mlp == mlp


@pytest.mark.parametrize("name", tasks.shipped_models())
def test_the_shape_of_every_shipped_model_is_told(name: str) -> None:
    shape = shape_of_checkpoint(tasks.shipped_model(name))
    assert shape is not None
    assert shape.graph == graphs.load(tasks.shipped_model(name)).graph


def huge(directory: Path, source: Path) -> int:
    """A checkpoint of one layer and a terabyte, none of which is on the disk; how many numbers it has."""
    config = json.loads((source / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    wide = 1 << 28
    shapes = {"model.layers.0.mlp.up_proj.weight": [wide, 512], "model.layers.0.self_attn.q_proj.weight": [wide, 512]}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (directory / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return end // 4


def test_weights_that_would_not_fit_anywhere_are_not_read(checkpoints: Checkpoints, tmp_path: Path) -> None:
    numbers = huge(tmp_path, checkpoints.path("llama"))
    shape = shape_of_checkpoint(tmp_path)
    assert shape is not None
    assert shape.parameters == numbers == 1 << 38
    assert shape.mlp == shape.attention == 1 << 37


@pytest.mark.parametrize("damage", ["cut", "gone", "empty", "vocabulary"])
def test_what_is_no_whole_checkpoint_tells_nothing(checkpoints: Checkpoints, tmp_path: Path, damage: str) -> None:
    source = checkpoints.path("llama")
    config = json.loads((source / "config.json").read_text())
    content = (source / "model.safetensors").read_bytes()
    if damage == "vocabulary":
        del config["vocab_size"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if damage != "gone":
        kept = {"cut": len(content) - 1, "empty": 0}.get(damage, len(content))
        (tmp_path / "model.safetensors").write_bytes(content[:kept])
    assert shape_of_checkpoint(tmp_path) is None
