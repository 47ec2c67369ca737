"""Learned constants lose less than the means on prompts they were not learned on, and are the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from acdc import learned_constants as module
from acdc import tasks
from acdc.cost.work import CONSTANTS_LEARNED_ON
from acdc.drain import drain
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import Constants
from acdc.graphs.errors import NoConstants
from acdc.graphs.execution.constant_tensors import values_of
from acdc.learned_constants import PER_STEP, STEPS, learn
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems, settled
from acdc.progress import Progress
from acdc.settings import Setup
from acdc.tasks.prompts import ListedPrompts, PromptPairs

MEAN = Setup("kl", Ablation.MEAN, prompts=48)
OPTIMAL = MEAN.under("optimal")
FEW = 12


@pytest.fixture(scope="module")
def mean() -> tuple[Problem, Problem]:
    return problems(tasks.get("periodic"), load_named("periodic-2l", MEAN), MEAN)


@pytest.fixture(scope="module")
def optimal(mean: tuple[Problem, Problem]) -> tuple[Problem, Problem]:
    return problems(tasks.get("periodic"), mean[0].model, OPTIMAL)


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", FEW)


def of(problem: Problem) -> Constants:
    assert isinstance(problem.carried_from, Constants)
    return problem.carried_from


def test_constants_lose_less_than_the_means_on_prompts_that_judge(
    mean: tuple[Problem, Problem], optimal: tuple[Problem, Problem]
) -> None:
    graph = mean[0].graph
    halves = [Circuit(graph, frozenset([*graph.edges()][start::2])) for start in (0, 1)]
    circuits = [Circuit.empty(graph), *halves]
    before, after = (sides[1].measure(circuits)[0].mean(-1) for sides in (mean, optimal))
    assert after[0] < 0.9 * before[0]
    assert after[1:].mean() < 0.95 * before[1:].mean()


def test_the_whole_model_is_itself_and_no_edge_is_the_constants_run(optimal: tuple[Problem, Problem]) -> None:
    problem = optimal[1]
    full, none = problem.measure([Circuit.full(problem.graph), Circuit.empty(problem.graph)])[0]
    assert full.abs().max() < 1e-5
    assert none.min() > 1e-3
    values = values_of(of(problem), problem.graph)
    batch = next(iter(problem.batches))
    assert torch.equal(batch.runs.ablated.outputs, values)


def test_both_sides_have_the_same_and_others_prompts_too(optimal: tuple[Problem, Problem]) -> None:
    assert of(optimal[0]) == of(optimal[1])
    few = optimal[1].on(optimal[1].pairs.select([0, 1]))
    assert of(few) == of(optimal[1])
    assert few.measure([Circuit.empty(few.graph)]).flatten().tolist() == pytest.approx(
        optimal[1].measure([Circuit.empty(few.graph)]).flatten().tolist()[:2]
    )


def test_a_setup_with_constants_learns_none(optimal: tuple[Problem, Problem]) -> None:
    setup = settled(OPTIMAL, optimal[0])
    assert setup.ablation == of(optimal[0])
    assert setup.under("optimal") == setup
    assert setup.under("mean").ablation is Ablation.MEAN
    told: list[Progress] = []
    again = problems(tasks.get("periodic"), optimal[0].model, replace(setup, seed=5), watch=told.append)
    assert of(again[0]) == of(optimal[0])
    assert told == []
    assert settled(MEAN, replace(optimal[0], carried_from=None)) == MEAN


@pytest.mark.usefixtures("_few")
def test_the_same_seed_learns_the_same_and_another_others(mean: tuple[Problem, Problem]) -> None:
    discovery, judgement = mean
    told: list[Progress] = []
    one, again, other = (
        drain(learn(tasks.get("periodic"), discovery, judgement.pairs, seed), told.append) for seed in (0, 0, 1)
    )
    assert one == again != other
    assert [step.done for step in told] == [*range(FEW + 1)] * 3
    assert {step.total for step in told} == {FEW}


@pytest.mark.usefixtures("_few")
def test_metric_and_ablation_of_the_problem_do_not_matter(mean: tuple[Problem, Problem]) -> None:
    resample = problems(tasks.get("periodic"), mean[0].model, Setup("logit_difference", prompts=48))
    one, other = (drain(learn(tasks.get("periodic"), a, b.pairs, 0)) for a, b in (mean, resample))
    assert one == other


def test_hundreds_of_prompts_are_learned_on_and_none_that_judges(
    mean: tuple[Problem, Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PromptPairs] = []
    monkeypatch.setattr(module, "_descended", lambda problem, start, seed: seen.append(problem.pairs) or _none(start))
    discovery, judgement = mean
    drain(learn(tasks.get("periodic"), discovery, judgement.pairs, 0))
    learned = [pair.clean for pair in seen[0].pairs]
    assert len(set(learned)) == len(learned) == STEPS * PER_STEP == CONSTANTS_LEARNED_ON
    assert learned[:48] == [pair.clean for pair in discovery.pairs.pairs]
    assert not set(learned) & {pair.clean for pair in judgement.pairs.pairs}


def _none(start: torch.Tensor) -> Iterator[Progress]:
    yield Progress("", 0, 1)
    return start  # as the generator it stands for


@pytest.mark.usefixtures("_few")
def test_a_task_with_no_other_prompts_is_learned_on_those_to_find_with(mean: tuple[Problem, Problem]) -> None:
    discovery, judgement = mean
    every = (*discovery.pairs.texts(), *judgement.pairs.texts())
    listed = replace(tasks.get("periodic"), prompts=ListedPrompts(every, tuple(map(str, range(len(every))))))
    constants = drain(learn(listed, discovery, judgement.pairs, 0))
    assert values_of(constants, discovery.graph).isfinite().all()


def test_a_problem_without_constants_says_so(mean: tuple[Problem, Problem]) -> None:
    with pytest.raises(NoConstants, match="under optimal ablation missing edges carry learned constants"):
        _ = replace(mean[0], ablation=Ablation.OPTIMAL).constants


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("change", [{"positions": "slots"}, {"split": "m0"}])
def test_constants_are_those_of_the_senders_there_are(change: dict[str, str]) -> None:
    setup = replace(OPTIMAL, prompts=4, **change)  # type: ignore[arg-type]  # they are texts
    discovery, judgement = problems(tasks.get("docstring"), load_named("everyday-4l", setup), setup)
    constants = discovery.constants
    assert constants is not None
    assert constants.shape == (len(discovery.graph.senders), 1, 1, discovery.graph.d_model)
    full, none = judgement.measure([Circuit.full(judgement.graph), Circuit.empty(judgement.graph)])[0]
    assert full.abs().max() < 1e-3 < float(none.min())
