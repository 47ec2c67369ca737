"""The edges of compiled models are known, and the methods that should find them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import pytest
import torch

import acdc
from acdc import tasks
from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.errors import BadProgram, UnknownModel
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.nodes import Edge
from acdc.ground_truth import tracr
from acdc.ground_truth.compiler import tracr_module
from acdc.ground_truth.derivation import single_edge_effects
from acdc.ground_truth.known import Known
from acdc.ground_truth.programs import NAMES
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from tests.acdc.algorithms.walks import ended
from tests.acdc.ground_truth.conftest import Compiled


@pytest.fixture(scope="module")
def known() -> dict[str, Known]:
    return {name: tracr.known(name) for name in NAMES}


def edges(*names: str) -> frozenset[Edge]:
    return frozenset(Edge.parse(name) for name in names)


# What each step of the programs reads, from their text: where a head looks does not depend on letters, so other
# letters (resample) leave it alone; nothing at all (zero) does not.
X_OR_NOT, SHARE = ("input->m0",), ("m0->a1.h0<v>", "a1.h0->logits")
WHICH_PLACES = ("input->a1.h0<q>", "input->a1.h0<k>")
LENGTH_TO_PLACE = ("a0.h0->m0", "m0->m1", "m1->m2", "m2->a3.h0<q>")
MOVED = ("input->a3.h0<v>", "a3.h0->logits")


def test_the_true_edges_of_proportion_are_those_its_text_says(known: dict[str, Known]) -> None:
    truths = known["proportion"].truths
    assert truths[Ablation.RESAMPLE] == truths[Ablation.MEAN_POSITIONAL] == edges(*X_OR_NOT, *SHARE)
    assert truths[Ablation.ZERO] == truths[Ablation.MEAN] == edges(*X_OR_NOT, *SHARE, *WHICH_PLACES)


def test_the_true_edges_of_reverse_are_those_its_text_says(known: dict[str, Known]) -> None:
    truths = known["reverse"].truths
    assert truths[Ablation.RESAMPLE] == edges(*MOVED)
    # Means keep the places and lose the length.
    assert truths[Ablation.MEAN_POSITIONAL] == edges(*MOVED, *LENGTH_TO_PLACE)
    where = ("input->a3.h0<k>", "input->m1", "input->a0.h0<v>")
    assert truths[Ablation.ZERO] == edges(*MOVED, *LENGTH_TO_PLACE, *where, "input->m0")
    assert truths[Ablation.MEAN] == edges(*MOVED, *LENGTH_TO_PLACE, *where, "input->a0.h0<q>")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ablation", UNLEARNED)
def test_an_edge_moves_an_output_by_much_or_not_at_all(
    compiled: dict[str, Compiled], name: str, ablation: Ablation
) -> None:
    """So that the tolerance decides nothing."""
    inputs = compiled[name].inputs
    effects = single_edge_effects(inputs.model, inputs.batches(8, seed=0), ablation)
    largest = [effect.max().item() for effect in effects.values()]
    assert not [effect for effect in largest if 1e-5 < effect < 0.1]
    assert max(largest) > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_other_inputs_lead_to_the_same_edges(compiled: dict[str, Compiled], known: dict[str, Known], name: str) -> None:
    inputs = compiled[name].inputs
    batches = inputs.batches(6, seed=1)
    for ablation in UNLEARNED:
        assert tracr.true_edges(inputs.model, batches, ablation, tracr.TOLERANCE) == known[name].truths[ablation]


Posed: TypeAlias = Callable[[str, Ablation], Problem]


@pytest.fixture(scope="module")
def posed(known: dict[str, Known]) -> Posed:
    @lru_cache
    def made(name: str, ablation: Ablation) -> Problem:
        return problems(known[name].task, known[name].model, Setup(prompts=24, ablation=ablation))[0]

    return made


MATCHING = pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN_POSITIONAL])


@MATCHING
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scoring", [IntegratedGradients(), ExactPatching()], ids=["eap-ig", "exact"])
def test_scores_rank_every_true_edge_above_every_other(
    known: dict[str, Known], posed: Posed, name: str, scoring: IntegratedGradients | ExactPatching, ablation: Ablation
) -> None:
    scores = ended(scoring.walk(posed(name, ablation))).scores
    true = known[name].truths[ablation]
    assert min(scores[edge] for edge in true) > max(abs(scores[edge]) for edge in scores.keys() - true)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN_POSITIONAL, Ablation.ZERO])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threshold", [0.001, 0.1])
def test_greedy_pruning_leaves_just_the_true_edges(
    known: dict[str, Known], posed: Posed, name: str, ablation: Ablation, threshold: float
) -> None:
    true = known[name].truths[ablation]
    found = ended(GreedyPruning(threshold).walk(posed(name, ablation))).circuit
    # what a head reads need not matter, but without any edge into it, it writes what it does in the ablated run
    joined = {edge.receiver for edge in true}
    extra = [edge.receiver for edge in found.edges - true]
    assert true <= found.edges
    assert not joined.intersection(extra)
    assert len(extra) == len(set(extra)) <= (ablation is Ablation.MEAN_POSITIONAL)


def test_the_tasks_are_the_built_in_ones_on_the_models_of_their_names(known: dict[str, Known]) -> None:
    for name in NAMES:
        same = tasks.get(f"tracr_{name}")
        assert known[name].task == replace(same, variations=known[name].task.variations)
        assert [one.name for one in known[name].task.variations] == [one.name for one in same.variations]
        assert known[name].task.model == known[name].model.identity.name == known[name].name == f"tracr:{name}"


def test_a_named_program_is_compiled_when_its_model_is_loaded(known: dict[str, Known]) -> None:
    model = load_named("tracr:proportion", Setup().on(dtype="float32"))
    assert model.fingerprint() == known["proportion"].model.fingerprint()
    assert model.dtype == torch.float32


def test_an_unknown_program_is_told_the_nearest() -> None:
    with pytest.raises(UnknownModel, match=r"no model called 'tracr:revers'; .* did you mean tracr:reverse"):
        tracr.load("revers")


def test_any_program_becomes_a_task_with_a_model_and_its_true_edges() -> None:
    library, rasp = tracr_module("tracr.compiler.lib"), tracr_module("tracr.rasp.rasp")
    known = acdc.tracr_task(library.shift_by(1, rasp.tokens), vocabulary={"b", "a", "c"}, max_len=4, name="previous")
    assert known.truths[Ablation.RESAMPLE] == edges("input->a0.h0<v>", "a0.h0->logits")
    found = acdc.discover(known.task, known.model, setup=Setup(prompts=16))
    assert found.circuit.edges == known.truths[Ablation.RESAMPLE]
    assert found.faithfulness.normalised.value == pytest.approx(1.0)


@pytest.mark.parametrize(("vocabulary", "max_len"), [({"a"}, 3), ({"a", "b"}, 0)])
def test_a_program_without_different_inputs_is_refused(vocabulary: set[str], max_len: int) -> None:
    with pytest.raises(BadProgram, match="a program needs inputs that differ"):
        acdc.tracr_task(None, vocabulary, max_len)
