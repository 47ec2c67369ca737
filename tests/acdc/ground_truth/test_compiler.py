"""A compiled model is the compiler's own, to rounding, and what cannot be compiled is refused in words."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy
import pytest
import torch

from acdc.errors import BadProgram, MissingExtra
from acdc.ground_truth.compiler import BOS, NUMBER, PAD, compile_program, load_compiled, tracr_module
from acdc.ground_truth.programs import NAMES
from acdc.models import load_named
from acdc.settings import Setup
from tests.acdc.ground_truth.conftest import Compiled


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_compilers_own(compiled: dict[str, Compiled], name: str) -> None:
    """On 596 inputs, at every place: the whole residual stream, the logits, and the value they stand for."""
    source, assembled, inputs = (getattr(compiled[name], part) for part in ("source", "assembled", "inputs"))
    model, tokenizer, seen = inputs.model, inputs.model.tokenizer, 0
    forward = jax.jit(assembled.forward)
    for batch in inputs.batches(per_length=256, seed=0):
        clean = batch.clean[batch.scored_positions == 1]  # each prompt once
        seen += len(clean)
        wanted = forward(assembled.params, clean.numpy())
        indices = model.geometries(clean.shape[1])
        stream = model.trace(model.embed(clean), indices).outputs.sum(0)
        output = torch.from_numpy(numpy.array(wanted.transformer_output.output)).double()
        torch.testing.assert_close(stream, output, rtol=0, atol=2e-5)
        logits = model.logits(clean)[:, 1:]
        unembedded = torch.from_numpy(numpy.array(wanted.unembedded_output))[:, 1:]
        if name == "proportion":
            number = tokenizer.convert_tokens_to_ids(NUMBER)
            torch.testing.assert_close(logits[..., number], unembedded.double(), rtol=0, atol=1e-6)
            assert logits.abs().sum(-1).equal(logits[..., number].abs())
        else:
            decoded = [tokenizer.convert_ids_to_tokens(row) for row in logits.argmax(-1).tolist()]
            assert decoded == [assembled.output_encoder.decode(row) for row in unembedded.tolist()]
            assert decoded == [
                list(source.expression(tokenizer.convert_ids_to_tokens(row[1:]))) for row in clean.tolist()
            ]
    assert seen == 4 + 16 + 64 + 256 + 256


def test_the_bridge_computes_what_the_model_does(compiled: dict[str, Compiled]) -> None:
    model = compiled["reverse"].inputs.model
    tokens = torch.tensor([model.tokenizer.encode("a b c d a"), model.tokenizer.encode("d d c b a")])
    torch.testing.assert_close(model.bridge(tokens), model.logits(tokens), rtol=0, atol=1e-10)
    assert not model.is_causal


def test_prompts_start_with_the_compilers_own_token(compiled: dict[str, Compiled]) -> None:
    tokenizer = compiled["reverse"].inputs.model.tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("a b zork")) == [BOS, "a", "b", PAD]
    assert tokenizer.encode("a b", add_special_tokens=False) == tokenizer.encode("a b")[1:]
    assert tokenizer.unk_token_id == tokenizer.convert_tokens_to_ids(PAD)


def test_outputs_that_are_no_inputs_are_added_to_the_vocabulary() -> None:
    library = tracr_module("tracr.compiler.lib")
    model = load_compiled(compile_program(library.make_hist(), {"a", "b"}, 3), "hist", dtype=torch.float64)
    tokens = torch.tensor([model.tokenizer.encode("b a b")])
    counts = model.tokenizer.convert_ids_to_tokens(model.logits(tokens)[0, 1:].argmax(-1).tolist())
    assert counts == ["2", "1", "2"]


def test_a_causal_program_reads_nothing_later() -> None:
    library, rasp = tracr_module("tracr.compiler.lib"), tracr_module("tracr.rasp.rasp")
    program = library.make_frac_prevs(rasp.tokens == "x")
    model = load_compiled(compile_program(program, {"x", "y"}, 4, causal=True), "causal", dtype=torch.float64)
    assert model.is_causal
    number = model.tokenizer.convert_tokens_to_ids(NUMBER)
    shares = model.logits(torch.tensor([model.tokenizer.encode("x y y x")]))[0, 1:, number]
    torch.testing.assert_close(shares, torch.tensor([1, 1 / 2, 1 / 3, 1 / 2]).double(), rtol=0, atol=1e-5)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tracr.compiler.lib", None)
    with pytest.raises(MissingExtra, match=r"run pip install 'acdc-circuits\[tracr\]'$"):
        load_named("tracr:reverse", Setup())


def test_a_program_that_cannot_be_compiled_is_refused_with_the_compilers_reason() -> None:
    rasp = tracr_module("tracr.rasp.rasp")
    with pytest.raises(BadProgram, match=r"Tracr cannot compile the program: .*rasp\.tokens"):
        compile_program(rasp.indices + 1, {"a", "b"}, 3)
    mixed = rasp.SequenceMap(lambda x, y: x + y, rasp.numerical(rasp.tokens), rasp.indices)
    with pytest.raises(BadProgram, match="SequenceMap only supports categorical"):
        compile_program(mixed, {1, 2}, 3)


@pytest.mark.parametrize("vocabulary", [[1, "1"], ["a", "b c"]])
def test_tokens_that_their_names_do_not_tell_apart_are_refused(
    compiled: dict[str, Compiled], vocabulary: list[object]
) -> None:
    encoder = SimpleNamespace(encoding_map={token: number for number, token in enumerate([BOS, PAD, *vocabulary])})
    with pytest.raises(BadProgram, match="words without spaces, each once"):
        load_compiled(replace(compiled["reverse"].assembled, input_encoder=encoder), "twice", dtype=torch.float64)
