"""Behaviours that random models do have: they prefer what they say after a clean prompt to what they say after its
corrupt twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from acdc.graphs.model import Model
from acdc.tasks.pairs import ScoredPosition
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import TextPair, TokenPair

TEXT = TextPair("clean", "corrupt", (" answer",), (" distractor",))
"""Stands for the words of prompts that were never words."""


def behaviour(model: Model, lengths: Sequence[int], seed: int = 0) -> PromptPairs:
    """Random prompts, as long as `lengths` say, each scored in its second half.

    The answer is the token that the model finds likeliest after the clean prompt, the distractor that after the corrupt
    one; every third prompt has the runner-up for a second distractor.
    """
    generator = torch.Generator().manual_seed(seed)
    vocabulary = model.unembedding.weight.shape[0]
    pairs: list[TokenPair] = []
    for length in lengths:
        while True:
            clean, corrupt = torch.randint(vocabulary, (2, length), generator=generator)
            position = int(torch.randint(length // 2, length, (), generator=generator))
            with torch.no_grad():
                after = model.logits(torch.stack((clean, corrupt)))[:, position]
            answer, *others = after.topk(2).indices.flatten().tolist()
            distractors = tuple(dict.fromkeys(others[1 : 2 + (len(pairs) % 3 == 2)]))
            if answer not in distractors:
                break
        scored = ScoredPosition(position, (answer,), distractors)
        pairs.append(TokenPair(tuple(clean.tolist()), tuple(corrupt.tolist()), (scored,), TEXT))
    return PromptPairs(tuple(pairs))


def rescored(pair: TokenPair, **changes: Any) -> TokenPair:
    """The pair with a first scored position of which these fields are changed."""
    return replace(pair, scored=(replace(pair.scored[0], **changes), *pair.scored[1:]))
