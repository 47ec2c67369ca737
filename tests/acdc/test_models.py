"""Models go by the name of a shipped one, a directory, or a name on the hub; anything else is told the nearest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from acdc import tasks
from acdc.errors import BadSetting, UnknownModel
from acdc.graphs.errors import ModelNotFound, ModelUnreachable
from acdc.graphs.model.transformer import Identity
from acdc.models import (
    available,
    is_directory,
    is_gguf,
    is_known,
    load_model,
    load_named,
    name_of,
    resolve,
    tokenizer_of,
)
from acdc.pretrained.cache import directory
from acdc.pretrained.registry import KNOWN
from acdc.settings import Setup
from tests.checkpoints import Checkpoints


@pytest.mark.parametrize("name", ["periodic-2l", "everyday-4l"])
def test_a_shipped_model_goes_by_its_name(name: str) -> None:
    assert resolve(name) == str(tasks.shipped_model(name))
    assert (Path(resolve(name)) / "model.safetensors").is_file()


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve(str(tmp_path)) == str(tmp_path)


def test_a_directory_may_begin_with_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert resolve("~/mine") == str(tmp_path / "mine")
    assert is_directory("~/mine")


def test_a_compiled_program_is_itself_even_where_a_directory_is_called_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracr:reverse").mkdir()
    assert resolve("tracr:reverse") == "tracr:reverse"
    assert not is_directory("tracr:reverse")


def test_a_program_without_a_name_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UnknownModel, match=r"did you mean tracr:proportion\?$"):
        resolve("tracr:propotion")
    with pytest.raises(UnknownModel, match=r"known: tracr:reverse, tracr:proportion$"):
        resolve("tracr:zzz")


@pytest.mark.parametrize(
    "name",
    ["gpt2", "distilgpt2", "gpt2-xl@main", "Qwen/Qwen2.5-0.5B", "EleutherAI/pythia-70m@step3000", "a/b@refs/pr/1"],
)
def test_a_hub_name_is_passed_on_with_its_revision(name: str) -> None:
    assert resolve(name) == name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("periodic2l", r"did you mean periodic-2l"),
        ("Everyday-4L", r"did you mean everyday-4l"),
        ("gpt-2", r"did you mean gpt2"),
        ("smollm2-135", r"did you mean smollm2-135m"),
        ("zzz", r"shipped models: everyday-4l, periodic-2l, siit-lookup-3l, siit-pick-3l$"),
        ("a/b/c", r"shipped models: "),
    ],
)
def test_any_other_name_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownModel, match=rf"no model called '{name}'; wanted a shipped model.*{nearest}"):
        resolve(name)


def test_a_pretrained_model_is_asked_to_be_got_even_where_a_directory_is_called_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2-135m").mkdir()
    with pytest.raises(UnknownModel, match="get it once, with a network, by `acdc models get smollm2-135m`"):
        resolve("smollm2-135m")
    assert not is_known("smollm2-135m")


def test_a_gguf_file_is_itself_and_may_begin_with_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    assert resolve("~/mine.gguf") == str(tmp_path / "mine.gguf")
    assert is_gguf("~/mine.gguf")
    assert tokenizer_of("~/mine.gguf") is None, "which takes a minute"


def test_a_path_of_a_gguf_file_is_no_hub_name() -> None:
    with pytest.raises(UnknownModel, match=r"there is no GGUF file owner/model\.gguf; give the path of one"):
        resolve("owner/model.gguf")


def test_a_pretrained_model_that_is_loaded_from_its_directory_has_its_name() -> None:
    model = replace(load_model("planted:0"), identity=Identity(str(directory(KNOWN["smollm2-135m"].sha256))))
    assert name_of(model) == "smollm2-135m"


def test_shipped_models_are_described_by_their_files_and_cards() -> None:
    shipped = {model.name: model for model in available()}
    assert set(shipped) == {"periodic-2l", "everyday-4l", "siit-lookup-3l", "siit-pick-3l"}
    assert (shipped["periodic-2l"].layers, shipped["periodic-2l"].heads) == (2, 4)
    for model in shipped.values():
        config = json.loads((model.path / "config.json").read_text())
        assert (model.layers, model.heads) == (config["n_layer"], config["n_head"])
        assert model.about.endswith(".")
        assert model.about in " ".join((model.path / "README.md").read_text().split())
        assert len(model.about) > 20
        assert not model.about.startswith("#")
    assert sum(model.megabytes for model in shipped.values()) < 25


def test_a_named_model_has_the_precision_of_the_setup(checkpoints: Checkpoints) -> None:
    path = str(checkpoints.path("gpt2"))
    assert load_named(path, Setup().on(dtype="float64")).dtype == torch.float64
    assert load_named(path, Setup()).dtype == torch.float32


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(BadSetting, match=rf"the device '{device}' cannot be used here .*; try --device cpu"):
        load_named("periodic-2l", Setup().on(device))


def test_a_directory_without_a_checkpoint_and_a_hub_without_network_are_two_messages(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="is no checkpoint"):
        load_named(str(tmp_path), Setup())
    with pytest.raises(ModelUnreachable, match="hub cannot be reached"):
        load_named("nobody/nothing-at-all", Setup())


def test_python_loads_by_every_name_that_the_command_line_takes(checkpoints: Checkpoints) -> None:
    shipped = load_model("periodic-2l", dtype="float64")
    assert (shipped.graph.n_layers, shipped.dtype) == (2, torch.float64)
    assert "periodic-2l" in repr(shipped)
    assert len(repr(shipped)) < 300
    assert load_model("planted:0").graph.n_layers > 0
    assert load_model(checkpoints.path("gpt2"), dtype=torch.float64).dtype == torch.float64
    with pytest.raises(UnknownModel, match="did you mean periodic-2l"):
        load_model("periodic2l")
    with pytest.raises(BadSetting, match="unknown dtype 'half'"):
        load_model("periodic-2l", dtype="half")
