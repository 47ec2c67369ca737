"""Which substitutions to try next in a prompt: the word that, to first order, takes the circuit farthest from the model.

Within a slot the gradient ranks words well, from slot to slot it compares badly: what a new answer does to all logits at
once is nothing that it sees. So slots take turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.attacks.pieces import Pieces
from acdc.problem import Problem
from graphs.circuit import Circuit
from graphs.runs import Prompts
from graphs.token_gradients import token_gradients
from tasks.prompts import PromptPairs, TextPair
from tasks.slots import Slots
from tasks.tokenisation import TokenPair

_DIGITS = 4
"""To how many decimals KLs and estimates are told apart, so that rounding does not decide what is tried."""


@dataclass(frozen=True)
class Candidate:
    """A prompt that differs from another one in the word of one slot.

    `gain` estimates by how many nats KL(model || circuit) grows; None where the prompts are not of one length, so that
    no position of one answers to a position of the other.
    """

    slot: str
    word: str
    text: TextPair
    gain: float | None


def candidates(
    problem: Problem, circuit: Circuit, slots: Slots, pieces: Pieces, parents: Sequence[TokenPair]
) -> list[list[Candidate]]:
    """Per parent, every prompt that differs from it in one slot.

    Those with a gain come first: the best of each slot, then the second of each, and so on, by gain among equals.

    Source: Ebrahimi et al. 2018 (arXiv:1712.06751), section 2: the gradient times the difference of the embeddings.
    """
    found: dict[int, list[Candidate]] = {}
    for batch in problem.on(PromptPairs(tuple(parents))).prompt_batches:
        prompts = Prompts(batch.clean, batch.corrupt, batch.positions)
        slopes = token_gradients(problem.model, prompts, circuit, divergence, problem.ablation, problem.means)
        for row, place in enumerate(batch.index.tolist()):
            length = len(parents[place].clean)
            gradient = torch.stack((slopes.clean[row, :length], slopes.corrupt[row, :length]))
            found[place] = _of(problem, slots, pieces, parents[place], gradient)
    return [found[place] for place in range(len(parents))]


def divergence(model: Float[Tensor, "batch vocab"], circuit: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
    """KL(model || circuit) in nats."""
    full = model.log_softmax(-1)
    return (full.exp() * (full - circuit.log_softmax(-1))).sum(-1)


def _of(
    problem: Problem,
    slots: Slots,
    pieces: Pieces,
    parent: TokenPair,
    gradient: Float[Tensor, "2 pos d_model"],
) -> list[Candidate]:
    """The candidates of one parent, given the gradient at its clean and its corrupt embeddings."""
    changed = list(slots.neighbours(parent.text))
    written = [(pieces.encode(text.clean), pieces.encode(text.corrupt)) for _, _, text in changed]
    here = (len(parent.clean), len(parent.corrupt))
    alike = [
        place
        for place, (clean, corrupt) in enumerate(written)
        if (len(clean), len(corrupt)) == here and changed[place][2].position == parent.text.position
    ]
    gains: dict[int, float] = {}
    if alike:
        old = torch.tensor([parent.clean, parent.corrupt])
        new = torch.tensor([written[place] for place in alike])
        moved = _embedded(problem, new.flatten(0, 1)).unflatten(0, new.shape[:2]) - _embedded(problem, old)
        estimates = (moved * gradient).flatten(1).sum(1).tolist()
        gains = {place: round(gain, _DIGITS) for place, gain in zip(alike, estimates, strict=True)}
    by_slot: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for place, gain in gains.items():
        by_slot[changed[place][0]].append((-gain, place))
    turns = sorted((turn, *worst) for words in by_slot.values() for turn, worst in enumerate(sorted(words)))
    order = [place for _, _, place in turns] + [place for place in range(len(changed)) if place not in gains]
    return [Candidate(*changed[place], gains.get(place)) for place in order]


def _embedded(problem: Problem, tokens: Tensor) -> Float[Tensor, "batch pos d_model"]:
    return problem.model.embed(tokens.to(problem.model.device))
