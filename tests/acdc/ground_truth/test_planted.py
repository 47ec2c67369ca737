"""The planted edges are the ones that matter: found out again by removing them, one, two and all at once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import combinations

import pytest
import torch

from acdc.algorithms.exact import ExactPatching
from acdc.errors import UnknownModel, UnmeasurableBehaviour
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.planted import MOTIFS, Motif, control, hidden_edges, known, named
from acdc.models import load_named, resolve
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.builtin.planted_detour import RARE
from acdc.tasks.metrics import Accuracy
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import tokenise

TOLERANCE = 0.1
"""What part of the behaviour a change must exceed, to be one that a true edge makes."""
SEEDS: dict[Motif, tuple[int, ...]] = {"chain": (2, 5), "and": (1, 4), "or": (1, 3), "backup": (0, 4), "hidden": (1, 8)}
"""Such as draw small models."""
KINDS = UNLEARNED


@lru_cache
def planted(motif: Motif, seed: int) -> Known:
    return known(motif, seed)


@lru_cache
def problem(motif: Motif, seed: int, ablation: Ablation = Ablation.RESAMPLE) -> Problem:
    subject = planted(motif, seed)
    return problems(subject.task, subject.model, Setup(prompts=12, ablation=ablation))[0]


def kept(problem: Problem, without: list[frozenset[Edge]]) -> list[float]:
    """The behaviour that the whole model shows without each of these sets of edges."""
    full = Circuit.full(problem.graph)
    values: list[float] = problem.normalised(
        problem.measure([full.without(edges) for edges in without])[0].mean(-1)
    ).tolist()
    return values


def single_effects(problem: Problem) -> dict[Edge, float]:
    """How much of the behaviour is lost with each edge alone."""
    walk = ExactPatching().walk(problem)
    while True:
        try:
            next(walk)
        except StopIteration as stop:
            scored: Circuit = stop.value
            full, none = problem.bounds
            return {edge: score / (full - none) for edge, score in scored.scores.items()}


@pytest.mark.parametrize("motif", MOTIFS)
def test_the_model_does_the_task(motif: Motif) -> None:
    for seed in SEEDS[motif]:
        asked = problem(motif, seed)
        assert asked.measure([Circuit.full(asked.graph)], [Accuracy()]).mean() == 1.0


@pytest.mark.parametrize("motif", MOTIFS)
@pytest.mark.parametrize("ablation", KINDS)
def test_all_false_edges_together_change_next_to_nothing(motif: Motif, ablation: Ablation) -> None:
    for seed in SEEDS[motif]:
        asked, truth = problem(motif, seed, ablation), planted(motif, seed).truths[ablation]
        (left,) = kept(asked, [frozenset(asked.graph.edges()) - truth])
        assert left == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("motif", MOTIFS)
def test_no_false_edge_alone_changes_much(motif: Motif) -> None:
    seed = SEEDS[motif][0]
    asked, truth = problem(motif, seed), planted(motif, seed).truths[Ablation.RESAMPLE]
    effects = single_effects(asked)
    assert max(abs(effect) for edge, effect in effects.items() if edge not in truth) < TOLERANCE


@pytest.mark.parametrize("motif", ["chain", "and", "hidden"])
@pytest.mark.parametrize("ablation", KINDS)
def test_every_true_edge_that_nothing_stands_in_for_matters_by_itself(motif: Motif, ablation: Ablation) -> None:
    for seed in SEEDS[motif]:
        asked, truth = problem(motif, seed, ablation), planted(motif, seed).truths[ablation]
        left = kept(asked, [frozenset({edge}) for edge in truth])
        assert max(left) < 1 - 2 * TOLERANCE


@pytest.mark.parametrize("motif", ["or", "backup"])
@pytest.mark.parametrize("ablation", KINDS)
def test_every_true_edge_of_an_or_or_backup_matters_alone_or_once_another_is_gone(
    motif: Motif, ablation: Ablation
) -> None:
    """The law by which redundant edges are true: some set of others can be missed, but then the edge cannot."""
    for seed in SEEDS[motif]:
        asked, truth = problem(motif, seed, ablation), planted(motif, seed).truths[ablation]
        sets = [frozenset(edges) for count in (0, 1, 2) for edges in combinations(truth, count)]
        left = dict(zip(sets, kept(asked, sets), strict=True))
        spared = [others for others in sets if len(others) < 2 and left[others] > 1 - TOLERANCE]
        for edge in truth:
            changes = [abs(left[others] - left[others | {edge}]) for others in spared if edge not in others]
            assert max(changes) > 2 * TOLERANCE, edge.name


def test_either_branch_of_an_or_will_do_and_both_will_not_be_missed() -> None:
    asked, truth = problem("or", 1), planted("or", 1).truths[Ablation.RESAMPLE]
    branches = [edge for edge in truth if edge.sender.kind == "head"]
    assert len(branches) == 2
    left = kept(asked, [frozenset({branches[0]}), frozenset({branches[1]}), frozenset(branches)])
    assert left == pytest.approx([1, 1, 0], abs=TOLERANCE)


def test_a_backup_speaks_when_the_first_head_is_silent_and_only_then() -> None:
    asked, truth = problem("backup", 0), planted("backup", 0).truths[Ablation.RESAMPLE]
    (calls_off,) = (edge for edge in truth if edge.sender.kind == "head" and edge.slot == "q")
    first, second = calls_off.sender, calls_off.receiver
    listens = {edge.receiver: edge for edge in truth if edge.slot == "v"}
    said = {edge.sender: edge for edge in truth if edge.receiver.kind == "logits"}
    without = [{listens[first]}, {said[second]}, {listens[first], said[second]}, {said[first]}, {calls_off}]
    left = kept(asked, [frozenset(edges) for edges in without])
    assert left == pytest.approx([1, 1, 0, 0, 2], abs=TOLERANCE)


def rare(seed: int, ablation: Ablation) -> Problem:
    """The prompts of a problem of the hidden path, their letters rare instead."""
    asked = problem("hidden", seed, ablation)
    slots, texts = planted("hidden", seed).task.slots, asked.pairs.texts()
    assert slots is not None
    changed = [slots.rewrite(text, "letter", RARE[index % len(RARE)]) for index, text in enumerate(texts)]
    pairs = [tokenise(text, asked.model.tokenizer)[0] for text in changed if text is not None]
    return replace(asked, pairs=PromptPairs(tuple(pair for pair in pairs if pair is not None)))


@pytest.mark.parametrize("ablation", KINDS)
def test_the_hidden_edges_matter_where_the_letter_is_rare_and_nowhere_else(ablation: Ablation) -> None:
    for seed in SEEDS["hidden"]:
        hidden = hidden_edges(seed, ablation)
        standard, exercised = problem("hidden", seed, ablation), rare(seed, ablation)
        each = [frozenset({edge}) for edge in hidden]
        assert not hidden & planted("hidden", seed).truths[ablation]
        assert kept(standard, [hidden]) == pytest.approx([1], abs=0.01)
        assert max(kept(exercised, each)) < 1 - 2 * TOLERANCE
        both = hidden | planted("hidden", seed).truths[ablation]
        assert kept(exercised, [frozenset(exercised.graph.edges()) - both]) == pytest.approx([1], abs=TOLERANCE)


def test_seeds_differ_in_size_and_repeat_themselves() -> None:
    sizes = {
        (planted("chain", seed).model.graph.n_edges, len(planted("chain", seed).truths[Ablation.RESAMPLE]))
        for seed in (2, 5, 6)
    }
    assert len(sizes) > 1
    assert (
        known("or", 1).model.fingerprint() == planted("or", 1).model.fingerprint() != known("or", 3).model.fingerprint()
    )


def test_weights_are_drawn_without_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    known("and", 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_control_has_the_same_weights_in_another_order_and_does_not_do_the_task() -> None:
    shuffled, original = control(2), planted("chain", 2)
    originals = original.model.bridge.original_model.parameters()
    pairs = zip(shuffled.model.bridge.original_model.parameters(), originals, strict=True)
    for mixed, plain in pairs:
        torch.testing.assert_close(mixed.flatten().sort().values, plain.flatten().sort().values)
        assert not plain.any() or not torch.equal(mixed, plain)
    assert shuffled.truth(Ablation.RESAMPLE) == (frozenset(), Ablation.RESAMPLE)
    asked = problems(original.task, shuffled.model, Setup(prompts=64))[0]
    assert asked.measure([Circuit.full(asked.graph)], [Accuracy()]).mean() < 0.3
    with pytest.raises(UnmeasurableBehaviour):
        _ = asked.bounds


def test_planted_models_go_by_their_names() -> None:
    for name, same in (
        ("planted:2", planted("chain", 2)),
        ("planted-or:1", planted("or", 1)),
        ("planted-control:2", control(2)),
    ):
        assert resolve(name) == name
        model = load_named(name, Setup())
        assert (model.identity.name, model.fingerprint()) == (same.model.identity.name, same.model.fingerprint())
        task = named(name).task
        assert task == replace(same.task, model=name, variations=task.variations)
        assert [one.name for one in task.variations] == [one.name for one in same.task.variations]


@pytest.mark.parametrize("name", ["planted:", "planted:x", "planted-xor:0", "planted-chain:0", "planted-or:-1"])
def test_any_other_name_is_told_the_planted_ones(name: str) -> None:
    with pytest.raises(UnknownModel, match=r"no planted model called .*; wanted planted:0, planted-and:0, "):
        resolve(name)
