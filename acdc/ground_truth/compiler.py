"""RASP programs compiled to transformers by Tracr, and loaded as models of ours."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from acdc.errors import BadProgram, MissingExtra

if TYPE_CHECKING:
    import torch

    from acdc.graphs.model import Model

BOS, PAD, NUMBER = "compiler_bos", "compiler_pad", "<number>"
"""The token every prompt starts with, the one that is never used, and the one whose logit a numerical output is."""


def compile_program(program: Any, vocabulary: Collection[Hashable], max_len: int, *, causal: bool = False) -> Any:
    """Tracr's own model of a RASP program (`tracr.rasp.rasp.SOp`) over these tokens, of at most `max_len` at a time.

    Raises: MissingExtra without Tracr; BadProgram when it cannot compile the program.

    Source: Lindner et al. 2023, arXiv:2301.05062.
    """
    compiling = tracr_module("tracr.compiler.compiling")
    try:
        return compiling.compile_rasp_to_model(program, set(vocabulary), max_len, causal, BOS, PAD)
    except (NotImplementedError, ValueError) as error:
        raise BadProgram(
            f"Tracr cannot compile the program: {' '.join(str(error).split())}; wanted an expression of "
            "tracr.rasp.rasp over rasp.tokens, of the kinds that tracr.compiler.validating names"
        ) from error


def load_compiled(assembled: Any, name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype) -> Model:
    """Tracr's model as one of ours, with a tokenizer of words between spaces that starts every prompt with `BOS`.

    The logits of an output that is one of several values are those of the tokens of that name, added to the vocabulary
    where they are no input; the logit of `NUMBER` is an output that is a number. All other logits are 0.

    Raises: BadProgram when two values have one name, or a name has a space in it.
    """
    import torch

    from acdc.graphs.model.weights import BareLayer, BareWeights, from_weights

    parameters, config, width = assembled.params, assembled.model_config, len(assembled.residual_labels)

    def matrix(nth: str, key: str = "w") -> torch.Tensor:
        return _tensor(parameters[nth][key])

    def layer(index: int) -> BareLayer:
        attention, mlp = (f"transformer/layer_{index}/{part}" for part in ("attn", "mlp"))
        query, key, value = (
            matrix(f"{attention}/{slot}").reshape(width, config.num_heads, -1).transpose(0, 1)
            for slot in ("query", "key", "value")
        )
        output = matrix(f"{attention}/linear").reshape(config.num_heads, -1, width)
        return BareLayer(query, key, value, output, matrix(f"{mlp}/linear_1"), matrix(f"{mlp}/linear_2"))

    assert all(not weights["b"].any() for weights in parameters.values() if "b" in weights), "Tracr writes no biases"
    embedded, out = matrix("token_embed", "embeddings"), _unembedding(assembled)
    inputs = _names(assembled.input_encoder.encoding_map)
    outputs = _names(getattr(assembled.output_encoder, "encoding_map", {NUMBER: 0}))
    words = [*inputs, *(word for word in outputs if word not in inputs)]
    tokens = torch.cat((embedded, embedded.new_zeros(len(words) - len(embedded), embedded.shape[1])))
    unembedding = out.new_zeros(len(out), len(words))
    unembedding[:, [words.index(word) for word in outputs]] = out
    layers = tuple(layer(index) for index in range(config.num_layers))
    weights = BareWeights(tokens, matrix("pos_embed", "embeddings"), layers, unembedding, config.causal)
    return from_weights(weights, name, tokenizer_of(words), device=device, dtype=dtype)


def tracr_module(name: str) -> Any:
    """A module of Tracr's.

    Raises: MissingExtra.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"compiling RASP programs needs the package {error.name}, which is not installed; wanted Tracr, jax and "
            "haiku; run pip install 'acdc-circuits[tracr]'"
        ) from error


def _tensor(array: Any) -> torch.Tensor:
    import numpy
    import torch

    return torch.from_numpy(numpy.array(array, dtype=numpy.float64))


def _unembedding(assembled: Any) -> torch.Tensor:
    """The matrix [d_model, output] of Tracr's last step, which it shows to nobody: what it makes of unit vectors."""
    import haiku
    import numpy

    def read(unit_vectors: Any) -> Any:
        return assembled.get_compiled_model().unembed(unit_vectors, use_unembed_argmax=False)

    width = len(assembled.residual_labels)
    return _tensor(haiku.transform(read).apply({}, None, numpy.eye(width))).reshape(width, -1)


def _names(encoding: dict[Hashable, int]) -> list[str]:
    """What values are called, in the order of their numbers."""
    names = [str(value) for value, _ in sorted(encoding.items(), key=lambda item: item[1])]
    if wrong := [name for name in names if names.count(name) > 1 or len(name.split()) != 1]:
        raise BadProgram(f"values are told apart by their names: got {wrong}, wanted words without spaces, each once")
    return names


def tokenizer_of(words: list[str]) -> Any:
    """A tokenizer of words between spaces, `BOS` before every text; what is not among the words becomes `PAD`."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token=PAD))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, words.index(BOS))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, pad_token=PAD, unk_token=PAD, clean_up_tokenization_spaces=False
    )
