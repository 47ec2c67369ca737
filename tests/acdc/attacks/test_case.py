"""A case tells what model and circuit say after a prompt, and whether that is an answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import acdc
from acdc.attacks.case import Case, cases, written
from acdc.models import load_named
from acdc.problem import Problem
from acdc.setup import Setup
from graphs.circuit import Circuit
from graphs.errors import DifferentGraphs
from graphs.executor import Executor
from tasks.metrics import Accuracy, KLDivergence
from tests.acdc.behaviours import TEXT


def test_cases_say_what_is_measured_prompt_by_prompt(measurable: Problem) -> None:
    empty = Circuit.empty(measurable.graph)
    kl, accuracy = measurable.measure([empty], [KLDivergence(), Accuracy()])[:, 0].tolist()
    met = cases(measurable, empty, "by hand")
    assert [case.kl for case in met] == pytest.approx(kl, rel=0, abs=1e-12)
    assert [case.circuit_right for case in met] == [bool(right) for right in accuracy]
    assert all(case.model_right for case in met), "the answers of these prompts are what the model says"
    for case, pair in zip(met, measurable.pairs.pairs, strict=True):
        logits = Executor(
            measurable.model, torch.tensor([pair.clean]), torch.tensor([pair.corrupt]), torch.tensor([pair.position])
        ).run([empty])
        assert case.circuit == written(measurable.model, int(logits.argmax()))
        assert case.model == written(measurable.model, pair.answers[0])


def test_the_whole_model_is_a_circuit_that_never_fails(measurable: Problem) -> None:
    for case in cases(measurable, Circuit.full(measurable.graph), "by hand"):
        assert case.kl == pytest.approx(0, abs=1e-9)
        assert case.model == case.circuit
        assert not case.fails


def test_the_circuit_fails_only_where_the_model_does_not() -> None:
    wrong = Case(TEXT, 1.0, " a", " b", model_right=True, circuit_right=False, found_by="by hand")
    assert wrong.fails
    assert not replace(wrong, model_right=False).fails
    assert not replace(wrong, circuit_right=True).fails


def test_a_case_is_plain_json_with_its_filling_and_its_words() -> None:
    task, model = acdc.get_task("ioi"), load_named("everyday-4l", Setup())
    problem = Problem(model, task.build(model.tokenizer, 2, 0).judgement, KLDivergence())
    [case, _] = cases(problem, Circuit.empty(model.graph), "standard")
    data = json.loads(json.dumps(case.to_json()))
    assert data["pair"]["filling"] == dict(case.pair.filling)
    assert data["model"].strip() == case.pair.filling[0][1], "the model names who received"
    assert data["fails"]
    assert Case.from_json(data) == case
    by_first = replace(case, pair=replace(case.pair, answers_as="first-token"))
    assert Case.from_json(json.loads(json.dumps(by_first.to_json()))) == by_first
    assert data["found_by"] == "standard"


def test_a_circuit_of_another_model_is_refused(measurable: Problem) -> None:
    with pytest.raises(DifferentGraphs):
        cases(measurable, Circuit.empty(replace(measurable.graph, n_layers=3)), "by hand")
