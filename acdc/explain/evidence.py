"""Everything that is measured of the heads of a circuit for one half of a task's prompts."""

from __future__ import annotations

from collections.abc import Sequence

from acdc.explain.direct_logits import direct_effects
from acdc.explain.estimates import means
from acdc.explain.head_behaviours import on_prompts, on_random_sequences, where_needed
from acdc.explain.node_ablation import costs_without
from acdc.explain.roles import DirectEffect, HeadEvidence
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import LOGITS, Edge, Node
from acdc.problem import Problem


def evidence(problem: Problem, heads: Sequence[Node], seed: int) -> HeadEvidence:
    """The evidence on a problem's prompts, and on random sequences drawn with `seed`.

    Raises: UnmeasurableBehaviour where the model does not show the behaviour.
    """
    prompts, needed = where_needed(problem, heads)
    direct = {} if problem.pairs.whole or not heads else _direct(problem, heads)
    return HeadEvidence(prompts, on_prompts(problem), on_random_sequences(problem, seed), direct, needed)


def _direct(problem: Problem, heads: Sequence[Node]) -> dict[Node, DirectEffect]:
    effects, index = direct_effects(problem), problem.graph.sender_index
    total = abs(float(effects.sum(0).mean()))
    found = means(effects[[index[head] for head in heads]] / (total or 1.0))
    whole = costs_without(problem, [[head] for head in heads]).mean(1)
    full = Circuit.full(problem.graph)
    without = [full.without([Edge(head, LOGITS)]) for head in heads]
    measured = problem.measure([full, *without])[0].mean(1)
    best, worst = problem.bounds
    edges = (measured[0] - measured[1:]) / (best - worst)
    mostly = edges.abs() >= whole.abs() / 2
    return {head: DirectEffect(found.interval(number), bool(mostly[number])) for number, head in enumerate(heads)}
