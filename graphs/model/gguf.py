"""From a GGUF file, llama.cpp's format, to a checkpoint of safetensors with dequantised weights."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch

from acdc.graphs.errors import GraphsError, ModelNotFound, UnsupportedModel
from acdc.graphs.gguf_source import GgufSource
from acdc.graphs.model import checkpoint, library_messages

SUPPORTED = ("gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3")
"""Architectures, as llama.cpp calls them."""
Tell = Callable[[str], None]

_FLOATING = {"F64", "F32", "F16", "BF16"}
_SPLIT_LIKE_GPT2 = {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "roberta-bpe", "exaone4", "mpt", "olmo", "jais"}
"""Pre-tokenizers, as llama.cpp calls them, that split texts by GPT-2's regular expression."""
_DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
"""Pre-tokenizers that split off every digit first: the same where no token has a digit and something else."""
_SCALES_QUERIES_OTHERWISE = {"gemma2": 46, "gemma3": 62}
"""How many layers the 27B models have, whose scale of queries the file does not hold and transformers does not know."""
_SENTENCE = "When Mary and John went to the store in 1998, John gave a drink to Mary."


@dataclass(frozen=True)
class _GgufHeader:
    """What a GGUF file says of itself: its architecture, how its weights are stored, and what is not in every model.

    `numbers` is how many its tensors have in all; `extra` names the tensors that belong to no layer.
    """

    architecture: str
    quantisation: str | None
    tensors: Mapping[str, int]
    numbers: int
    extra: tuple[str, ...]
    fields: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> _GgufHeader:
        """Read a file's header with the package `gguf`."""
        reader = gguf.GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items() if len(field.data) == 1}
        types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
        extra = tuple(tensor.name for tensor in reader.tensors if not tensor.name.startswith("blk."))
        numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
        quantised = None
        if types.keys() - _FLOATING:
            named = fields.get("general.file_type")
            known = {kind.value: kind.name for kind in gguf.LlamaFileType}
            kinds = " and ".join(name for name, _ in types.most_common() if name not in _FLOATING)
            quantised = known[named].removeprefix("MOSTLY_") if named in known else kinds
        return cls(str(fields["general.architecture"]), quantised, dict(types), numbers, extra, fields)


def convert(file: Path, directory: Path, sha256: str, tell: Tell) -> None:
    """Write the checkpoint that a GGUF file holds into an empty directory, in float32 and with its `source.json`.

    `tell` is told what is being done, as each step takes seconds to minutes.

    Raises: ModelNotFound for a damaged file, UnsupportedModel, OSError for a directory that cannot be written.
    """
    try:
        with library_messages.collecting() as messages, torch.random.fork_rng([]):
            tell(f"reading the header of {file.name}")
            header = _GgufHeader.read(file)
            _check_supported(file, header)
            tell(f"dequantising {file.name}, {header.numbers:,} weights")
            model = _model(file, header)
            tell(f"converting the tokenizer of {file.name}")
            with _no_bars():
                tokenizer = _transformers().AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            checkpoint.check_tokenizer(str(file), tokenizer)
            tell(f"writing the weights of {file.name} as safetensors, and reading them again")
            with _no_bars():
                model.save_pretrained(directory)
                tokenizer.save_pretrained(directory)
            doubts = _doubts(file, header, tokenizer) + _checked(file, directory, model, tokenizer)
        doubts += library_messages.concerning_results(messages)
        GgufSource(file.name, sha256, header.quantisation, header.tensors, doubts).write(directory)
    except (GraphsError, MemoryError):
        raise
    except Exception as error:  # a damaged file surfaces as whatever the reader of it stumbles over
        if (lack := _of_the_system(error)) is not None:
            raise lack from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelNotFound(
            f"the GGUF file {file} cannot be converted: {type(error).__name__} {reason}; compare its size and sha256 "
            "with those where it comes from"
        ) from error


def _check_supported(file: Path, header: _GgufHeader) -> None:
    """Refuse what transformers cannot convert, or would convert to another model.

    Raises: UnsupportedModel.
    """
    if header.architecture not in SUPPORTED:
        raise UnsupportedModel(
            f"the architecture {header.architecture!r} of the GGUF file {file} is not supported; wanted one of "
            f"{', '.join(SUPPORTED)}"
        )
    scaling = header.fields.get(f"{header.architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise UnsupportedModel(
            f"the rotary scaling {scaling!r} of the GGUF file {file} is not supported: the conversion would leave it "
            "out, and it would be another model; load its original checkpoint"
        )
    layers = header.fields.get(f"{header.architecture}.block_count")
    if layers == _SCALES_QUERIES_OTHERWISE.get(header.architecture, "none"):
        raise UnsupportedModel(
            f"the {header.architecture} of {layers} layers in the GGUF file {file} is not supported: it scales its "
            "queries by another factor than smaller ones, which the file does not say; load its original checkpoint"
        )


def _model(file: Path, header: _GgufHeader) -> Any:
    """The model of transformers that a file holds, with all of the file's weights in it, and no longer quantised."""
    model: Any
    with _no_bars():
        model, found = _transformers().AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are listed, for us to refuse
        )
    checkpoint.check_weights(str(file), found, model)
    used = sum(parameter.numel() for parameter in model.parameters())
    if used != header.numbers:
        raise UnsupportedModel(
            f"the GGUF file {file} is not supported: its tensors have {header.numbers:,} numbers, and the model that "
            f"is made of them {used:,}, so it would be another model; its tensors besides layers are "
            f"{', '.join(header.extra)}"
        )
    model.is_quantized, model.hf_quantizer = False, None  # else it is not written
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model


def _checked(file: Path, directory: Path, model: Any, tokenizer: Any) -> tuple[str, ...]:
    """Compare what has been written with what was to be written; what is doubtful about the tokenizer.

    Raises: ModelNotFound.
    """
    from safetensors import safe_open

    wanted, seen = model.state_dict(), set()
    for part in sorted(directory.glob("*.safetensors")):
        with safe_open(part, "pt") as written:
            for name in written.keys():  # noqa: SIM118  # it is no mapping
                seen.add(name)
                if not torch.equal(written.get_tensor(name), wanted[name]):
                    raise ModelNotFound(f"{name} of {file} was not written as it is; look at the disk of {directory}")
    left = {wanted[name].data_ptr() for name in wanted.keys() - seen} - {wanted[name].data_ptr() for name in seen}
    if left:  # tied weights are written once
        raise ModelNotFound(f"{len(left)} tensors of {file} were not written; look at the disk of {directory}")
    again = _transformers().AutoTokenizer.from_pretrained(directory)
    tokens = tokenizer(_SENTENCE)["input_ids"]
    if again(_SENTENCE)["input_ids"] != tokens:
        raise ModelNotFound(f"the tokenizer of {file} does not split a sentence as before once it has been written")
    text = again.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if text == _SENTENCE:
        return ()
    return (f"its tokenizer does not give back the sentence {_SENTENCE!r} but {text!r}",)


def _doubts(file: Path, header: _GgufHeader, tokenizer: Any) -> tuple[str, ...]:
    """What is doubtful about how a converted tokenizer splits texts before it looks for tokens."""
    if header.fields.get("tokenizer.ggml.model") != "gpt2":
        return ()
    split = header.fields.get("tokenizer.ggml.pre", "default")
    made = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"] or {}
    if made.get("type") != "ByteLevel" or split in _SPLIT_LIKE_GPT2 or header.architecture == "gpt2":
        return ()  # it has an expression of its own, or that of GPT-2 rightly
    if split in _DIGITS_APART:
        ordinary = set(tokenizer.get_vocab()).difference(tokenizer.all_special_tokens)
        if not any(len(token) > 1 and re.search(r"\d", token) for token in ordinary):
            return ()
    return (
        f"its tokenizer splits texts like GPT-2's, but {file.name} says {split!r}, which transformers does not know: "
        "texts may be split otherwise than it was trained with",
    )


def _transformers() -> Any:
    import transformers

    return transformers


def _of_the_system(error: Exception) -> OSError | None:
    """The system's own error, such as a full disk, where it is one; safetensors reports it in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        return OSError(number := int(found[1]), os.strerror(number))
    return None


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep progress bars off the terminal that nothing else switches off."""
    with redirect_stderr(io.StringIO()):
        yield
