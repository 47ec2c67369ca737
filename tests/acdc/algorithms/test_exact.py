"""The exact effect of an edge is what measuring the whole model without it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference, metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Checkpoints
from tests.native_bridges import native_model


def assert_exact(problem: Problem, exact: ExactPatching) -> None:
    scored, full = ended(exact.walk(problem)), Circuit.full(problem.graph)
    assert scored == full
    edges = full.ordered()
    whole, *without = problem.measure([full, *(full.without([edge]) for edge in edges)])[0].mean(-1).tolist()
    worse = -1 if problem.metric.name in ("logit_difference", "accuracy") else 1
    wanted = {edge: worse * (value - whole) for edge, value in zip(edges, without, strict=True)}
    assert max(map(abs, wanted.values())) > 1e-3
    assert dict(scored.scores) == pytest.approx(wanted, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("measured", "ablation"),
    [
        ("logit_difference", Ablation.RESAMPLE),
        ("kl", Ablation.MEAN),
        ("nll", Ablation.MEAN_POSITIONAL),
        ("accuracy", Ablation.ZERO),
    ],
)
def test_every_effect_is_that_of_the_model_without_the_edge(
    measurable: Problem, measured: str, ablation: Ablation
) -> None:
    assert_exact(replace(measurable, metric=metric(measured), ablation=ablation), ExactPatching())


@pytest.mark.parametrize("name", ["gpt_neox", "gemma2"])
def test_also_in_parallel_models_and_with_frozen_scales(checkpoints: Checkpoints, name: str) -> None:
    model = checkpoints.model("gpt_neox" if name == "gpt_neox" else "gemma2")
    assert_exact(Problem(model, behaviour(model, (5, 6)), LogitDifference()), ExactPatching())


def test_also_without_mlps() -> None:
    model = native_model("attention_only")
    assert_exact(Problem(model, behaviour(model, (5, 6)), LogitDifference()), ExactPatching())


def test_neither_memory_nor_batches_change_an_effect(measurable: Problem) -> None:
    roomy = ended(ExactPatching().walk(measurable)).scores
    cramped = ended(ExactPatching(max_bytes=1).walk(replace(measurable, batching=Batching(2)))).scores
    assert dict(cramped) == pytest.approx(dict(roomy), rel=0, abs=1e-10)


def test_it_tells_of_every_receiver(measurable: Problem) -> None:
    _, told = finished(ExactPatching().walk(measurable))
    total = len(measurable.graph.receivers)
    assert told == [ScoringStep(done, total) for done in range(1, total + 1)]
