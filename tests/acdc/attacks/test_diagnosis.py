"""A diagnosis names the edge that is missing, or the path, and nothing that is not needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from acdc.attacks.case import BOUND
from acdc.attacks.diagnosis import Diagnosis, diagnosis, recurring
from acdc.attacks.measuring import cases
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import LOGITS, Edge
from acdc.ground_truth import planted
from acdc.ground_truth.known import Known
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from tests.acdc.attacks.planted_failures import broken, dropped, true
from tests.acdc.behaviours import rescored


@pytest.fixture(scope="module")
def chain() -> Known:
    return planted.known("chain", 0, dtype=torch.float64)


@pytest.fixture(scope="module")
def problem(chain: Known) -> Problem:
    return Problem(chain.model, chain.task.build(chain.model.tokenizer, 4, 0).judgement, KLDivergence())


def kls(problem: Problem, circuit: Circuit, edges: list[Edge], index: int) -> float:
    restored = Circuit(circuit.graph, circuit.edges | set(edges))
    return float(problem.measure([restored])[0, 0, index])


def test_the_missing_edge_is_named(chain: Known, problem: Problem) -> None:
    found = diagnosis(problem, broken(chain))
    assert len(found) == len(problem.pairs)
    failing = [each for each in found if each.case.fails]
    assert failing, "the circuit fails on no prompt"
    for each in failing:
        assert each.repaired
        assert [one.edge for one in each.together] == [dropped(chain)]
        assert each.alone[0].edge == dropped(chain)
    assert recurring(found) == ((dropped(chain), sum(bool(each.together) for each in found)),)


def test_a_missing_path_is_named_where_no_edge_alone_does_anything(chain: Known, problem: Problem) -> None:
    last = [edge.sender for edge in true(chain).ordered() if edge.receiver == LOGITS][-1]
    path = {edge for edge in true(chain).edges if last in (edge.sender, edge.receiver)}
    circuit = true(chain).without(path)
    for each in diagnosis(problem, circuit):
        assert each.case.fails
        assert each.repaired
        assert len(each.together) > 1
        assert {one.edge for one in each.together} <= path
        assert all(one.kl > each.case.kl - 0.5 for one in each.alone), "one edge alone does little"


def test_what_is_reported_is_measured(chain: Known, problem: Problem) -> None:
    circuit = true(chain).without(true(chain).ordered()[-4:])
    for index, (each, case) in enumerate(
        zip(diagnosis(problem, circuit), cases(problem, circuit, "diagnosis"), strict=True)
    ):
        assert each.case == case
        for one in each.alone:
            assert one.kl == pytest.approx(kls(problem, circuit, [one.edge], index), rel=0, abs=1e-9)
        put_back: list[Edge] = []
        for one in each.together:
            put_back.append(one.edge)
            assert one.kl == pytest.approx(kls(problem, circuit, put_back, index), rel=0, abs=1e-9)
        if each.repaired:
            assert each.together[-1].kl <= BOUND
        for needed in put_back if each.repaired else []:
            fewer = Circuit(circuit.graph, circuit.edges | (set(put_back) - {needed}))
            [alone] = [c for p, c in enumerate(cases(problem, fewer, "less")) if p == index]
            assert alone.kl > BOUND or alone.circuit.text != alone.model.text, "no edge of a repair can be left out"


def test_a_case_that_is_none_needs_no_repair(chain: Known, problem: Problem) -> None:
    for each in diagnosis(problem, Circuit.full(chain.model.graph)):
        assert each == Diagnosis(each.case, (), (), repaired=True)


def test_any_answer_will_do_where_the_model_gives_one(chain: Known, problem: Problem) -> None:
    every = tuple(range(chain.model.unembedding.weight.shape[0]))
    pairs = PromptPairs(tuple(rescored(pair, answers=every) for pair in problem.pairs.pairs))
    strict, lenient = (diagnosis(one, broken(chain), bound=1e6) for one in (problem, replace(problem, pairs=pairs)))
    assert any(each.together for each in strict), "only the right answer repairs"
    assert all(each.repaired and not each.together for each in lenient)


def test_a_repair_that_takes_too_many_edges_is_none(chain: Known, problem: Problem) -> None:
    found = diagnosis(problem, Circuit.empty(chain.model.graph), most=2)
    assert found
    for each in found:
        assert each.case.fails
        assert not each.repaired
        assert len(each.together) <= 2
    assert recurring(found) == ()


def test_a_diagnosis_is_plain_json(chain: Known, problem: Problem) -> None:
    one = replace(problem, pairs=problem.pairs.select([0]))
    [each] = diagnosis(one, broken(chain))
    data = json.loads(json.dumps(each.to_json()))
    assert [row["edge"] for row in data["together"]] == [one.edge.name for one in each.together]
    assert data["repaired"] is each.repaired


@pytest.mark.parametrize("setting", [{"bound": 0.0}, {"bound": float("nan")}, {"most": 0}])
def test_a_repair_without_edges_or_bound_is_refused(chain: Known, problem: Problem, setting: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match="is none"):
        diagnosis(problem, broken(chain), **setting)  # type: ignore[arg-type]
