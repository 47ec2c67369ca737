"""The table has a row for each method, and what a method refuses is said in it."""

from __future__ import annotations

from acdc import tasks
from acdc.models import load_named
from acdc.problems import problems
from acdc.settings import Setup
from tests.benchmarks import attributions


def test_a_ranking_by_effects_is_better_than_one_by_chance() -> None:
    setup = Setup("logit_difference", prompts=8)
    sides = problems(tasks.get("periodic"), load_named("periodic-2l", setup), setup)
    best, chance = (
        float(row.split(" | ")[2].split(" ")[0]) for row in attributions.rows(*sides, ("eap-ig", "random"), (10,))
    )
    assert best > 0.9
    assert chance < 0.5


def test_what_a_method_refuses_is_in_its_row() -> None:
    setup = Setup("kl", prompts=4)
    sides = problems(tasks.get("periodic"), load_named("periodic-2l", setup), setup)
    [row] = attributions.rows(*sides, ("eap",), (10,))
    assert row.startswith("| eap | refused: ")
