"""What a unit does is read from prompts, texts and steering: each by another way of working it out."""

from __future__ import annotations

import pytest
import torch

from acdc import tasks
from acdc.errors import BadSetting
from acdc.explain.unit_examples import file_texts, task_texts, unit_examples
from acdc.explain.unit_steering import unit_steering
from acdc.explain.units import read_units
from acdc.features.named import Fitted, fitted_units
from acdc.graphs.features.tapped_run import put, tapped_run
from acdc.models import load_model
from acdc.problem import Problem
from acdc.tasks.metrics import metric

TEXTS = ("When Mary and John went to the store, Mary gave a drink to", "", "one plus two is three")


@pytest.fixture(scope="module")
def problem() -> Problem:
    model = load_model("everyday-4l")
    return Problem(model, tasks.get("ioi").build(model.tokenizer, 8, 0).discovery, metric("logit_difference"))


@pytest.fixture(scope="module")
def fitted(problem: Problem) -> Fitted:
    return fitted_units(problem, "everyday-4l-m0-sae")


def test_the_strongest_example_is_the_strongest(problem: Problem, fitted: Fitted) -> None:
    units, texts = fitted.units, task_texts(problem)
    found = unit_examples(problem.model, units, [373, 181], texts, 3)
    strongest = torch.zeros(units.count)
    for text in texts:
        read = tapped_run(problem.model, torch.tensor([text]), {units.reads}).found[units.reads]
        strongest = strongest.maximum(units.activations(read)[0].amax(0))
    for unit, examples in zip((373, 181), found.strongest, strict=True):
        assert examples[0].strength == pytest.approx(float(strongest[unit]), rel=1e-4)
        assert [each.strength for each in examples] == sorted((each.strength for each in examples), reverse=True)
        assert all(len(each.tokens) == len(each.activations) for each in examples)


def test_texts_are_read_line_by_line(problem: Problem) -> None:
    texts = file_texts(problem.model, TEXTS)
    assert len(texts) == 2
    with pytest.raises(BadSetting, match="no line with anything in it"):
        file_texts(problem.model, ("", "  "))


def test_to_take_a_unit_away_is_to_write_what_is_left(problem: Problem, fitted: Fitted) -> None:
    units = fitted.units
    found = unit_steering(problem, units, 181, 3.0)
    changes = []
    for batch in problem.prompt_batches:
        own = tapped_run(problem.model, batch.clean, {units.writes, units.reads})
        active = units.activations(own.found[units.reads])
        less = active.clone()
        less[..., 181] = 0
        left = own.found[units.writes] + (less - active) @ units.there
        final = tapped_run(problem.model, batch.clean, (), {units.writes: put(left)}).final
        for run, sign in ((final, 1), (own.final, -1)):
            logits = problem.model.unembedding(run[torch.arange(len(batch)), batch.scored_positions])
            changes.append(sign * problem.metric(logits, batch.targets(logits)).sum())
    assert float(found.without.value[0]) == pytest.approx(float(sum(changes)) / len(problem.pairs), abs=1e-4)
    assert sum(part for _, part in found.then) <= 1 + 1e-9


def test_units_are_read_in_the_order_of_their_effects(problem: Problem, fitted: Fitted) -> None:
    found = read_units(problem, fitted, [], TEXTS, top=2)
    effects = [abs(each.effect) for each in found.readings]
    assert effects == sorted(effects, reverse=True)
    assert found.readings[0].name.startswith("m0.f")
    data = found.readings[0].to_json(problem.model)
    assert set(data["steering"]) == {"doses", "without", "added", "random", "then"}
    assert len(data["examples"]) == 4
