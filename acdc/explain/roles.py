"""Which role each head of a circuit has: only where attention, on prompts kept for it, and ablation agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.explain.estimates import means
from acdc.explain.head_behaviours import HeadBehaviours
from acdc.explain.node_ablation import costs_without
from acdc.explain.relations import AFTER, ANSWER, FIRST, FIXED, OF_TOKENS, PREVIOUS, RELATIONS, SAME
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED, NodeRole
from acdc.judges.faithfulness import Interval
from acdc.problem import Problem

ATTENTION = 0.5
"""A role's heads pay at least this part of their attention along its relation, where what they write matters."""
ABOVE_EVEN = 0.3
"""And at least so far from even attention (0) to all of it (1)."""
BY_TOKENS = 0.25
"""And so much more than where the relation stands in another prompt, where a role hangs on tokens."""
DIRECT = 0.05
"""A name mover adds at least this part of the logit difference directly; a negative one takes as much away."""
COST = 0.05
"""Ablating a role's heads costs at least this part of the behaviour more than as many others of their layers do."""
CONTROLS = 10

MOVER, NEGATIVE = "name mover", "negative name mover"
ROLES = {
    PREVIOUS: "previous token",
    SAME: "duplicate token",
    **dict.fromkeys(AFTER, "induction"),
    ANSWER: MOVER,
    FIRST: "first token",
    **{name: f"fixed offset ({name})" for name in FIXED},
}
NAMES = tuple(dict.fromkeys((*ROLES.values(), NEGATIVE)))


@dataclass(frozen=True)
class HeadEvidence:
    """What is measured of every head on some prompts: attention there and on random sequences, and direct effects.

    `direct` is the part of the logit difference that each head adds directly.
    """

    prompts: HeadBehaviours
    random: HeadBehaviours | None
    direct: Mapping[Node, float]

    def role(self, head: Node) -> tuple[str, str]:
        """The role that a head's evidence speaks for, with the relation; `unlabelled` and "" where it is none."""
        fitting = [relation for relation in RELATIONS if self._fits(head, relation)]
        if not fitting:
            return UNLABELLED, ""
        best = max(self.prompts.above_even(head, relation) for relation in fitting)
        # of those that fit about as well, as on prompts of one form, the first in the order of the relations
        relation = next(one for one in fitting if self.prompts.above_even(head, one) > best - 0.1)
        role = ROLES[relation]
        return (NEGATIVE if role == MOVER and self.direct[head] < 0 else role), relation

    def _fits(self, head: Node, relation: str) -> bool:
        here = self.prompts
        if not (here.of(head, relation) >= ATTENTION and here.above_even(head, relation) >= ABOVE_EVEN):
            return False
        if relation == ANSWER and not abs(self.direct[head]) >= DIRECT:
            return False
        return relation not in OF_TOKENS or self.by_tokens(head, relation) >= BY_TOKENS

    def by_tokens(self, head: Node, relation: str) -> float:
        """How much more attention a head pays than where the relation stands in another prompt, here or at random."""
        return max(each.by_tokens(head, relation) for each in (self.prompts, self.random) if each is not None)


@dataclass(frozen=True)
class CausalCheck:
    """What ablating the heads of a role costs, of the behaviour, and how much more than others of their layers do."""

    role: str
    heads: tuple[Node, ...]
    cost: Interval
    others: float
    more: Interval

    @property
    def agrees(self) -> bool:
        """Whether it is more than the bar, and surely more than nothing."""
        return self.more.value >= COST and self.more.low > 0


def causal_checks(
    problem: Problem, circuit: Circuit, candidates: Mapping[Node, str], seed: int = 0
) -> tuple[tuple[CausalCheck, ...], frozenset[Node]]:
    """For every role the check of its heads together; and the heads that also count by themselves.

    One does when ablating it, alone or after the others of its role, costs more than ablating another of its layer.

    Raises: UnmeasurableBehaviour.
    """
    by_role: dict[str, list[Node]] = defaultdict(list)
    for head, role in candidates.items():
        by_role[role].append(head)
    rng, checks, counting = np.random.default_rng(seed), [], set[Node]()
    inside = (set(circuit.heads()), set(candidates))
    for role, heads in by_role.items():
        controls = _controls(problem, inside, heads, rng)
        alone = [[head] for head in heads]
        rest = [[other for other in heads if other != head] for head in heads]
        others = [one for head in heads for one in _controls(problem, inside, [head], rng)]
        groups = [heads, *controls, *alone, *rest, *others]
        costs = costs_without(problem, groups)
        parts = torch.split(costs, [1, len(controls), len(heads), len(heads), len(others)])
        together, control, single, without, other = parts
        base = control.mean(0) if len(controls) else torch.zeros(costs.shape[1], dtype=costs.dtype)
        checks.append(
            CausalCheck(role, tuple(heads), _mean(together[0]), float(base.mean()), _mean(together[0] - base))
        )
        small = other.mean(0) if len(others) else torch.zeros(costs.shape[1], dtype=costs.dtype)
        for head, own, less in zip(heads, single, without, strict=True):
            marginal = [_mean(own - small), _mean(together[0] - less - small)]
            if any(one.low > 0 for one in marginal):
                counting.add(head)
    return tuple(checks), frozenset(counting)


def roles(
    circuit: Circuit,
    chosen: HeadEvidence,
    kept: HeadEvidence,
    checks: Sequence[CausalCheck],
    counting: Collection[Node],
) -> dict[Node, NodeRole]:
    """The role of every head of a circuit, with the evidence on the prompts that were kept for it."""
    agreeing = {check.role: check for check in checks if check.agrees}
    found = {}
    for head in circuit.heads():
        role, relation = kept.role(head)
        if role == UNLABELLED or chosen.role(head)[0] != role or role not in agreeing or head not in counting:
            found[head] = NodeRole(UNLABELLED, _strongest(kept, head))
            continue
        found[head] = NodeRole(
            role, _evidence(kept, head, relation, agreeing[role]), kept.prompts.percentile(head, relation)
        )
    return found


def candidates(circuit: Circuit, chosen: HeadEvidence, kept: HeadEvidence) -> dict[Node, str]:
    """The heads of a circuit whose attention speaks for one role on both halves of the prompts."""
    both = {head: (chosen.role(head)[0], kept.role(head)[0]) for head in circuit.heads()}
    return {head: role for head, (role, again) in both.items() if role == again != UNLABELLED}


def _evidence(kept: HeadEvidence, head: Node, relation: str, check: CausalCheck) -> dict[str, float]:
    numbers = {f"attention to {relation}": kept.prompts.of(head, relation)}
    if kept.random is not None and relation != ANSWER:
        numbers[f"attention to {relation}, random sequences"] = kept.random.of(head, relation)
    if relation in OF_TOKENS:
        numbers["more than by position"] = kept.by_tokens(head, relation)
    numbers["direct effect"] = kept.direct[head]
    numbers["cost of ablating the role's heads"] = check.cost.value
    numbers["cost of ablating others"] = check.others
    return {name: round(value, 4) for name, value in numbers.items()}


def _strongest(kept: HeadEvidence, head: Node) -> dict[str, float]:
    """What comes nearest to a role."""
    relation = max(RELATIONS, key=lambda one: kept.prompts.above_even(head, one))
    return {
        f"attention to {relation}": round(kept.prompts.of(head, relation), 4),
        "direct effect": round(kept.direct[head], 4),
    }


def _controls(
    problem: Problem, working: Sequence[Collection[Node]], heads: Sequence[Node], rng: np.random.Generator
) -> list[list[Node]]:
    """Groups of as many other heads of the same layers, at random: none of the first of these sets that leaves enough.

    Heads that do work of their own would make a poor comparison.
    """
    pools, counts = [], []
    for layer in sorted({head.layer for head in heads}):
        own = [head for head in heads if head.layer == layer]
        every = [Node("head", layer, number) for number in range(problem.graph.n_heads)]
        left = [[head for head in every if head not in heads and head not in known] for known in (*working, ())]
        pools.append(next((pool for pool in left if len(pool) >= len(own)), left[-1]))
        counts.append(min(len(own), len(pools[-1])))
    if not sum(counts):
        return []

    def drawn() -> tuple[Node, ...]:
        chosen = zip(pools, counts, strict=True)
        return tuple(pool[at] for pool, count in chosen for at in sorted(rng.choice(len(pool), count, replace=False)))

    groups = {drawn() for _ in range(CONTROLS)}
    return [list(group) for group in sorted(groups)]


def _mean(values: Float[Tensor, " prompt"]) -> Interval:
    """The mean over prompts; without an interval, where there is one prompt, nothing is sure."""
    return means(values[None]).interval(0)
