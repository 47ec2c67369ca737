"""What every head of a model looks at: how much of its attention goes to the token before, the same one, and so on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.explain.attention import layer_patterns
from acdc.explain.relations import RELATIONS, relations
from acdc.explain.where_it_matters import position_weights
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.nodes import Node
from acdc.problem import Problem

SEQUENCES = 48
PERIODS = range(2, 13)
LENGTH = 24
_USUAL = 4
"""Shorter periods are taken only where a model reads no longer sequences: with these, offsets and repetition mix."""


@dataclass(frozen=True)
class HeadBehaviours:
    """The part of its attention that each head pays along each relation.

    `attention` is the mean over queries: over all that have a key in the relation, on random sequences; on a task's
    prompts over all, each query counting as much as what the head writes there matters to the answer. `even` is what
    even attention would pay, and `elsewhere` what the head pays where the relation stands in another prompt of the same
    length: as much, if it goes by positions alone.
    """

    heads: tuple[Node, ...]
    attention: Float[Tensor, "head relation"]
    even: Float[Tensor, "head relation"]
    elsewhere: Float[Tensor, "head relation"]

    def of(self, head: Node, relation: str) -> float:
        """What a head pays along a relation."""
        return self._at(self.attention, head, relation)

    def above_even(self, head: Node, relation: str) -> float:
        """The same on a scale from even attention (0) to all of it (1)."""
        even = self._at(self.even, head, relation)
        return (self.of(head, relation) - even) / (1 - even) if even < 1 else 0.0

    def by_tokens(self, head: Node, relation: str) -> float:
        """How much more it pays there than where the relation stands in another prompt."""
        return self.of(head, relation) - self._at(self.elsewhere, head, relation)

    def percentile(self, head: Node, relation: str) -> float:
        """What part of the model's heads pay no more than this one."""
        column = self.attention[:, RELATIONS.index(relation)]
        return float((column <= column[self.heads.index(head)]).double().mean())

    def _at(self, values: Float[Tensor, "head relation"], head: Node, relation: str) -> float:
        return float(values[self.heads.index(head), RELATIONS.index(relation)])


def on_random_sequences(problem: Problem, seed: int = 0) -> HeadBehaviours | None:
    """The behaviours on random tokens that repeat, with different periods; None where the model reads too few."""
    tokens = _sequences(problem, seed)
    if tokens is None:
        return None
    last = torch.full((len(tokens),), tokens.shape[1] - 1)
    runs = prepare(problem.model, TokenPairs(tokens, tokens, last), Ablation.ZERO)
    known = relations(tokens.to(problem.model.device))
    has = known.any(-1).movedim(0, -1).to(runs.delta.dtype)
    return _means(_heads(problem), _summed(runs, known, has.expand(len(_heads(problem)), *has.shape)))


def on_prompts(problem: Problem) -> HeadBehaviours:
    """The behaviours on a problem's clean prompts, where what each head writes matters."""
    sums = None
    for batch in problem.batches:
        tokens = batch.prompts.clean[:, : batch.runs.delta.shape[-2]].to(problem.model.device)
        weights = position_weights(batch)[..., None].expand(-1, -1, -1, len(RELATIONS))
        summed = _summed(batch.runs, relations(tokens, batch.prompts.answers.to(tokens.device)), weights)
        sums = summed if sums is None else tuple(a + b for a, b in zip(sums, summed, strict=True))
        del batch
    assert sums is not None
    return _means(_heads(problem), sums)


def _heads(problem: Problem) -> tuple[Node, ...]:
    return tuple(node for node in problem.graph.senders if node.kind == "head")


def _summed(
    runs: Runs,
    known: Bool[Tensor, "relation batch query key"],
    weights: Float[Tensor, "head batch query relation"],
) -> tuple[Tensor, ...]:
    """Attention, even attention, attention elsewhere and weights, added up over the queries of a batch."""
    own, count = known.to(runs.delta.dtype), runs.graph.n_heads
    other = own.roll(1, dims=1)
    attention: list[Tensor] = []
    even: list[Tensor] = []
    elsewhere: list[Tensor] = []
    for number, (layer, pattern) in enumerate(zip(runs.layers, layer_patterns(runs), strict=True)):
        weight = weights[number * count : (number + 1) * count]
        allowed = layer.geometry.allowed.to(pattern.dtype).expand(pattern.shape[1:])
        evenly = (allowed / allowed.sum(-1, keepdim=True)).expand_as(pattern)
        for found, paid, along in ((attention, pattern, own), (even, evenly, own), (elsewhere, pattern, other)):
            found.append((torch.einsum("hbqk,rbqk->hbqr", paid, along) * weight).sum((1, 2)))
    return torch.cat(attention), torch.cat(even), torch.cat(elsewhere), weights.sum((1, 2))


def _means(heads: tuple[Node, ...], sums: tuple[Tensor, ...]) -> HeadBehaviours:
    attention, even, elsewhere, total = (part.double().cpu() for part in sums)
    some = total.clamp(min=1e-30)
    return HeadBehaviours(heads, attention / some, even / some, elsewhere / some)


def _sequences(problem: Problem, seed: int) -> Int[Tensor, "batch pos"] | None:
    """Random tokens that repeat, behind the token that all prompts begin with, where it is one."""
    model, generator = problem.model, torch.Generator().manual_seed(seed)
    firsts = {tokens[0] for pair in problem.pairs.pairs for tokens in (pair.clean, pair.corrupt)}
    start = torch.tensor(sorted(firsts) if len(firsts) == 1 else [], dtype=torch.long)
    special = {*getattr(model.tokenizer, "all_special_ids", ()), *start.tolist()}
    usual = torch.tensor([token for token in range(model.vocabulary) if token not in special])
    length = min(model.identity.n_context or LENGTH, LENGTH) - len(start)
    periods = [period for period in PERIODS if 2 * period <= length and period <= len(usual)]
    periods = [period for period in periods if period >= _USUAL] or periods
    if not periods:
        return None
    rows = []
    for number in range(SEQUENCES):
        period = periods[number % len(periods)]
        pattern = usual[torch.randperm(len(usual), generator=generator)[:period]]
        rows.append(torch.cat((start, pattern.repeat(length // period + 1)[:length])))
    return torch.stack(rows)
