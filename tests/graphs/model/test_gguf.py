"""A GGUF file's model computes what it was written from, as exactly as its numbers are stored; others are refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers

from acdc import graphs
from acdc.graphs.errors import DoubtfulModel, ModelNotFound, UnsupportedModel
from acdc.graphs.gguf_source import GgufSource
from acdc.graphs.model.gguf import SUPPORTED, convert
from tests import gguf_architectures, gguf_files
from tests.gguf_architectures import ARCHITECTURES, Architecture
from tests.gguf_files import write_gguf

TOKENS = torch.tensor([[5, 200, 270, 41, 290], [7, 7, 260, 100, 3]])
SHA256 = "0" * 64


def converted(file: Path, directory: Path) -> GgufSource:
    """Convert a file into a new directory, and say what is said of it there."""
    directory.mkdir()
    convert(file, directory, SHA256, lambda words: None)
    source = GgufSource.of(directory)
    assert source is not None
    return source


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        computed: torch.Tensor = model(TOKENS).logits
    return computed


def refusal(file: Path, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        convert(file, file.parent, SHA256, lambda words: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in single precision."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", gguf_files.llama())


# What converts


@pytest.mark.parametrize("tied", [False, True])
def test_a_file_in_single_precision_is_the_same_model(tmp_path: Path, tied: bool) -> None:
    original = gguf_files.llama(tied=tied)
    source = converted(write_gguf(tmp_path / "tiny.gguf", original), tmp_path / "checkpoint")
    assert (source.file, source.sha256, source.quantisation, source.doubts) == ("tiny.gguf", SHA256, None, ())
    model = graphs.load(tmp_path / "checkpoint")
    assert model.identity.quantisation is None
    torch.testing.assert_close(model.logits(TOKENS), logits(original), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_is_the_same_model(tmp_path: Path, kind: Architecture) -> None:
    original = gguf_architectures.write(kind, tmp_path / "tiny.gguf")
    assert converted(tmp_path / "tiny.gguf", tmp_path / "checkpoint").quantisation is None
    computed = graphs.load(tmp_path / "checkpoint").logits(TOKENS)
    torch.testing.assert_close(computed, logits(original), rtol=1e-5, atol=2e-5)


def test_no_architecture_is_supported_without_a_test() -> None:
    assert {*ARCHITECTURES, "llama"} == {*SUPPORTED}


def test_a_file_in_half_precision_is_the_model_rounded_to_it(tmp_path: Path) -> None:
    original = gguf_files.llama()
    assert converted(write_gguf(tmp_path / "f16.gguf", original, "F16"), tmp_path / "f16").quantisation is None
    for parameter in original.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half().float()
    torch.testing.assert_close(graphs.load(tmp_path / "f16").logits(TOKENS), logits(original), rtol=1e-5, atol=1e-5)


def test_a_quantised_file_is_near_the_model_and_says_so(tmp_path: Path) -> None:
    original = gguf_files.llama()
    source = converted(write_gguf(tmp_path / "q8.gguf", original, "Q8_0"), tmp_path / "q8")
    assert (source.quantisation, source.tensors) == ("Q8_0", {"Q8_0": 16, "F32": 5})
    model = graphs.load(tmp_path / "q8", known_as="q8.gguf")
    assert (model.identity.name, model.identity.quantisation) == ("q8.gguf", "Q8_0")
    off = (model.logits(TOKENS) - logits(original)).norm() / logits(original).norm()
    assert 1e-4 < off < 0.05


def test_a_quantised_file_that_does_not_name_its_quantisation_is_named_after_its_tensors(tmp_path: Path) -> None:
    def unnamed(writer: gguf.GGUFWriter) -> None:
        del writer.kv_data[0]["general.file_type"]

    file = write_gguf(tmp_path / "q8.gguf", gguf_files.llama(), "Q8_0", change=unnamed)
    assert converted(file, tmp_path / "q8").quantisation == "Q8_0"


def test_the_tokenizer_splits_texts_as_the_files_own(float_file: Path, tmp_path: Path) -> None:
    converted(float_file, tmp_path / "checkpoint")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    tokens = [*gguf_files.SPECIAL, *gguf_files.alphabet(), *gguf_files.pieces()]
    text = " the cat sat on Mary's ü"
    split = ["Ġthe", "Ġcat", "Ġsat", "Ġon", "ĠMary", "'", "s", "Ġ", "Ã", "¼"]
    assert tokenizer(text)["input_ids"] == [tokens.index(token) for token in split]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_every_step_is_told(float_file: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    steps: list[str] = []
    convert(float_file, tmp_path / "checkpoint", SHA256, steps.append)
    assert [step.split()[0] for step in steps] == ["reading", "dequantising", "converting", "writing"]


def test_nothing_is_printed_and_random_numbers_are_as_before(
    float_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = torch.get_rng_state()
    converted(float_file, tmp_path / "checkpoint")
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)


# What is doubtful


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_a_known_way_to_split_texts_is_no_doubt(tmp_path: Path, pre: str) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama(), pre=pre)
    assert converted(file, tmp_path / "checkpoint").doubts == ()


@pytest.mark.parametrize("pre", ["default", "viking"])
def test_another_way_to_split_texts_is_a_doubt_that_every_load_warns_of(tmp_path: Path, pre: str) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama(), pre=pre)
    [doubt] = converted(file, tmp_path / "checkpoint").doubts
    assert doubt.startswith(f"its tokenizer splits texts like GPT-2's, but tiny.gguf says '{pre}'")
    for _ in range(2):
        with pytest.warns(DoubtfulModel, match="^tiny: its tokenizer splits texts like GPT-2's"):
            graphs.load(tmp_path / "checkpoint", known_as="tiny")


def test_digits_apart_are_a_doubt_where_tokens_join_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = gguf_files.pieces()
    monkeypatch.setattr(gguf_files, "pieces", lambda: [*words, "19"])
    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama(), pre="smollm")
    assert "says 'smollm'" in converted(file, tmp_path / "checkpoint").doubts[0]


def test_a_sentence_that_does_not_come_back_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = gguf_files.alphabet()
    monkeypatch.setattr(gguf_files, "alphabet", lambda: [letter for letter in letters if letter != "8"])
    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama())
    assert "does not give back the sentence" in converted(file, tmp_path / "checkpoint").doubts[0]


# What is refused


def architecture(writer: gguf.GGUFWriter) -> None:
    writer.kv_data[0]["general.architecture"].value = "falcon"


def scaling(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)


def scaled_queries(writer: gguf.GGUFWriter) -> None:
    writer.kv_data[0]["general.architecture"].value = "gemma2"
    writer.add_uint32("gemma2.block_count", 46)


def frequencies(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("rope_freqs.weight", np.ones(4, dtype=np.float32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (architecture, "the architecture 'falcon' of the GGUF file .* is not supported; wanted one of gpt2, llama"),
        (scaling, "the rotary scaling 'yarn' of the GGUF file .* is not supported: the conversion would leave it out"),
        (scaled_queries, "of 46 layers .* is not supported: it scales its queries by another factor"),
        (frequencies, "so it would be another model; its tensors besides layers are .*rope_freqs.weight"),
    ],
)
def test_what_would_become_another_model_is_refused(
    tmp_path: Path, change: Callable[[gguf.GGUFWriter], None], said: str
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama(), change=change)
    with pytest.raises(UnsupportedModel, match=said):
        convert(file, tmp_path, SHA256, lambda words: None)


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    def without_norm(writer: gguf.GGUFWriter) -> None:
        del writer.tensors[0]["output_norm.weight"]

    file = write_gguf(tmp_path / "tiny.gguf", gguf_files.llama(), change=without_norm)
    assert "lack 1 tensors that its config.json asks for" in refusal(file, ModelNotFound)


@pytest.mark.parametrize("kept", [0, 3, 30, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(float_file: Path, tmp_path: Path, kept: float) -> None:
    content = float_file.read_bytes()
    file = tmp_path / "short.gguf"
    file.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert refusal(file, ModelNotFound).startswith(f"the GGUF file {file} cannot be converted: ")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "page.gguf"
    file.write_text("<html>Sign in to download</html>" * 10)
    assert "cannot be converted: ValueError GGUF magic invalid" in refusal(file, ModelNotFound)


# What goes wrong on the way


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("I/O error: No space left (os error 28)")],
    ids=["ours", "of safetensors"],
)
def test_a_full_disk_is_the_systems_error(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left") as caught:
        convert(float_file, tmp_path, SHA256, lambda words: None)
    assert caught.value.errno == errno.ENOSPC


def test_weights_that_are_not_written_as_they_are_are_noticed(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = transformers.PreTrainedModel.save_pretrained

    def other(model: Any, directory: Path) -> None:
        save(model, directory)
        model.lm_head.weight.data[0, 0] += 1

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", other)
    assert "lm_head.weight of" in refusal_in(float_file, tmp_path)


def test_weights_that_are_not_written_at_all_are_noticed(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", lambda model, directory: None)
    assert "21 tensors of" in refusal_in(float_file, tmp_path)


def refusal_in(file: Path, directory: Path) -> str:
    with pytest.raises(ModelNotFound) as caught:
        convert(file, directory, SHA256, lambda words: None)
    assert GgufSource.of(directory) is None
    return str(caught.value)
