"""No part of an attack ranks or counts by what is not finite, and half precision finds what single precision does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from acdc.attacks import candidates
from acdc.attacks.attack import attack
from acdc.attacks.crossing import crossing
from acdc.attacks.diagnosis import diagnosis
from acdc.attacks.measuring import cases
from acdc.attacks.plan import AttackPlan, SearchPlan
from acdc.attacks.search import search
from acdc.attacks.variations import variations
from acdc.errors import NotFinite
from acdc.graphs.ablation import Ablation
from acdc.graphs.execution.runs import TokenPairs
from acdc.ground_truth import planted
from acdc.ground_truth.derivation import true_edges
from acdc.ground_truth.known import Known
from acdc.precision import wide
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence
from tests.acdc.attacks.planted_failures import SETUP, broken, dropped


@pytest.fixture(scope="module")
def chain() -> Known:
    return planted.known("chain", 0)


def problem_of(chain: Known) -> Problem:
    return Problem(chain.model, chain.task.build(chain.model.tokenizer, 4, 0).judgement, KLDivergence())


@pytest.fixture(scope="module")
def nan(chain: Known) -> Known:
    """The same with one weight that is no number."""
    weight = chain.model.unembedding.weight.clone()
    weight[0, 0] = math.nan
    return replace(chain, model=replace(chain.model, unembedding=replace(chain.model.unembedding, weight=weight)))


PARTS: dict[str, Callable[[Known], object]] = {
    "cases": lambda known: cases(problem_of(known), broken(known), "by hand"),
    "crossing": lambda known: crossing(problem_of(known), broken(known)),
    "diagnosis": lambda known: diagnosis(problem_of(known), broken(known)),
    "variations": lambda known: variations(known.task, known.model, broken(known), SETUP, prompts=4),
    "search": lambda known: search(known.task, known.model, broken(known), SETUP, budget=8, seed=0),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_refuses_a_divergence_that_is_no_number(nan: Known, part: str) -> None:
    with pytest.raises(NotFinite, match="use a wider precision"):
        PARTS[part](nan)


def test_an_edge_is_not_false_because_its_effect_is_no_number(nan: Known) -> None:
    pairs = problem_of(nan).pairs.pairs
    prompts = TokenPairs(*(torch.tensor([getattr(pairs[0], side)]) for side in ("clean", "corrupt", "position")))
    with pytest.raises(NotFinite, match=r"effects of .*->.* cannot be judged: got nan"):
        true_edges(nan.model, [replace(prompts, scored_positions=prompts.scored_positions[:1])], Ablation.RESAMPLE, 0.1)


def test_a_gradient_that_is_no_number_leaves_the_order_to_what_is_measured(
    chain: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(chain)
    problem = problem.on(problem.pairs.select([0]))
    wanted = diagnosis(problem, broken(chain))

    def no_number(_: object, mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.full_like(mask, math.nan),)

    monkeypatch.setattr("acdc.attacks.diagnosis.torch.autograd.grad", no_number)
    found = diagnosis(problem, broken(chain))
    assert [(one.together, one.repaired) for one in found] == [(one.together, one.repaired) for one in wanted]


def test_words_whose_gradient_is_no_number_are_taken_in_the_order_given(
    chain: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    slopes = candidates.token_gradients

    def no_number(*arguments: object, **options: object) -> object:
        right = slopes(*arguments, **options)  # type: ignore[arg-type]
        return replace(right, clean=right.clean * math.nan)

    monkeypatch.setattr("acdc.attacks.candidates.token_gradients", no_number)
    found = search(chain.task, chain.model, broken(chain), SETUP, budget=12, seed=0)
    assert found.tested == 12
    assert all(math.isfinite(case.kl) for case in found.cases)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_attack_in_half_precision_ends_and_repairs_the_same(dtype: torch.dtype) -> None:
    known = planted.known("chain", 0, dtype=dtype)
    setup = SETUP.on(dtype=str(dtype).removeprefix("torch."))
    plan = AttackPlan(
        search=SearchPlan(16), prompts=4, diagnosed=1, parts=("crossing", "search", "diagnosis", "necessity")
    )
    tried = attack(known.task, known.model, broken(known), setup, plan)
    assert not tried.left_out.failed
    assert not tried.left_out.skipped
    assert tried.found.worst[0].fails
    assert tried.repaired.edges - broken(known).edges == {dropped(known)}
    model, circuit = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(candidates.divergence(model, circuit), candidates.divergence(wide(model), wide(circuit)))
