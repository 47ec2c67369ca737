"""What is known of every method holds of what it does: names, settings and the algorithm that is dispatched to."""

from __future__ import annotations

from dataclasses import fields
from pkgutil import resolve_name
from typing import get_type_hints

import pytest

from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.coarse_to_fine import CoarseToFine
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.discovery.pruning_runs import prunes
from acdc.discovery.search import algorithm_of, search
from acdc.errors import BadSetting
from acdc.methods import METHODS, taking
from acdc.settings import OPTIONAL, Edges, Method


def test_no_name_means_two_methods() -> None:
    names = [name for own, entry in METHODS.items() for name in (own, *entry.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_its_algorithm_has_fields_for(name: str) -> None:
    entry = METHODS[name]
    algorithm = resolve_name(f"acdc.algorithms.{entry.algorithm.name}")
    has = {field.name for field in fields(algorithm)}
    assert {*entry.takes, *entry.algorithm.fixed} - ({"select"} if entry.prunes else {"select", "refine"}) <= has
    assert set(entry.takes) <= {field.name for field in fields(Method)} | {"seed"}
    assert entry.prunes == ("threshold" in has) == ("select" not in entry.takes)
    assert "return" in get_type_hints(algorithm.walk)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("setting", OPTIONAL)
def test_a_setting_that_a_method_does_not_take_is_refused(name: str, setting: str) -> None:
    other = {"refine": True, "select": "greedy", "level": "node", "steps": 7}[setting]
    if name in taking(setting):
        assert getattr(Method(name, **{setting: other}), setting) == other  # type: ignore[arg-type]
    else:
        with pytest.raises(
            BadSetting, match=f"{setting}.*which is for {', '.join(taking(setting))}".replace("+", r"\+")
        ):
            Method(name, **{setting: other})  # type: ignore[arg-type]


def test_settings_reach_the_algorithm() -> None:
    greedy = search(Method("acdc", refine=True, max_bytes=1 << 21), Edges(5))
    assert greedy.pruning == GreedyPruning(1.0, 0, 1 << 21, True)  # type: ignore[union-attr]
    coarse = search(Method("coarse", level="slot", steps=3), Edges(5))
    assert coarse.pruning == CoarseToFine(1.0, "slot", 3)  # type: ignore[union-attr]
    gradients = search(Method("eap-ig-activations", steps=9, select="greedy"), Edges(5))
    assert gradients.scorer == IntegratedGradients("activations", 9)  # type: ignore[union-attr]
    assert gradients.rule.value == "greedy"  # type: ignore[union-attr]
    masks = search(Method("masks", max_bytes=1 << 22), Edges(5), seed=4)
    assert masks.scorer == LearnedMasks(seed=4, max_bytes=1 << 22).up_to(5)  # type: ignore[union-attr]


@pytest.mark.parametrize(("alias", "own"), [("eap-ig-inputs", "eap-ig"), ("path-patching", "exact")])
def test_another_name_is_stored_as_the_methods_own(alias: str, own: str) -> None:
    assert Method(alias) == Method(own)


@pytest.mark.parametrize("name", METHODS)
def test_what_the_registry_says_prunes_is_run_as_what_prunes(name: str) -> None:
    method = Method(name)
    assert prunes(algorithm_of(method)) == method.entry.prunes


def test_a_circuit_of_whole_nodes_or_slots_is_not_refined_and_its_scores_say_what_they_are() -> None:
    for level in ("node", "slot"):
        assert Method("coarse", level=level).scores.kind == level
        with pytest.raises(BadSetting, match="--refine drops single edges"):
            Method("coarse", level=level, refine=True)
    assert Method("coarse", refine=True).scores == Method("acdc").scores
