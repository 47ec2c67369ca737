"""Patching maps, steering and probes: what can be said on paper, and what a prompt, a task or a model may lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from acdc import tasks
from acdc.errors import UnmeasurableBehaviour
from acdc.explain.logit_lens import logit_lens
from acdc.explain.named_positions import NamedPositions
from acdc.explain.patching import PatchingMap, bounds, patching
from acdc.explain.probes import probes
from acdc.explain.screen import Screen
from acdc.explain.steering import steering
from acdc.graphs.circuit import Circuit
from acdc.models import load_named
from acdc.problem import Problem
from acdc.settings import Setup
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.pairs import ScoredPosition, TokenPair
from acdc.tasks.prompts import PromptPairs
from tests.acdc.behaviours import TEXT, behaviour
from tests.graphs.test_hand_weighted import CLEAN, CORRUPT, B, C, hand_weighted
from tests.native_bridges import native_model


@pytest.fixture(scope="module")
def on_paper() -> Problem:
    """One prompt of the hand-weighted model: b less c is 0 after the clean prompt and -11/4 after the corrupt one."""
    pair = TokenPair(tuple(CLEAN[0].tolist()), tuple(CORRUPT[0].tolist()), (ScoredPosition(3, (B,), (C,)),), TEXT)
    return Problem(hand_weighted(), PromptPairs((pair,)), LogitDifference())


def test_maps_are_those_worked_out_on_the_hand_weighted_model(on_paper: Problem) -> None:
    """a1.h0 says c in the corrupt run and b in the clean one: restored alone it brings 2 of 11/4 back. The token at the
    end is b or a, of which the logits take one away: 1 of 11/4 but for what the heads then find.
    """
    residual, head = patching(on_paper, ("residual", "head"))
    assert residual.columns == ("END-3", "END-2", "END-1", "END")
    assert head.denoising.value[1, 0] == pytest.approx(2 / (11 / 4))
    assert head.noising.value[1, 0] == pytest.approx(2 / (11 / 4))
    assert np.isnan(head.denoising.low).all(), "of one prompt there is no interval"
    assert np.isnan(head.others.value).all(), "and no other prompt"


def test_a_prompt_that_lacks_a_position_does_not_count_there() -> None:
    """END-6 is only in the longer prompts: what is said of it is what they alone say."""
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (5, 8, 8)), LogitDifference())
    longer = replace(problem, pairs=PromptPairs(problem.pairs.pairs[1:]))
    everywhere, there = patching(problem, ("residual",))[0], patching(longer, ("residual",))[0]
    first = there.columns[0]
    assert everywhere.columns.index(first) == 0
    assert np.isfinite(there.denoising.value[:, 0]).all()
    np.testing.assert_allclose(everywhere.denoising.value[:, 0], there.denoising.value[:, 0], atol=1e-9)


def test_a_model_without_mlps_has_no_map_of_them() -> None:
    model = native_model("attention_only")
    problem = Problem(model, behaviour(model, (6, 6, 6)), LogitDifference())
    assert [one.part for one in patching(problem)] == ["residual", "attention", "head", "q", "k", "v"]
    json = patching(problem, ("mlp", "attention"))[0].to_json()
    assert json["part"] == "attention"
    assert patching(problem, ("q",))[0].plot().axes


Screened = tuple[tuple[PatchingMap, ...], tuple[PatchingMap, ...], PatchingMap]


@pytest.fixture(scope="module")
def screened() -> Screened:
    """Maps with a screen of one prompt, those without, and one of that prompt alone."""
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (6, 6, 8, 8)), LogitDifference())
    screen, parts = Screen(prompts=1, cells=2), ("residual", "head", "k")
    full, none = bounds(problem)
    [typical] = screen.typical(problem, full - none, NamedPositions.of(problem).having())
    alone = replace(problem, pairs=problem.pairs.select([typical]))
    return patching(problem, parts, screen=screen), patching(problem, parts), patching(alone, ("head",))[0]


def test_a_screen_measures_what_is_strongest_on_all_prompts_and_all_else_on_few(screened: Screened) -> None:
    few, every, alone = screened
    for one, other in zip(few, every, strict=True):
        again = one.rests_on.complete
        assert again.sum() == 2
        for way in ("denoising", "noising", "others"):
            for kind in ("value", "low", "high"):
                got, wanted = (getattr(getattr(each, way), kind)[again] for each in (one, other))
                np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)
        assert set(one.strongest(8)) == {tuple(cell) for cell in np.argwhere(again).tolist()}
        assert np.isnan(one.others.value[~again]).all()
        assert one.plot().axes
        assert "4 prompts, the others: 1" in str(one.rests_on)
    heads = few[1]
    left = ~heads.rests_on.complete
    np.testing.assert_allclose(heads.denoising.value[left], alone.denoising.value[left], rtol=0, atol=1e-12)
    sizes = np.fmax(abs(alone.denoising.value), abs(alone.noising.value))
    assert sizes[left].max() <= sizes[~left].min()
    assert heads.to_json()["prompts"] == np.where(left, 1, 4).tolist()


def test_a_screen_of_as_many_prompts_as_there_are_leaves_nothing_out(on_paper: Problem) -> None:
    [one] = patching(on_paper, ("head",), screen=Screen())
    assert one.rests_on.complete.all()


def test_progress_is_of_all_maps_and_never_falls() -> None:
    model, shares = native_model("relu"), list[float]()
    problem = Problem(model, behaviour(model, (6, 6, 8, 8)), LogitDifference())
    patching(problem, screen=Screen(1, 2), watch=lambda progress: shares.append(progress.done / progress.total))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_dose_0_changes_nothing_and_steering_needs_two_prompts(on_paper: Problem) -> None:
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (6, 6, 8, 8)), LogitDifference())
    found = steering(problem, doses=(0.0, 1.0))
    np.testing.assert_allclose(found.effect.value[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(found.random.value[:, 0], 0, atol=1e-12)
    assert abs(found.effect.value[:, 1]).max() > 1e-6
    assert found.plot().axes
    with pytest.raises(UnmeasurableBehaviour, match="at least 2"):
        steering(on_paper)


def test_dose_1_of_the_only_difference_restores_everything() -> None:
    """Prompts that differ at the scored position alone, all by the same tokens: the mean direction is each one's."""
    model = native_model("relu")
    pair = behaviour(model, (6,)).pairs[0]
    clean = pair.clean[: pair.position + 1]
    pairs = []
    for first in (1, 2, 3, 4):
        tokens = (first, *clean[1:])
        other = (*tokens[:-1], (clean[-1] + 1) % model.vocabulary)
        with torch.no_grad():
            after = model.logits(torch.tensor([tokens, other]))[:, -1]
        best = (after[0] - after[1]).argsort().tolist()
        scored = ScoredPosition(len(tokens) - 1, (best[-1],), (best[0],))
        pairs.append(TokenPair(tokens, other, (scored,), TEXT))
    found = steering(Problem(model, PromptPairs(tuple(pairs)), LogitDifference()), layers=(0,), doses=(1.0,))
    assert found.effect.value[0, 0] == pytest.approx(1, abs=1e-9)
    assert abs(found.random.value[0, 0] - 1) > 0.01


def test_the_lens_ends_with_the_model_itself() -> None:
    model = native_model("relu")
    problem = Problem(model, behaviour(model, (6, 9, 9)), LogitDifference())
    found = logit_lens(problem)
    whole = problem.measure([Circuit.full(model.graph)])[0, 0].mean()
    assert found.stages == ("input", "layer 0", "layer 1")
    assert found.difference.value[-1] == pytest.approx(float(whole), abs=1e-9)
    assert found.plot().axes


def test_a_probe_finds_a_word_where_the_model_has_moved_it_and_random_directions_cost_little() -> None:
    """Who receives is not yet at the end of the prompt before layer 0, and is before the last layer of everyday-4l."""
    model, task = load_named("everyday-4l", Setup()), tasks.get("ioi")
    problem = Problem(model, task.build(model.tokenizer, 8, 0).discovery, LogitDifference())
    reading = task.prompts.pairs(model.tokenizer, 192, np.random.default_rng(1))
    found = probes(problem, reading, (0, 3))
    column = [target.name for target in found.targets].index("receiver at END")
    (before, after), selectivity = found.accuracy[:, column], found.selectivity[:, column]
    assert before < 0.5 < 0.9 < after
    assert selectivity[1] > 0.5
    assert np.nanmax(np.abs(found.lost_at_random)) < 0.15
    assert found.lost[1, column] > found.lost_at_random[1, column]
    assert found.plot().axes
    assert found.to_json()["targets"][column]["words"] >= 2


def test_without_slots_there_is_nothing_to_probe(on_paper: Problem) -> None:
    with pytest.raises(UnmeasurableBehaviour, match="a task with slots"):
        probes(on_paper, PromptPairs(()))
