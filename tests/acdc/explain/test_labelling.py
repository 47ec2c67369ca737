"""Where a circuit is explained on few prompts, and what is left out there changes no number."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import acdc
from acdc.explain.head_behaviours import all_heads, on_prompts
from acdc.explain.labelling import explained_on
from acdc.graphs.ablation import Ablation
from acdc.models import load_model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup


@pytest.fixture(scope="module")
def halves() -> tuple[Problem, Problem]:
    return problems(acdc.get_task("siit_pick"), load_model("siit-pick-3l"), Setup(prompts=20))


def test_a_small_model_is_explained_on_all_prompts(halves: tuple[Problem, Problem]) -> None:
    assert explained_on(*halves) == halves


def test_roles_of_a_large_model_are_chosen_on_fewer_prompts(
    halves: tuple[Problem, Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acdc.explain.labelling.LARGE", 1)
    assert [half.pairs.pairs for half in explained_on(*halves)] == [
        halves[0].pairs.pairs[:8],
        halves[1].pairs.pairs[:16],
    ]


def test_so_many_prompts_as_are_asked_for_are_taken_of_each_half(halves: tuple[Problem, Problem]) -> None:
    assert [len(half.pairs) for half in explained_on(*halves, 5)] == [5, 5]
    assert [len(half.pairs) for half in explained_on(*halves, 500)] == [20, 20]


def test_where_some_heads_look_hangs_neither_on_the_others_nor_on_the_ablation(halves: tuple[Problem, Problem]) -> None:
    every = on_prompts(halves[1])
    some = all_heads(halves[1])[2:5]
    found = on_prompts(replace(halves[1], ablation=Ablation.ZERO), some)
    rows = [every.heads.index(head) for head in some]
    for name in ("attention", "even", "elsewhere", "reach"):
        torch.testing.assert_close(getattr(found, name), getattr(every, name)[rows], rtol=0, atol=1e-6)
