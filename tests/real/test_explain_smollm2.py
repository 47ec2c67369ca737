"""On SmolLM2-135M the induction heads that the detector finds do far more for induction than others of their layers."""

from __future__ import annotations

from collections import Counter

import numpy as np

import acdc
from acdc.explain.head_behaviours import on_random_sequences
from acdc.explain.node_ablation import costs_without
from acdc.explain.relation_names import AFTER
from acdc.graphs.nodes import Node
from acdc.models import load_model
from acdc.problems import problems
from acdc.settings import Setup

GROUPS = 6


def test_removing_induction_heads_costs_five_times_what_removing_others_costs() -> None:
    model = load_model("smollm2-135m")
    problem = problems(acdc.get_task("induction"), model, Setup(prompts=24, metric="kl"))[1]
    measured = on_random_sequences(problem, 1)
    assert measured is not None
    scores = {head: measured.of(head, AFTER[0]) for head in measured.heads}
    found = [head for head, score in scores.items() if score >= 0.5]
    assert len(found) >= 3
    spared = {head for head, score in scores.items() if score >= 0.3}
    rng, groups = np.random.default_rng(0), []
    for _ in range(GROUPS):
        group: list[Node] = []
        for layer, count in Counter(head.layer for head in found).items():
            pool = [number for number in range(model.graph.n_heads) if Node("head", layer, number) not in spared]
            group += [Node("head", layer, int(number)) for number in rng.choice(pool, count, replace=False)]
        groups.append(group)
    costs = costs_without(problem, [found, *groups]).mean(1)
    assert costs[0] >= 5 * costs[1:].mean()
