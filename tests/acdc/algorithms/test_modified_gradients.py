"""Relevance patching and interaction modifications find known circuits, and refuse what edge attribution refuses."""

from __future__ import annotations

import pytest

from acdc.algorithms.attribution import Attribution
from acdc.algorithms.modified_gradients import GradientInteraction, RelevancePatching
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.nodes import LOGITS
from acdc.ground_truth import known_models
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.metrics import LogitDifference, metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.native_bridges import native_model

Scorer = RelevancePatching | GradientInteraction
every_scorer = pytest.mark.parametrize("scorer", [RelevancePatching(), GradientInteraction()], ids=["relp", "gim"])


@every_scorer
def test_the_edges_of_a_planted_circuit_score_highest(scorer: Scorer) -> None:
    known = known_models.known("planted-and", 0)
    problem, _ = problems(known.task, known.model, Setup(prompts=8))
    true, _ = known.truth(Ablation.RESAMPLE)
    scores = ended(scorer.walk(problem)).scores
    assert set(sorted(scores, key=lambda edge: -abs(scores[edge]))[: len(true)]) == true
    assert min(scores[edge] for edge in true) > 0, "every one helps"


def test_the_interaction_rules_find_what_the_gradient_misses_behind_a_saturated_softmax() -> None:
    known = known_models.known("planted-chain", 0)
    problem, _ = problems(known.task, known.model, Setup(prompts=8))
    true, _ = known.truth(Ablation.RESAMPLE)
    found = []
    for scorer in (GradientInteraction(), Attribution()):
        scores = ended(scorer.walk(problem)).scores
        found.append(len(true & set(sorted(scores, key=lambda edge: -abs(scores[edge]))[: len(true)])))
    assert found[1] < found[0] == len(true)


@every_scorer
def test_where_the_model_is_linear_the_score_is_what_removing_the_edge_costs(scorer: Scorer) -> None:
    """Without a final norm the logits are linear in what they read."""
    model = native_model("gelu_bare")
    problem = Problem(model, behaviour(model, (5, 11, 5)), LogitDifference())
    full = Circuit.full(model.graph)
    into_logits = [edge for edge in full.ordered() if edge.receiver == LOGITS]
    whole, *without = problem.measure([full, *(full.without([edge]) for edge in into_logits)])[0].mean(-1).tolist()
    costs = [whole - value for value in without]
    assert min(costs) < 0 < max(costs)
    got = ended(scorer.walk(problem)).scores
    assert [got[edge] for edge in into_logits] == pytest.approx(costs, rel=0, abs=1e-9)


@every_scorer
def test_the_split_into_batches_changes_nothing(measurable: Problem, scorer: Scorer) -> None:
    split = Problem(measurable.model, measurable.pairs, measurable.metric, batching=Batching(1))
    assert len(split.batches) > len(measurable.batches)
    whole = ended(scorer.walk(measurable)).scores
    assert ended(scorer.walk(split)).scores == pytest.approx(whole, rel=0, abs=1e-10)


@every_scorer
@pytest.mark.parametrize("measured", ["kl", "l2"])
def test_a_distance_is_refused_where_it_has_no_gradient(llama: Model, scorer: Scorer, measured: str) -> None:
    problem = Problem(llama, behaviour(llama, (5, 11, 5)), metric(measured))
    message = f"the gradient of {measured} is 0 at every edge: .* use another metric .* or --method acdc"
    with pytest.raises(UnmeasurableBehaviour, match=message):
        ended(scorer.walk(problem))


@every_scorer
def test_accuracy_is_refused(llama: Model, scorer: Scorer) -> None:
    problem = Problem(llama, behaviour(llama, (5, 5)), metric("accuracy"))
    with pytest.raises(BadSetting, match="accuracy has no gradient to attribute with; use another metric"):
        ended(scorer.walk(problem))


@every_scorer
def test_it_tells_of_every_batch(measurable: Problem, scorer: Scorer) -> None:
    _, told = finished(scorer.walk(measurable))
    assert told == [ScoringStep(1, 2), ScoringStep(2, 2)]
