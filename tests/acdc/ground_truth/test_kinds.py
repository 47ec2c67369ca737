"""In a model whose features read features, parts that read for themselves show which, and whole MLPs cannot."""

from __future__ import annotations

from itertools import product

import pytest
from sklearn.metrics import roc_auc_score

from acdc.algorithms.attribution import Attribution
from acdc.algorithms.greedy import GreedyPruning
from acdc.correctness import correct
from acdc.drain import drain
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.features.fit import measured
from acdc.graphs.features.splitting import FeatureParts
from acdc.graphs.model import Model
from acdc.ground_truth.kinds import KINDS, OF_KINDS, OF_WORDS, PlantedKinds, kind_of, planted_kinds
from acdc.ground_truth.superposition import ANIMALS, WORDS
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.naive_greedy import naive_greedy

PAIRS = list(product(range(len(ANIMALS)), range(len(KINDS))))


@pytest.fixture(scope="module")
def planted() -> tuple[PlantedKinds, Problem]:
    made = planted_kinds(0)
    pairs = made.known.task.build(made.known.model.tokenizer, 48, 0).discovery
    return made, Problem(made.known.model, pairs, metric("logit_difference"))


def split(made: PlantedKinds, words: range) -> Model:
    """The model with its MLPs in features, of words in some of them."""
    model = made.known.model
    of_words = FeatureParts.of(model, made.words, words)
    return model.split({OF_WORDS: of_words, OF_KINDS: FeatureParts.of(model, made.kinds, range(len(KINDS)))})


def scores(problem: Problem, model: Model) -> dict[str, float]:
    """By edge, the size of its score."""
    found = drain(Attribution().walk(Problem(model, problem.pairs, problem.metric)))
    return {edge.name: abs(score) for edge, score in found.scores.items()}


def test_the_model_does_the_task_and_the_dictionaries_are_its_own(planted: tuple[PlantedKinds, Problem]) -> None:
    made, problem = planted
    assert float(correct(problem).double().mean()) > 0.8
    batches = [TokenPairs(batch.clean, batch.corrupt, batch.scored_positions) for batch in problem.prompt_batches]
    assert measured(made.words, problem.model, batches).explained > 0.999
    assert measured(made.kinds, problem.model, batches).explained > 0.999


def test_parts_that_read_show_which_feature_reads_which(planted: tuple[PlantedKinds, Problem]) -> None:
    made, problem = planted
    model = split(made, range(len(WORDS)))
    true = [kind_of(animal) == kind for animal, kind in PAIRS]
    apart = scores(problem, model.parts_reading(True))
    assert roc_auc_score(true, [apart[f"m1.f{animal}->m2.f{kind}"] for animal, kind in PAIRS]) >= 0.98
    whole = scores(problem, model)
    products = [whole[f"m1.f{animal}->m2"] * whole[f"m2.f{kind}->logits"] for animal, kind in PAIRS]
    assert roc_auc_score(true, products) < 0.75


def test_a_search_finds_exactly_the_head_that_a_feature_reads_and_what_reads_it(
    planted: tuple[PlantedKinds, Problem],
) -> None:
    made, problem = planted
    model = split(made, range(1)).parts_reading(True)  # f0 apart, all other words are m1.rest
    few = Problem(model, problem.pairs.select(range(12)), problem.metric)
    found = drain(GreedyPruning(threshold=0.01).walk(few)).circuit
    true = {edge.name for edge in made.known.truths[Ablation.RESAMPLE]}
    into = {edge.name for edge in found if edge.receiver.name == "m1.f0"}
    assert into == {name for name in true if name.endswith("->m1.f0")}
    assert len(into) == 1
    assert "m1.f0->m2.f0" in {edge.name for edge in found} & true
    wanted = naive_greedy(few, 0.01)
    assert {edge.name: score for edge, score in found.scores.items()} == pytest.approx(wanted, abs=1e-9)
