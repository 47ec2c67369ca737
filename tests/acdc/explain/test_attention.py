"""Where heads look is what TransformerLens says, named by the slots of the task."""

from __future__ import annotations

import pytest
import torch

import acdc
from acdc.explain.attention import attention, layer_patterns
from acdc.explain.positions import position_names
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import TokenPairs, prepare
from acdc.graphs.nodes import Node
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.prompts import PromptPairs, TextPair
from acdc.tasks.tokenisation import tokenise
from tests.checkpoints import Checkpoints
from tests.graphs.test_hand_weighted import hand_weighted


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma2"])
def test_patterns_equal_those_of_transformer_lens(checkpoints: Checkpoints, architecture: str) -> None:
    model = checkpoints.model(architecture)
    tokens = torch.randint(model.vocabulary, (3, 7), generator=torch.Generator().manual_seed(0))
    _, cache = model.bridge.run_with_cache(tokens)
    runs = prepare(model, TokenPairs(tokens, tokens, torch.tensor([6, 6, 6])), Ablation.ZERO)
    for layer, pattern in enumerate(layer_patterns(runs)):
        wanted = cache[f"blocks.{layer}.attn.hook_pattern"].transpose(0, 1)
        torch.testing.assert_close(pattern, wanted.to(pattern.dtype), rtol=0, atol=1e-6)


def test_the_previous_token_head_looks_one_back_and_the_induction_head_after_the_same_token() -> None:
    model = hand_weighted()
    text = TextPair("token ids: 2 0 1 0", "token ids: 0 1 2 1", ("1",), ("2",))
    pair, _ = tokenise(text, None)
    assert pair is not None
    found = attention(Problem(model, PromptPairs((pair,)), LogitDifference()))
    assert found.slots == ("END", "first", "other")
    assert found.back(Node("head", 0, 0), "END", 1) == 1
    assert found.back(Node("head", 1, 0), "END", 1) == 1  # at b, after the a before
    assert found.of(Node("head", 1, 1), "END", "other") == pytest.approx(1 / 2)  # it looks at all four alike
    assert found.back(Node("head", 1, 1), "first", 1) != found.back(Node("head", 1, 1), "first", 1)  # nothing is there


def test_attention_is_told_for_every_slot_of_the_task() -> None:
    model = load_model("everyday-4l")
    found = attention(problems(acdc.get_task("ioi"), model, Setup(prompts=8))[1])
    assert {"END", "receiver", "giver", "giver 2", "place", "object"} <= set(found.slots)
    assert found.by_slot.shape == (32, len(found.slots), len(found.slots))
    everywhere = found.counts == 8
    assert (found.by_slot[:, 0, everywhere].sum(-1) <= 1 + 1e-6).all()
    torch.testing.assert_close(found.by_offset[:, found.slots.index("first"), 0], torch.ones(32), rtol=0, atol=1e-6)


def test_positions_have_the_names_of_slots() -> None:
    model = load_model("everyday-4l")
    pair = problems(acdc.get_task("ioi"), model, Setup(prompts=8))[1].pairs.pairs[0]
    written = model.tokenizer.convert_ids_to_tokens(list(pair.clean))
    words = dict(zip(position_names(pair, model.tokenizer), written, strict=True))
    filling = dict(pair.text.wording.filling)
    assert words["giver"].strip("Ġ ") == words["giver 2"].strip("Ġ ") == filling["giver"]
    assert words["receiver"].strip("Ġ ") == filling["receiver"]
