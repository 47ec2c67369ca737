"""The importance of a node is the oracle's derivative in all of its edges at once, prompt by prompt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from acdc.algorithms.importance import HeadImportance
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.features.split import split_model
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import load_bridge, oracle_weighted_logits


def oracle_importance(problem: Problem, bridge: TransformerBridge) -> dict[str, float]:
    """By sender: the mean over prompts of |the derivative of the metric in a weight that all of its edges share|."""
    edges = [edge.name for edge in problem.graph.edges()]
    senders = [edge.split("->")[0] for edge in edges]
    total = dict.fromkeys(senders, 0.0)
    for batch in problem.batches:
        tokens = batch.prompts
        shared = {name: torch.ones((), dtype=torch.float64, requires_grad=True) for name in total}
        weights = torch.stack([shared[name] for name in senders])
        logits = oracle_weighted_logits(
            bridge, tokens.clean, tokens.corrupt, tokens.scored_positions, weights, problem.ablation.value
        )
        for value in problem.metric(logits, batch.targets):
            slopes = torch.autograd.grad(value, tuple(shared.values()), retain_graph=True)
            for name, slope in zip(shared, slopes, strict=True):
                total[name] += abs(float(slope)) / len(problem.pairs)
    return total


@pytest.mark.parametrize(
    ("name", "measured", "ablation"),
    [
        ("llama", "logit_difference", Ablation.RESAMPLE),
        ("gpt2", "nll", Ablation.ZERO),
        ("gpt_neox", "probability_difference", Ablation.MEAN),
        ("gemma2", "logit_difference", Ablation.RESAMPLE),
    ],
)
def test_an_edge_is_worth_the_lesser_of_its_nodes_by_the_oracle(
    checkpoints: Checkpoints, name: Architecture, measured: str, ablation: Ablation
) -> None:
    model = checkpoints.model(name)
    problem = Problem(model, behaviour(model, (6, 6, 6)), metric(measured), ablation)
    nodes = oracle_importance(problem, load_bridge(checkpoints.ungrouped(name))) | {"logits": math.inf}
    assert min(nodes.values()) > 1e-6
    got = ended(HeadImportance().walk(problem))
    assert got == Circuit.full(model.graph)
    wanted = {edge: min(nodes[edge.sender.name], nodes[edge.receiver.name]) for edge in got.edges}
    assert dict(got.scores) == pytest.approx(wanted, rel=0, abs=1e-8)


def test_neither_batches_nor_lengths_change_a_score(measurable: Problem) -> None:
    whole = ended(HeadImportance().walk(measurable)).scores
    split = ended(HeadImportance().walk(replace(measurable, batching=Batching(1)))).scores
    assert dict(split) == pytest.approx(dict(whole), rel=0, abs=1e-10)


def test_effects_of_opposite_signs_do_not_cancel(measurable: Problem) -> None:
    """The score of a node is the mean of what it is in each prompt alone, and never negative."""
    alone = [replace(measurable, pairs=replace(measurable.pairs, pairs=(p,))) for p in measurable.pairs.pairs]
    each = [ended(HeadImportance().walk(problem)).scores for problem in alone]
    together = ended(HeadImportance().walk(measurable)).scores
    into_logits = [edge for edge in together if edge.receiver.name == "logits"]
    for edge in into_logits:
        assert together[edge] == pytest.approx(sum(scores[edge] for scores in each) / len(each), abs=1e-10)


def test_a_metric_without_gradient_is_refused(measurable: Problem) -> None:
    with pytest.raises(BadSetting, match="accuracy has no gradient"):
        ended(HeadImportance().walk(replace(measurable, metric=metric("accuracy"))))
    for distance in ("kl", "l2"):
        with pytest.raises(UnmeasurableBehaviour, match=f"the gradient of {distance} is 0"):
            ended(HeadImportance().walk(replace(measurable, metric=metric(distance))))


def test_it_tells_of_every_batch(measurable: Problem) -> None:
    assert finished(HeadImportance().walk(measurable))[1] == [ScoringStep(1, 2), ScoringStep(2, 2)]


def test_an_edge_into_a_split_mlp_is_worth_what_the_whole_mlp_is(checkpoints: Checkpoints) -> None:
    """Split or not, what does not begin in a part of an MLP is worth the same."""
    model = checkpoints.model("gpt2")
    whole = Problem(model, behaviour(model, (6, 6, 6)), metric("logit_difference"), Ablation.RESAMPLE)
    split = replace(whole, model=split_model(whole, "m0"))
    worth, parts = (ended(HeadImportance().walk(problem)).scores for problem in (whole, split))
    ends = {edge: score for edge, score in worth.items() if edge.sender.name != "m0"}
    assert {edge: parts[edge] for edge in ends} == pytest.approx(ends, rel=1e-9)
    assert min(ends[edge] for edge in ends if edge.receiver.name == "m0") > 1e-6
