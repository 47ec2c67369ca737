"""A plan of a refinement is one that can be carried out, and is written as it always was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acdc.errors import BadSetting
from acdc.robust.plan import AttackSeeds, RobustPlan


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RobustPlan(budget=0), "the budget of a refinement is 0; wanted at least 1"),
        (lambda: RobustPlan(growth=0.5), "the growth of a refinement is 0.5; wanted at least 1"),
        (lambda: RobustPlan(growth=float("inf")), "the growth of a refinement is infinite; wanted a number"),
        (lambda: RobustPlan(bound=float("nan")), "the bound of a refinement is nan; wanted at least 0"),
        (lambda: RobustPlan(seeds=AttackSeeds(-1)), "the seed of a refinement is -1; wanted at least 0"),
        (
            lambda: RobustPlan(seeds=AttackSeeds(3, 5), rounds=2),
            "the unseen seed 5 is that of a round; wanted none of 3 to 5",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(make: Callable[[], RobustPlan], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        make()


def test_a_plan_is_one_flat_object() -> None:
    assert list(RobustPlan(seeds=AttackSeeds(2, 7)).to_json().items()) == [
        ("budget", 1000),
        ("bound", 0.1),
        ("growth", 1.5),
        ("rounds", 3),
        ("counterexamples", 64),
        ("seed", 2),
        ("unseen", 7),
    ]
