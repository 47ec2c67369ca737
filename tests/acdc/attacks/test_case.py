"""A case tells what model and circuit say after a prompt, and whether that is an answer."""

from __future__ import annotations

import json
from dataclasses import replace

import acdc
from acdc.attacks.case import Case, Prediction
from acdc.attacks.measuring import cases
from acdc.graphs.circuit import Circuit
from acdc.models import load_named
from acdc.problem import Problem
from acdc.settings import Setup
from acdc.tasks.metrics import KLDivergence
from tests.acdc.behaviours import TEXT


def test_the_circuit_fails_only_where_the_model_does_not() -> None:
    wrong = Case(TEXT, 1.0, Prediction(" a", right=True), Prediction(" b", right=False), found_by="by hand")
    assert wrong.fails
    assert not replace(wrong, model=Prediction(" c", right=False)).fails
    assert not replace(wrong, circuit=Prediction(" a", right=True)).fails


def test_a_case_is_plain_json_with_its_filling_and_its_words() -> None:
    task, model = acdc.get_task("ioi"), load_named("everyday-4l", Setup())
    problem = Problem(model, task.build(model.tokenizer, 2, 0).judgement, KLDivergence())
    [case, _] = cases(problem, Circuit.empty(model.graph), "standard")
    data = json.loads(json.dumps(case.to_json()))
    assert data["pair"]["filling"] == dict(case.pair.wording.filling)
    assert data["model"].strip() == case.pair.wording.filling[0][1], "the model names who received"
    assert data["fails"]
    assert Case.from_json(data) == case
    by_first = replace(case, pair=replace(case.pair, scoring=replace(case.pair.scoring, answers_as="first-token")))
    assert Case.from_json(json.loads(json.dumps(by_first.to_json()))) == by_first
    assert data["found_by"] == "standard"
