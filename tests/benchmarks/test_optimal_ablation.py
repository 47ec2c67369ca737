"""Learned constants are an ablation: the whole model is the clean run, and no edge at all is the constants' run."""

from __future__ import annotations

import pytest
import torch

from acdc import tasks
from acdc.graphs.circuit import Circuit
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Compute, Setup
from tests.benchmarks import optimal_ablation
from tests.benchmarks.optimal_ablation import carrying, learned, under


@pytest.fixture(scope="module", params=["float32", "float64"])
def problem(request: pytest.FixtureRequest) -> Problem:
    """Eight prompts under mean ablation, measured by KL."""
    setup = Setup("kl", "mean", prompts=8, compute=Compute(dtype=request.param))
    return problems(tasks.get("periodic"), load_named("periodic-2l", setup), setup)[0]


def test_constants_lose_less_than_means_and_are_the_same_for_the_same_seed(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimal_ablation, "_STEPS", 25)
    constants, again, other = learned(problem), learned(problem), learned(problem, seed=1)
    assert torch.equal(constants, again)
    assert not torch.equal(constants, other)
    ours, edges = under(problem, constants), [Circuit.full(problem.graph), Circuit.empty(problem.graph)]
    (full, none), (_, mean) = (each.measure(edges)[0].mean(-1).tolist() for each in (ours, problem))
    assert full == pytest.approx(0, abs=1e-5)
    assert none < mean
    for batch, old in zip(ours.batches, problem.batches, strict=True):
        moved = carrying(old.runs, constants)
        final = constants.sum(0)[0] + sum(layer.attention.output.bias for layer in problem.model.layers)
        wanted = problem.model.unembedding(final.expand(len(batch.prompts), -1))
        for runs in (batch.runs, moved):
            torch.testing.assert_close(runs.none(), wanted, rtol=0, atol=1e-3 if final.dtype == torch.float32 else 1e-9)
            torch.testing.assert_close(runs.delta, batch.runs.delta, rtol=0, atol=1e-4)
