"""What a head takes from the first token is what its edges there carry, measured by an ordinary circuit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import acdc
from acdc.explain.first_token import costs_without_first
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Node
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup

HEADS = [Node("head", 0, 1), Node("head", 1, 2), Node("head", 2, 0)]


def pick(ablation: str) -> Problem:
    """The letter that says which digit to pick is the first token, and differs between the prompts of a pair."""
    setup = Setup(prompts=6, positions="slots", ablation=ablation)
    return problems(acdc.get_task("siit_pick"), load_model("siit-pick-3l"), setup)[1]


@pytest.mark.parametrize("ablation", ["resample", "zero", "mean"])
def test_it_costs_what_removing_the_value_edges_at_the_first_token_costs(ablation: str) -> None:
    problem = pick(ablation)
    first, (full, none) = problem.graph.spans[0], problem.bounds
    every = Circuit.full(problem.graph)
    circuits = [every]
    for head in HEADS:
        into = [one for one in every.ordered() if (one.receiver, one.slot, one.span) == (head, "v", first)]
        assert into
        circuits.append(Circuit(problem.graph, every.edges - frozenset(into)))
    values = problem.measure(circuits)[0]
    found = costs_without_first(problem, HEADS)
    assert found.mean(1).abs().max() > 0.3
    torch.testing.assert_close(found, (values[0] - values[1:]) / (full - none), rtol=0, atol=1e-5)


def test_a_first_token_that_is_the_same_in_both_prompts_decides_nothing() -> None:
    setup = Setup(prompts=6, metric="kl")
    problem = problems(acdc.get_task("ioi"), load_model("everyday-4l"), setup)[1]
    pairs = [replace(pair, corrupt=(pair.clean[0], *pair.corrupt[1:])) for pair in problem.pairs.pairs]
    same = problem.on(replace(problem.pairs, pairs=tuple(pairs)))
    assert Ablation.RESAMPLE is problem.ablation
    heads = [Node("head", layer, head) for layer in range(4) for head in range(2)]
    assert costs_without_first(same, heads).abs().max() == 0
