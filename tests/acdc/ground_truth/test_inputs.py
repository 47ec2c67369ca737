"""Inputs of compiled models: all there are of each length, and pairs that the model answers differently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from acdc.errors import BadProgram
from acdc.ground_truth.compiler import BOS, NUMBER
from acdc.ground_truth.inputs import TokenSequences
from tests.acdc.ground_truth.conftest import Compiled


def test_batches_hold_every_sequence_at_every_place_and_another_one_beside_it(compiled: dict[str, Compiled]) -> None:
    inputs = compiled["reverse"].inputs
    batches = inputs.batches(per_length=64, seed=0)
    assert [len(batch.clean) for batch in batches] == [4, 16 * 2, 64 * 3, 64 * 4, 64 * 5]
    for length, batch in enumerate(batches, start=1):
        rows = {
            (*clean, position)
            for clean, position in zip(batch.clean.tolist(), batch.scored_positions.tolist(), strict=True)
        }
        assert len(rows) == len(batch.clean)
        assert set(batch.scored_positions.tolist()) == set(range(1, length + 1))
        assert not (batch.clean == batch.corrupt).all(dim=1).any()
        assert set(inputs.model.tokenizer.convert_ids_to_tokens(batch.clean[:, 0].tolist())) == {BOS}


def test_a_seed_fixes_which_sequences_are_taken(compiled: dict[str, Compiled]) -> None:
    inputs = compiled["reverse"].inputs
    first, again, other = (inputs.batches(8, seed)[-1] for seed in (1, 1, 2))
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.corrupt, again.corrupt)
    assert not torch.equal(first.clean, other.clean)


def test_drawn_prompts_are_answered_as_the_program_does(compiled: dict[str, Compiled]) -> None:
    inputs, rng = compiled["reverse"].inputs, np.random.default_rng(0)
    for _ in range(50):
        pair = inputs.draw(rng)
        for text, words in ((pair.clean, pair.answers), (pair.corrupt, pair.distractors)):
            assert words == (" " + text.split()[::-1][pair.scoring.position],)


def test_where_the_output_is_a_number_the_answer_is_its_logit(compiled: dict[str, Compiled]) -> None:
    inputs, rng = compiled["proportion"].inputs, np.random.default_rng(0)
    for _ in range(50):
        pair = inputs.draw(rng)
        assert (pair.answers, pair.distractors) == ((f" {NUMBER}",), (f" {BOS}",))
        clean, corrupt = (text.split()[: pair.scoring.position + 1].count("x") for text in (pair.clean, pair.corrupt))
        assert clean != corrupt


def test_a_program_whose_output_never_changes_is_refused(compiled: dict[str, Compiled]) -> None:
    letters = replace(compiled["proportion"].inputs, words=("w", "y", "z"))
    assert isinstance(letters, TokenSequences)
    with pytest.raises(BadProgram, match="the same output at every place of 200 pairs"):
        letters.draw(np.random.default_rng(0))
