"""The average of attributions is the mean of their shares, whatever their scales."""

from __future__ import annotations

import pytest

from acdc.algorithms.averaged import AveragedAttribution
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour


def test_it_is_the_mean_of_shares(measurable: Problem) -> None:
    averaged, told = finished(AveragedAttribution(2).walk(measurable))
    parts = [ended(part.walk(measurable)).scores for part in AveragedAttribution(2).parts]
    sizes = [sum(map(abs, part.values())) for part in parts]
    assert max(sizes) > 1.5 * min(sizes), "they differ in scale"
    wanted = {
        edge: sum(part[edge] / size for part, size in zip(parts, sizes, strict=True)) / len(parts)
        for edge in averaged.scores
    }
    assert averaged.scores == pytest.approx(wanted, rel=1e-9, abs=1e-15)
    done = [step.done for step in told]
    assert done == sorted(done)
    assert told[-1].done <= told[-1].total


def test_a_distance_is_refused_before_anything_is_scored(llama: Model) -> None:
    problem = Problem(llama, behaviour(llama, (5, 11, 5)), metric("kl"))
    with pytest.raises(UnmeasurableBehaviour, match="the gradient of kl is 0 at every edge"):
        ended(AveragedAttribution().walk(problem))
