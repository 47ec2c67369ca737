"""What every head of a model looks at: how much of its attention goes to the token before, the same one, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.batch import Batch
from acdc.explain.attention import layer_patterns, slot_names, slots_of_batch
from acdc.explain.relation_names import OF_TOKENS, RELATIONS
from acdc.explain.relations import relations
from acdc.explain.where_it_matters import costs_by_position, position_weights
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import Runs, TokenPairs, prepare
from acdc.graphs.nodes import Node
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

SEQUENCES = 48
PERIODS = range(2, 13)
LENGTH = 24
_USUAL = 4
"""Shorter periods are taken only where a model reads no longer sequences: with these, offsets and repetition mix."""


@dataclass(frozen=True)
class HeadBehaviours:
    """The part of its attention that each head pays along each relation, in the mean over queries that have such keys.

    All queries count alike or, where what heads write has been weighed, as much as it is needed there; `reach` is what
    part of the weight queries with such keys have. `even` is what even attention would pay, and `elsewhere` what the
    head pays where the relation stands in another prompt of the same length: as much, if it goes by positions alone.
    """

    heads: tuple[Node, ...]
    attention: Float[Tensor, "head relation"]
    even: Float[Tensor, "head relation"]
    elsewhere: Float[Tensor, "head relation"]
    reach: Float[Tensor, "head relation"]

    def of(self, head: Node, relation: str) -> float:
        """What a head pays along a relation."""
        return self._at(self.attention, head, relation)

    def by_chance(self, head: Node, relation: str) -> float:
        """What even attention pays; for a relation of tokens at least what the head pays where it stands elsewhere."""
        even = self.evenly(head, relation)
        return max(even, self._at(self.elsewhere, head, relation)) if relation in OF_TOKENS else even

    def evenly(self, head: Node, relation: str) -> float:
        """What even attention pays."""
        return self._at(self.even, head, relation)

    def never_elsewhere(self, head: Node, relation: str) -> bool:
        """Whether a relation stands at the same positions in all prompts, where the head has any weight."""
        return self._at(self.elsewhere, head, relation) == self.of(head, relation)

    def score(self, head: Node, relation: str) -> float:
        """What a head pays on a scale from chance (0) to all of its attention (1)."""
        chance = self.by_chance(head, relation)
        return (self.of(head, relation) - chance) / (1 - chance) if chance < 1 else 0.0

    def reached(self, head: Node, relation: str) -> float:
        """What part of the weight is where there are such keys."""
        return self._at(self.reach, head, relation)

    def percentile(self, head: Node, relation: str) -> float:
        """What part of the heads pay no more than this one."""
        column = self.attention[:, RELATIONS.index(relation)]
        return float((column <= column[self.heads.index(head)]).double().mean())

    def _at(self, values: Float[Tensor, "head relation"], head: Node, relation: str) -> float:
        return float(values[self.heads.index(head), RELATIONS.index(relation)])


def on_random_sequences(problem: Problem, seed: int = 0) -> HeadBehaviours | None:
    """Those of all heads on random tokens that repeat, with different periods; None where the model reads too few."""
    tokens = _sequences(problem, seed)
    if tokens is None:
        return None
    last = torch.full((len(tokens),), tokens.shape[1] - 1)
    runs = prepare(problem.model.by_position(()), TokenPairs(tokens, tokens, last), Ablation.ZERO)
    heads = all_heads(problem)
    weights = torch.ones(len(heads), *tokens.shape, dtype=runs.delta.dtype, device=runs.delta.device)
    return _RelationSums.of(runs, relations(tokens.to(problem.model.device)), weights, range(len(heads))).means(heads)


def on_prompts(problem: Problem, heads: Sequence[Node] | None = None) -> HeadBehaviours:
    """Those of some heads (None: all) on a problem's clean prompts, every position up to the scored one alike."""
    every = all_heads(problem)
    heads = every if heads is None else tuple(heads)
    numbers, sums = [every.index(head) for head in heads], []
    for batch in problem.batches:
        length = batch.runs.length
        before = torch.arange(length, device=batch.whole.delta.device) <= batch.whole.scored_positions[:, None]
        weights = before.to(batch.whole.delta.dtype).expand(len(heads), -1, -1)
        sums.append(_RelationSums.of(batch.whole, _known(batch), weights, numbers))
        del batch
    return reduce(add, sums).means(heads)


def where_needed(
    problem: Problem, heads: Sequence[Node], watch: Watch | None = None
) -> tuple[HeadBehaviours, dict[Node, dict[str, float]]]:
    """Those of some heads on a problem's clean prompts, each position counting as what they write there is needed.

    And what ablating each at the positions of each slot costs, one position at a time, in the mean over prompts.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    slots, numbers = slot_names(problem), [all_heads(problem).index(head) for head in heads]
    sums, by_slot = [], torch.zeros(len(heads), len(slots), dtype=torch.float64)
    for batch in problem.batches:
        costs = costs_by_position(problem, batch, heads, watch)
        is_slot = slots_of_batch(problem, batch, slots).double()
        by_slot += torch.einsum("hbp,bsp->hs", costs, is_slot) / len(problem.pairs)
        index = [problem.graph.sender_index[head] for head in heads]
        written = batch.whole.delta[index].norm(dim=-1)
        weights = position_weights(costs.to(written), written)
        sums.append(_RelationSums.of(batch.whole, _known(batch), weights, numbers))
        del batch
    needed = {head: dict(zip(slots, row, strict=True)) for head, row in zip(heads, by_slot.tolist(), strict=True)}
    return reduce(add, sums).means(tuple(heads)), needed


def all_heads(problem: Problem) -> tuple[Node, ...]:
    """Every head of a problem's model."""
    return tuple(node for node in problem.graph.senders if node.kind == "head")


def _known(batch: Batch) -> Bool[Tensor, "relation batch query key"]:
    tokens = batch.prompts.clean[:, : batch.runs.length].to(batch.runs.delta.device)
    return relations(tokens, batch.prompts.answers.to(tokens.device))


@dataclass(frozen=True)
class _RelationSums:
    """What is added up over the queries of all prompts, for each head and relation."""

    attention: Float[Tensor, "head relation"]
    even: Float[Tensor, "head relation"]
    weight: Float[Tensor, "head relation"]
    elsewhere: Float[Tensor, "head relation"]
    elsewhere_weight: Float[Tensor, "head relation"]
    all_weight: Float[Tensor, "head relation"]

    @classmethod
    def of(
        cls,
        runs: Runs,
        known: Bool[Tensor, "relation batch query key"],
        weights: Float[Tensor, "head batch query"],
        numbers: Sequence[int],
    ) -> _RelationSums:
        """Those of a batch of prompts, for heads that have these numbers in the model."""
        away = known.roll(1, dims=1) & ~known
        own, other = known.to(weights.dtype), away.to(weights.dtype)
        rows, count = [torch.zeros(6, len(own), dtype=weights.dtype)] * len(numbers), runs.graph.n_heads
        for first, (layer, patterns) in enumerate(zip(runs.layers, layer_patterns(runs), strict=True)):
            allowed = layer.geometry.allowed.to(weights.dtype).expand(patterns.shape[1:])
            even = allowed / allowed.sum(-1, keepdim=True)
            for row, number in enumerate(numbers):
                if number // count == first:
                    weight = weights[row]
                    paid, evenly = (each * weight[..., None] for each in (patterns[number % count], even))
                    along = [torch.einsum("bqk,rbqk->r", *pair) for pair in ((paid, own), (evenly, own), (paid, other))]
                    have = [torch.einsum("bq,rbq->r", weight, each.amax(-1)) for each in (own, other)]
                    total = weight.sum().expand(len(own))
                    rows[row] = torch.stack([along[0], along[1], have[0], along[2], have[1], total])
        empty = torch.zeros(0, 6, len(own), dtype=weights.dtype, device=weights.device)
        return cls(*(torch.stack(rows) if rows else empty).double().cpu().unbind(1))

    def means(self, heads: tuple[Node, ...]) -> HeadBehaviours:
        """What they come to; where the relation never stands elsewhere, that is what it is here."""
        attention, even, elsewhere = (
            torch.where(weight > 0, part / weight.clamp(min=1e-30), 0)
            for part, weight in (
                (self.attention, self.weight),
                (self.even, self.weight),
                (self.elsewhere, self.elsewhere_weight),
            )
        )
        elsewhere = torch.where(self.elsewhere_weight > 0, elsewhere, attention)
        reach = torch.where(self.all_weight > 0, self.weight / self.all_weight.clamp(min=1e-30), 0)
        return HeadBehaviours(heads, attention, even, elsewhere, reach)

    def __add__(self, other: _RelationSums) -> _RelationSums:
        return _RelationSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


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
