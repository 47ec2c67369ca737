"""Which role each head of a circuit has: only where attention, on prompts kept for it, and ablation agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.explain.estimates import means
from acdc.explain.head_evidence import HeadEvidence
from acdc.explain.node_ablation import costs_without
from acdc.explain.relation_names import ANSWER, FIRST, RELATIONS
from acdc.explain.role_names import NEGATIVE
from acdc.explain.where_it_matters import LEAST
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED, NodeRole
from acdc.judges.faithfulness import Interval
from acdc.problem import Problem

if TYPE_CHECKING:
    from acdc.judges.distance import Watch

CONTROLS = 10
ON_RANDOM = "on random sequences"
AS_WELL = "as well to "
"""What evidence for another role begins with that the prompts do not tell from a head's role."""


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
        """Whether it is surely more than nothing: less, for heads that work against the behaviour."""
        return _counts(self.role, self.more)


def causal_checks(
    problem: Problem,
    circuit: Circuit,
    candidates: Mapping[Node, str],
    alone: Mapping[Node, Float[Tensor, " prompt"]],
    seed: int = 0,
    watch: Watch | None = None,
) -> tuple[tuple[CausalCheck, ...], frozenset[Node]]:
    """For every role the check of its heads together; and, where it agrees, the heads that also count by themselves.

    One does when ablating it, alone or after the others of its role, costs more than ablating another of its layer.
    `alone` is what is known already: what ablating single heads costs on these prompts.

    Raises: UnmeasurableBehaviour.
    """
    by_role: dict[str, list[Node]] = defaultdict(list)
    for head, role in candidates.items():
        by_role[role].append(head)
    rng, inside = np.random.default_rng(seed), (set(circuit.heads()), set(candidates))
    compared = {role: _Compared.of(problem, inside, heads, rng) for role, heads in by_role.items()}
    costs: dict[_Group, Float[Tensor, " prompt"]] = {(head,): cost for head, cost in alone.items()}

    def measure(groups: Iterable[_Group]) -> None:
        left = [group for group in dict.fromkeys(groups) if group not in costs]
        stage = "ablating the heads of each role, and others"
        costs.update(zip(left, costs_without(problem, left, watch=watch, stage=stage), strict=True))

    measure(group for one in compared.values() for group in (one.heads, *one.controls))
    checks = []
    for role, one in compared.items():
        together, others = costs[one.heads], _average(costs, one.controls)
        checks.append(CausalCheck(role, one.heads, _mean(together), float(others.mean()), _mean(together - others)))
    agreeing = {check.role: compared[check.role] for check in checks if check.agrees}  # of others no head has the role
    measure(group for one in agreeing.values() for group in one.apart)
    counting = set[Node]()
    for role, one in agreeing.items():
        for head, controls in one.single.items():
            small, more = _average(costs, controls), costs[one.heads] - costs[one.without(head)]
            if any(_counts(role, _mean(each - small)) for each in (costs[head,], more)):
                counting.add(head)
    return tuple(checks), frozenset(counting)


_Group = tuple[Node, ...]


@dataclass(frozen=True)
class _Compared:
    """The heads of a role with as many others of their layers to compare with, and others for each of them alone."""

    heads: _Group
    controls: tuple[_Group, ...]
    single: Mapping[Node, tuple[_Group, ...]]

    @classmethod
    def of(
        cls, problem: Problem, inside: Sequence[Collection[Node]], heads: Sequence[Node], rng: np.random.Generator
    ) -> _Compared:
        """Those of these heads."""
        together = _controls(problem, inside, heads, rng)
        return cls(tuple(heads), together, {head: _controls(problem, inside, [head], rng) for head in heads})

    @property
    def apart(self) -> Iterator[_Group]:
        """What is ablated for each head: nothing at all where a role has one head, and no other is left of it."""
        for head, controls in self.single.items():
            yield from ((head,), self.without(head), *controls)

    def without(self, head: Node) -> _Group:
        """The others of the role."""
        return tuple(other for other in self.heads if other != head)


def _average(costs: Mapping[_Group, Float[Tensor, " prompt"]], groups: Sequence[_Group]) -> Float[Tensor, " prompt"]:
    """The mean of what some groups cost, 0 where there are none."""
    return torch.stack([costs[group] for group in groups] or [torch.zeros_like(next(iter(costs.values())))]).mean(0)


def roles(
    circuit: Circuit,
    chosen: HeadEvidence,
    kept: HeadEvidence,
    checks: Sequence[CausalCheck],
    counting: Collection[Node],
) -> dict[Node, NodeRole]:
    """The role of every head of a circuit, with the evidence on the prompts that were kept for it, if it has any."""
    agreeing = {check.role: check for check in checks if check.agrees}
    known, found = candidates(chosen, kept), {}
    for head in circuit.heads():
        role = known.get(head, UNLABELLED)
        if role not in agreeing or head not in counting:
            found[head] = NodeRole(UNLABELLED, _strongest(kept if head in kept.costs.by_slot else chosen, head))
            continue
        relation = kept.role(head)[1]
        found[head] = NodeRole(
            role, _evidence(kept, head, relation, agreeing[role]), kept.everywhere.percentile(head, relation)
        )
    return found


def candidates(chosen: HeadEvidence, kept: HeadEvidence) -> dict[Node, str]:
    """The heads whose attention speaks for one role on both halves of the prompts, of those looked at on both."""
    both = {head: (chosen.role(head)[0], kept.role(head)[0]) for head in kept.costs.by_slot}
    return {head: role for head, (role, again) in both.items() if role == again != UNLABELLED}


def _counts(role: str, cost: Interval) -> bool:
    """Whether a cost is surely one; metrics that cannot improve, such as kl, rise without negative name movers too."""
    helps = cost.value >= LEAST and cost.low > 0
    return helps or (role == NEGATIVE and cost.value <= -LEAST and cost.high < 0)


def _evidence(kept: HeadEvidence, head: Node, relation: str, check: CausalCheck) -> dict[str, float]:
    numbers = {
        f"attention to {relation}": kept.prompts.of(head, relation),
        "by chance": kept.prompts.by_chance(head, relation),
        "at all positions": kept.everywhere.of(head, relation),
    }
    if kept.random is not None and relation != ANSWER:
        numbers[ON_RANDOM] = kept.random.of(head, relation)
    for other in kept.alike(head):
        numbers[f"{AS_WELL}{other}"] = kept.prompts.of(head, other)
        if kept.random is not None:
            numbers[f"{ON_RANDOM} {AS_WELL}{other}"] = kept.random.of(head, other)
    if relation == FIRST:
        numbers["cost without what it says"] = float(kept.costs.from_first[head].mean())
    if head in kept.direct:
        numbers["direct effect"] = kept.direct[head].part.value
    return of_check(numbers, check)


def of_check(numbers: Mapping[str, float], check: CausalCheck) -> dict[str, float]:
    """The evidence for a role, with what ablating its heads and others costs."""
    costs = {"cost of ablating the role's heads": check.cost.value, "cost of ablating others": check.others}
    return {name: round(value, 4) for name, value in {**numbers, **costs}.items()}


def _strongest(kept: HeadEvidence, head: Node) -> dict[str, float]:
    """What comes nearest to a role."""
    reached = [one for one in RELATIONS if kept.prompts.reached(head, one) >= 0.5] or list(RELATIONS)
    relation = max(reached, key=lambda one: kept.prompts.score(head, one))
    return {
        f"attention to {relation}": round(kept.prompts.of(head, relation), 4),
        "by chance": round(kept.prompts.by_chance(head, relation), 4),
    }


def _controls(
    problem: Problem, working: Sequence[Collection[Node]], heads: Sequence[Node], rng: np.random.Generator
) -> tuple[_Group, ...]:
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
        return ()

    def drawn() -> tuple[Node, ...]:
        chosen = zip(pools, counts, strict=True)
        return tuple(pool[at] for pool, count in chosen for at in sorted(rng.choice(len(pool), count, replace=False)))

    groups = {drawn() for _ in range(CONTROLS)}
    return tuple(sorted(groups))


def _mean(values: Float[Tensor, " prompt"]) -> Interval:
    """The mean over prompts; without an interval, where there is one prompt, nothing is sure."""
    return means(values[None]).interval(0)
