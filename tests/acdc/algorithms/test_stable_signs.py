"""Scores whose sign hangs on the prompts that are drawn are 0, and the others are those of integrated gradients."""

from __future__ import annotations

import math

import pytest
import torch

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.scores import ScoringStep
from acdc.algorithms.stable_signs import StableSigns
from acdc.batch import Batching
from acdc.errors import BadSetting
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour


def test_what_stays_is_the_score_of_integrated_gradients(measurable: Problem) -> None:
    plain = ended(IntegratedGradients("inputs", 3, math.inf).walk(measurable)).scores
    got = ended(StableSigns(3).walk(measurable))
    kept = {edge: score for edge, score in got.scores.items() if score}
    assert 0 < len(kept) < len(plain)
    assert got.provenance == {"unstable": len(plain) - len(kept)}
    assert kept == pytest.approx({edge: plain[edge] for edge in kept}, rel=0, abs=1e-10)


def test_an_edge_goes_where_resampled_prompts_turn_its_sign(llama: Model) -> None:
    """As resampling problems of one prompt each by hand says."""
    problem = Problem(llama, behaviour(llama, (5, 11, 5, 7)), metric("nll"))
    scorer = StableSigns(2, seed=3, resamples=20, share=0.9)
    alone = [
        ended(IntegratedGradients("inputs", 2, math.inf).walk(problem.on(problem.pairs.select([number])))).scores
        for number in range(4)
    ]
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randint(4, (20, 4), generator=generator).tolist()
    got = ended(scorer.walk(problem)).scores
    stable = 0
    for edge, score in got.items():
        whole = sum(each[edge] for each in alone)
        agreeing = sum(sum(alone[number][edge] for number in numbers) * whole > 0 for numbers in drawn)
        assert (score != 0) == (agreeing >= 18), edge
        stable += score != 0
    assert 0 < stable < len(got)


def test_the_split_into_batches_changes_nothing_and_it_tells_of_every_point(measurable: Problem) -> None:
    split = Problem(measurable.model, measurable.pairs, measurable.metric, batching=Batching(1))
    whole, told = finished(StableSigns(2).walk(measurable))
    assert told == [ScoringStep(done, 4) for done in (1, 2, 3, 4)]
    assert ended(StableSigns(2).walk(split)).scores == pytest.approx(whole.scores, rel=0, abs=1e-10)


def test_a_distance_is_measured_on_the_way(llama: Model) -> None:
    problem = Problem(llama, behaviour(llama, (5, 11, 5)), metric("kl"))
    assert any(ended(StableSigns(2).walk(problem)).scores.values())


@pytest.mark.parametrize("settings", [{"steps": 0}, {"resamples": 0}, {"share": 0.0}, {"share": 1.5}])
def test_settings_that_say_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match="say nothing"):
        StableSigns(**settings)  # type: ignore[arg-type]
