"""AtP* finds what saturated attention hides from edge attribution, and refuses what that refuses."""

from __future__ import annotations

import pytest

from acdc.algorithms.attribution import Attribution
from acdc.algorithms.attribution_star import AttributionStar
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.ground_truth import known_models
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour


def test_it_ranks_true_edges_higher_behind_a_saturated_softmax() -> None:
    known = known_models.known("planted-chain", 0)
    problem, _ = problems(known.task, known.model, Setup(prompts=8))
    true, _ = known.truth(Ablation.RESAMPLE)
    found = []
    for scorer in (AttributionStar(), Attribution()):
        scores = ended(scorer.walk(problem)).scores
        lowest = min(abs(scores[edge]) for edge in true)
        found.append(sum(abs(score) >= lowest for score in scores.values()))
    assert len(true) <= found[0] < found[1], "how many edges are ranked down to the last true one"


def test_the_split_into_batches_changes_nothing_and_no_score_is_negative(measurable: Problem) -> None:
    split = Problem(measurable.model, measurable.pairs, measurable.metric, batching=Batching(1))
    assert len(split.batches) > len(measurable.batches)
    whole = ended(AttributionStar().walk(measurable)).scores
    assert ended(AttributionStar().walk(split)).scores == pytest.approx(whole, rel=0, abs=1e-10)
    assert min(whole.values()) >= 0


@pytest.mark.parametrize("measured", ["kl", "l2"])
def test_a_distance_is_refused_where_it_has_no_gradient(llama: Model, measured: str) -> None:
    problem = Problem(llama, behaviour(llama, (5, 11, 5)), metric(measured))
    with pytest.raises(UnmeasurableBehaviour, match=f"the gradient of {measured} is 0 at every edge"):
        ended(AttributionStar().walk(problem))


def test_accuracy_is_refused(llama: Model) -> None:
    problem = Problem(llama, behaviour(llama, (5, 5)), metric("accuracy"))
    with pytest.raises(BadSetting, match="accuracy has no gradient to attribute with; use another metric"):
        ended(AttributionStar().walk(problem))


def test_it_tells_of_every_batch(measurable: Problem) -> None:
    _, told = finished(AttributionStar().walk(measurable))
    assert told == [ScoringStep(1, 2), ScoringStep(2, 2)]
