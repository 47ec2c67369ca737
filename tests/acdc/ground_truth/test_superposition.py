"""In a model whose MLP holds three times more features than neurons, feature circuits find which matter."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from acdc.algorithms.attribution import Attribution
from acdc.correctness import correct
from acdc.drain import drain
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.features.fit import measured
from acdc.graphs.features.splitting import FeatureParts, NeuronParts
from acdc.ground_truth.superposition import ANIMALS, LAYER, NEURONS, WORDS, Superposed, superposed
from acdc.problem import Problem
from acdc.tasks.metrics import metric

MATTERS = [number < len(ANIMALS) for number in range(len(WORDS))]


@pytest.fixture(scope="module")
def planted() -> tuple[Superposed, Problem]:
    made = superposed(0)
    pairs = made.known.task.build(made.known.model.tokenizer, 48, 0).discovery
    return made, Problem(made.known.model, pairs, metric("logit_difference"))


def scores(problem: Problem) -> dict[str, float]:
    """By part, the size of the score of its edge into the logits."""
    found = drain(Attribution().walk(problem))
    return {e.sender.part: abs(x) for e, x in found.scores.items() if e.receiver.kind == "logits" and e.sender.part}


def test_the_mlp_holds_three_times_more_features_than_neurons_and_the_model_does_the_task(
    planted: tuple[Superposed, Problem],
) -> None:
    made, problem = planted
    mlp = made.known.model.layers[LAYER].mlp
    assert mlp is not None
    assert made.codes.shape == (3 * NEURONS, NEURONS)
    assert len({tuple(code.tolist()) for code in made.codes}) == len(WORDS)
    assert torch.linalg.matrix_rank(made.codes) == NEURONS
    assert (
        made.codes[: len(ANIMALS)].any(0) & made.codes[len(ANIMALS) :].any(0)
    ).all()  # each neuron writes both kinds
    assert float(correct(problem).double().mean()) > 0.8


def test_the_dictionary_is_the_models_own(planted: tuple[Superposed, Problem]) -> None:
    made, problem = planted
    batches = [TokenPairs(batch.clean, batch.corrupt, batch.scored_positions) for batch in problem.prompt_batches]
    assert measured(made.dictionary, problem.model, batches).explained > 0.999


def test_features_tell_what_matters_and_neurons_do_not(planted: tuple[Superposed, Problem]) -> None:
    made, problem = planted
    model = made.known.model
    features = FeatureParts.of(model, made.dictionary, range(len(WORDS)))
    by_feature = scores(Problem(model.split({LAYER: features}), problem.pairs, problem.metric))
    assert roc_auc_score(MATTERS, [by_feature[f"f{number}"] for number in range(len(WORDS))]) >= 0.98
    neurons = scores(Problem(model.split({LAYER: NeuronParts.of(model, LAYER)}), problem.pairs, problem.metric))
    by_neuron = made.codes.double() @ torch.tensor([neurons[f"n{number}"] for number in range(NEURONS)]).double()
    assert roc_auc_score(MATTERS, by_neuron.tolist()) < 0.95


def test_without_the_features_that_matter_the_behaviour_is_gone_and_without_the_others_it_stays(
    planted: tuple[Superposed, Problem],
) -> None:
    made, problem = planted
    model = made.known.model.split({LAYER: FeatureParts.of(made.known.model, made.dictionary, range(len(WORDS)))})
    split, graph = Problem(model, problem.pairs, problem.metric), model.graph
    true = next(iter(made.known.truths.values()))
    to_logits = {edge for edge in graph.edges() if edge.receiver.kind == "logits" and edge.sender.part}
    full, without, only, none = split.measure(
        [
            Circuit.full(graph),
            Circuit(graph, graph.every_edge - true),
            Circuit(graph, graph.every_edge - (to_logits - true)),
            Circuit.empty(graph),
        ]
    )[0].mean(1)
    assert float((without - none) / (full - none)) < 0.1
    assert float((only - none) / (full - none)) > 0.9
