"""Which substitutions to try next in a prompt: words that, to first order, take the circuit far from the model.

Within a slot the gradient ranks words well. From slot to slot it compares badly: it does not see what a new answer does
to all logits at once. So slots take turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.attacks.word_tokenizer import WordTokenizer
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.token_gradients import token_gradients
from acdc.precision import wide
from acdc.problem import Problem
from acdc.tasks.prompts import PromptPairs, TextPair
from acdc.tasks.tokenisation import TokenPair

_DIGITS = 4
"""To how many decimals estimates are told apart, so that rounding does not decide what is tried."""


class Substitution(NamedTuple):
    """A prompt that differs from another one in the word of one slot."""

    slot: str
    word: str
    text: TextPair


def ranked(
    problem: Problem,
    circuit: Circuit,
    pieces: WordTokenizer,
    parents: Sequence[TokenPair],
    substitutions: Sequence[Sequence[Substitution]],
) -> list[list[Substitution]]:
    """Per parent, those of its substitutions that leave the length as it is, in the order in which to try them.

    The best of each slot comes first, then the second of each, and so on, by estimated gain in KL(model || circuit)
    among equals. Where lengths differ, no position of one prompt answers to a position of the other.

    Source: Ebrahimi et al. 2018 (arXiv:1712.06751), section 2: the gradient times the difference of the embeddings.
    """
    found: dict[int, list[Substitution]] = {}
    of_parents = problem.on(PromptPairs(tuple(parents)))
    for batch in of_parents.prompt_batches:
        slopes = token_gradients(
            problem.model, of_parents.tokens(batch), circuit, divergence, problem.ablation, problem.constants
        )
        for row, number in enumerate(batch.index.tolist()):
            length = len(parents[number].clean)
            gradient = torch.stack((slopes.clean[row, :length], slopes.corrupt[row, :length]))
            found[number] = _ranked(problem, pieces, parents[number], substitutions[number], gradient)
    return [found[number] for number in range(len(parents))]


def divergence(model: Float[Tensor, "batch vocab"], circuit: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
    """KL(model || circuit) in nats, in single precision at least."""
    full = wide(model).log_softmax(-1)
    return (full.exp() * (full - wide(circuit).log_softmax(-1))).sum(-1)


def _ranked(
    problem: Problem,
    pieces: WordTokenizer,
    parent: TokenPair,
    substitutions: Sequence[Substitution],
    gradient: Float[Tensor, "2 pos d_model"],
) -> list[Substitution]:
    """Those of one parent, given the gradient at its clean and its corrupt embeddings."""
    alike: list[Substitution] = []
    tokens: list[tuple[list[int], list[int]]] = []
    for each in substitutions:
        clean, corrupt = pieces.encode(each.text.clean), pieces.encode(each.text.corrupt)
        if (
            len(clean) == len(corrupt) == len(parent.clean)
            and each.text.scoring.position == parent.text.scoring.position
        ):
            alike.append(each)
            tokens.append((clean, corrupt))
    if not alike:
        return []
    new, old = torch.tensor(tokens), torch.tensor([parent.clean, parent.corrupt])
    moved = wide(_embedded(problem, new.flatten(0, 1)).view(*new.shape, -1) - _embedded(problem, old))
    gains = (moved * gradient).flatten(1).sum(1)
    gains = gains.where(gains.isfinite(), 0.0)  # such a gradient tells nothing: then they go in the order given
    by_slot: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, gain in enumerate(gains.tolist()):
        by_slot[alike[number].slot].append((-round(gain, _DIGITS), number))
    turns = sorted((turn, *best) for words in by_slot.values() for turn, best in enumerate(sorted(words)))
    return [alike[number] for _, _, number in turns]


def _embedded(problem: Problem, tokens: Tensor) -> Float[Tensor, "batch pos d_model"]:
    return problem.model.embed(tokens.to(problem.model.device))
