"""Of what other libraries say while a model is loaded, what concerns results is a warning, the rest is not heard."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable

import pytest
import torch

from acdc import graphs
from acdc.graphs.errors import DoubtfulModel, ModelNotFound
from acdc.graphs.model.library_messages import collecting, concerning_results
from tests.checkpoints import change_config, change_weights
from tests.graphs.model.conftest import Copied

Say = Callable[[], object]


@pytest.mark.parametrize(
    "message",
    [
        "The tokenizer you are loading from 'm' with an incorrect regex pattern: https://huggingface.co/x",
        "The tokenizer class you load is not the class called. It may result in unexpected tokenization.",
        "this means that the fast version of the tokenizer can produce unknown tokens",
        "Saving vocabulary: BPE merge indices are not consecutive. Please check that the tokenizer is not corrupted!",
        "Some weights of M were not initialized from m and are newly initialized: ['lm_head.weight']",
        "LOAD REPORT\n- MISSING:\tthose params were newly initialized because missing from the checkpoint.",
        "both are present in the checkpoints with different values, so we will NOT tie them.",
        "This checkpoint seem corrupted. The tied weights mapping specifies to tie a to b",
        "You are using a model of type `qwen2` to instantiate a model of type `qwen3`.",
        "Sliding Window Attention is enabled but not implemented for `sdpa`; unexpected results may be encountered.",
        "Unrecognized keys in `rope_parameters` for 'rope_type'='linear': {'beta'}",
        "Missing required keys in `rope_scaling`: 'factor'",
        "`rope_parameters`'s factor field must be a float or int >= 1, got 0.5",
        "The explicitly set RoPE scaling factor (config.rope_parameters['factor'] = 2) does not match the ratio",
        "Can't find a way to retrieve missing config vocab_size from tokenizer parameters.",
    ],
)
def test_a_message_that_concerns_results_is_passed_on_in_one_line(message: str) -> None:
    assert concerning_results([message, message]) == (" ".join(message.split()),)


@pytest.mark.parametrize(
    "message",
    [
        "`torch_dtype` is deprecated! Use `dtype` instead!",
        "LOAD REPORT\n- UNEXPECTED:\tcan be ignored when loading from different task/architecture",
        "Token indices sequence length is longer than the specified maximum sequence length for this model",
        "Ignoring clean_up_tokenization_spaces=True for BPE tokenizer GPT2Tokenizer.",
        "You do not have `flash_attn` installed, using `eager` from the `kernels` library instead!",
        "The following generation flags are not valid and may be ignored: ['temperature'].",
        "`use_cache=True` is incompatible with gradient checkpointing. Setting `use_cache=False`.",
    ],
)
def test_any_other_message_is_not(message: str) -> None:
    assert concerning_results([message]) == ()


@pytest.mark.parametrize(
    "say",
    [
        lambda: logging.getLogger("transformers.modeling_utils").warning("so we will %s tie them", "NOT"),
        lambda: logging.getLogger("transformer_lens").warning("so we will NOT tie them"),
        lambda: logging.warning("so we will NOT tie them"),
        lambda: warnings.warn("so we will NOT tie them", stacklevel=1),
    ],
    ids=["transformers", "transformer_lens", "root", "warnings"],
)
def test_warnings_are_collected_from_everywhere_and_shown_nowhere(say: Say, capfd: pytest.CaptureFixture[str]) -> None:
    with collecting() as messages:
        say()
    assert set(messages) == {"so we will NOT tie them"}
    assert capfd.readouterr() == ("", "")


def test_what_is_logged_as_an_error_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("transformers")
    shown: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with collecting():
            logger.warning("a warning")
            logger.error("an error")
    finally:
        logger.removeHandler(handler)
    assert shown == ["an error"]


def test_loggers_and_their_handlers_are_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> list[object]:
        loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub", "transformer_lens", "")]
        return [(x.level, [(id(handler), handler.level) for handler in x.handlers]) for x in loggers]

    with collecting():
        pass  # which imports what has loggers
    before = state()
    with pytest.raises(KeyError), collecting():
        raise KeyError
    assert state() == before


def test_a_tokenizer_with_a_wrong_regex_is_a_warning(copied: Copied) -> None:
    directory = copied("mistral")
    change_config(directory, transformers_version="4.50.0")
    file = directory / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokens = tokenizer["model"]["vocab"]
    tokens |= {f"filler {number}": number for number in range(len(tokens), 100_001)}  # smaller ones are not looked at
    file.write_text(json.dumps(tokenizer))
    with pytest.warns(DoubtfulModel, match=f"^{directory}: The tokenizer .* with an incorrect regex pattern") as caught:
        graphs.load(directory)
    assert len(caught) == 1


def test_buffers_of_an_old_checkpoint_are_not_heard_of(copied: Copied, capfd: pytest.CaptureFixture[str]) -> None:
    directory = copied("llama")
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}
    change_weights(directory, lambda weights: weights.update(old))
    capfd.readouterr()
    graphs.load(directory)
    assert capfd.readouterr() == ("", "")


def test_of_a_model_that_is_refused_there_is_an_error_and_no_warning(copied: Copied) -> None:
    directory = copied("llama")
    change_weights(directory, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(ModelNotFound, match="lack 1 tensors"):
        graphs.load(directory)
