"""Learned masks follow the distribution they are named after, meet the sparsity wanted, and keep what matters."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch

import acdc
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.masks import LearnedMasks, kept, sampled
from acdc.algorithms.scores import ScoringStep
from acdc.errors import BadSetting
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished


def test_samples_are_not_0_as_often_as_is_said() -> None:
    log_alpha = torch.linspace(-4, 4, 9, dtype=torch.float64)
    noise = torch.rand(40_000, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = sampled(log_alpha.expand_as(noise), noise)
    assert (drawn.min(), drawn.max()) == (0, 1)
    often = (drawn != 0).double().mean(0)
    assert often.tolist() == pytest.approx(kept(log_alpha).tolist(), abs=0.01)
    assert (often.diff() > 0).all()


def test_a_sample_is_the_stretched_and_clamped_one_of_the_paper() -> None:
    """By hand: u = 1/2 and log alpha = 0 give s = 1/2 and z = 1/2; log alpha = 2/3 ln 3 gives s = 3/4, z = 0.8."""
    log_alpha = torch.tensor([0.0, 2 / 3, -2.0, 2.0]) * torch.log(torch.tensor(3.0))
    assert sampled(log_alpha, torch.full((4,), 0.5)).tolist() == pytest.approx([0.5, 0.8, 0.0, 1.0], abs=1e-2)


@lru_cache
def of_periodic(measured: str) -> Problem:
    setup = acdc.Setup(metric=measured, prompts=8)
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)[0]


@pytest.mark.parametrize("wanted", [0.5, 0.8])
def test_the_sparsity_wanted_is_met(wanted: float) -> None:
    scores = ended(LearnedMasks((wanted,)).walk(of_periodic("logit_difference"))).scores
    assert 0 <= min(scores.values()) < 0.2 < 0.9 < max(scores.values()) <= 1
    assert 1 - sum(scores.values()) / len(scores) == pytest.approx(wanted, abs=0.06)


@pytest.mark.parametrize("measured", ["logit_difference", "kl"])
def test_edges_that_matter_are_kept_and_no_others(measured: str) -> None:
    """What matters is told by the exact effect of each edge."""
    problem = of_periodic(measured)
    exact = ended(ExactPatching().walk(problem)).scores
    full, none = problem.bounds
    vital = {edge for edge, effect in exact.items() if effect > 0.15 * abs(full - none)}
    idle = {edge for edge, effect in exact.items() if abs(effect) < 1e-4 * abs(full - none)}
    assert len(vital) >= 4
    assert len(idle) >= 20
    learned = ended(LearnedMasks((0.9,), steps=200).walk(problem)).scores
    assert min(learned[edge] for edge in vital) > 0.9
    assert sum(learned[edge] for edge in idle) / len(idle) < 0.1


def test_a_seed_gives_the_same_scores_again_and_another_does_not(measurable: Problem) -> None:
    first, again, other = (
        ended(LearnedMasks((0.5, 0.8), steps=5, seed=seed).walk(measurable)).scores for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_metric_without_gradient_is_refused(measurable: Problem) -> None:
    with pytest.raises(BadSetting, match="accuracy has no gradient"):
        ended(LearnedMasks().walk(replace(measurable, metric=metric("accuracy"))))


@pytest.mark.parametrize(
    "wrong", [{"sparsities": ()}, {"sparsities": (0.5, 1.0)}, {"steps": 0}, {"prompts": 0}, {"rate": 0.0}]
)
def test_settings_that_train_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        LearnedMasks(**wrong)


@pytest.mark.parametrize("cramped", [{}, {"max_bytes": 1}])
def test_it_tells_of_every_step_however_few_prompts_fit(measurable: Problem, cramped: dict[str, Any]) -> None:
    _, told = finished(LearnedMasks((0.5,), steps=7, **cramped).walk(measurable))
    assert told == [ScoringStep(done, 7) for done in range(1, 8)]
