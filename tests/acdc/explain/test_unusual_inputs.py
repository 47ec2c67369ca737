"""Circuits without heads, models without MLPs, one prompt, whole answers, several positions: a result or a message."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import acdc
from acdc.errors import UnmeasurableBehaviour
from acdc.explain.explanation import Explanation, explain
from acdc.explain.summary import summary
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.nodes import Node
from acdc.graphs.roles import UNLABELLED
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.report.explanation import tables
from acdc.settings import Setup
from acdc.tasks.metrics import KLDivergence, metric
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.whole import of_whole
from tests.acdc.behaviours import TEXT
from tests.acdc.explain.test_roles import PERIODIC, TASK, by_hand
from tests.graphs.test_hand_weighted import THE_CIRCUIT


def shown(found: Explanation) -> Explanation:
    """The explanation, once it has been told and written."""
    assert summary(found)
    assert list(tables(found, {}))
    json.dumps(found.to_json(), allow_nan=False)
    return found


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("periodic-2l")


def test_a_circuit_without_heads_has_no_roles(model: Model) -> None:
    halves = problems(acdc.get_task("periodic"), model, Setup(prompts=4))
    found = shown(explain(Circuit.from_names(model.graph, ["input->logits"]), *halves, TASK))
    assert found.roles == {}
    assert "no heads" in summary(found)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
def test_one_prompt_without_slots_on_a_model_without_mlps_shows_nothing_for_sure(ablation: Ablation) -> None:
    problem = by_hand()
    one = replace(problem, pairs=problem.pairs.select([0]), ablation=ablation)
    found = shown(explain(Circuit.from_names(problem.graph, THE_CIRCUIT), one, one, TASK))
    assert {role.role for role in found.roles.values()} == {UNLABELLED}


def test_a_metric_that_cannot_improve_and_all_nodes_of_a_circuit(model: Model) -> None:
    halves = problems(acdc.get_task("periodic"), model, Setup(metric="kl", prompts=4))
    found = shown(explain(Circuit.from_names(model.graph, [*PERIODIC, "m0->logits", "m1->logits"]), *halves, TASK))
    assert [mlp.node.name for mlp in found.mlps] == ["m0", "m1"]


def test_several_positions_of_a_prompt_are_all_looked_at(model: Model) -> None:
    problem = problems(acdc.get_task("periodic"), model, Setup(prompts=6))[1]
    pairs = tuple(
        replace(pair, scored=(pair.scored[0], replace(pair.scored[0], position=pair.scored[0].position - 1)))
        for pair in problem.pairs.pairs
    )
    both = Problem(model, PromptPairs(pairs), KLDivergence())
    shown(explain(Circuit.from_names(model.graph, PERIODIC), both, both, TASK))


def test_a_behaviour_that_ablation_leaves_alone_is_refused() -> None:
    problem = by_hand()
    same = problem.on(PromptPairs(tuple(replace(pair, corrupt=pair.clean) for pair in problem.pairs.pairs)))
    with pytest.raises(UnmeasurableBehaviour, match="ablating the whole model"):
        explain(Circuit.from_names(problem.graph, THE_CIRCUIT), same, same, TASK)


def test_answers_that_are_measured_whole_have_roles_but_for_those_of_single_logits(model: Model) -> None:
    half = problems(acdc.get_task("periodic"), model, Setup(prompts=6))[1]
    pairs = tuple(
        of_whole(TEXT, pair.clean, pair.corrupt, [(*pair.scored[0].answers, pair.clean[0])], [(pair.corrupt[0],)])
        for pair in half.pairs.pairs
    )
    whole = Problem(model, PromptPairs(pairs), metric("log_probability_difference"))
    found = shown(explain(Circuit.from_names(model.graph, PERIODIC), whole, whole, TASK))
    assert found.roles[Node("head", 1, 0)].role == "induction"
    assert found.heads.measured.direct == {}


def test_prompts_of_one_form_do_not_tell_positions_from_tokens_and_it_is_said() -> None:
    """In `y z x y` what stands after the first y is at one position; sequences that differ show what it goes by."""
    problem = by_hand()
    alike = problem.on(problem.pairs.select(range(1, len(problem.pairs), 2)))
    found = shown(explain(Circuit.from_names(problem.graph, THE_CIRCUIT), alike, alike, TASK))
    evidence = found.roles[Node("head", 1, 0)].evidence
    assert evidence["as well to 1 after the same token before"] == 0.5
    assert evidence["on random sequences as well to 1 after the same token before"] == 0.75
    assert evidence["on random sequences"] < 0.5
    assert "do not tell from 3 back (on random sequences" in summary(found)
    assert "1 after the same token before (on random sequences 25% and 75%)" in summary(found)
    of_both = shown(explain(Circuit.from_names(problem.graph, THE_CIRCUIT), problem, problem, TASK))
    assert not any(name.startswith("as well") for role in of_both.roles.values() for name in role.evidence)
