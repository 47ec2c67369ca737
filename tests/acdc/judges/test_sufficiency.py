"""The whole model against random circuits of its size, and half of it: distances by hand, ties no wins."""

from __future__ import annotations

import pytest

from acdc.graphs.circuit import Circuit
from acdc.judges.random_circuits import random_circuits
from acdc.judges.sufficiency import sufficiency
from acdc.problem import Problem


def test_it_compares_distances_from_the_model_prompt_by_prompt(measurable: Problem) -> None:
    circuit = Circuit(measurable.graph, frozenset([*measurable.graph.edges()][::2])).pruned()
    found = sufficiency(measurable, circuit, 3, draws=40)
    drawn = random_circuits(circuit, 40, "layer-stratified", 3)
    full, *values = measurable.measure([Circuit.full(measurable.graph), circuit, *drawn])[0]
    own, *others = [float((value - full).abs().mean()) for value in values]
    beaten = sum(other > own for other in others)
    assert (found.stratified.own, found.stratified.beaten) == (pytest.approx(-own), beaten)
    assert found.stratified.p_value == (1 + 40 - beaten) / 41
    assert found.p_value == max(found.uniform.p_value, found.stratified.p_value)


def test_a_circuit_that_is_the_only_one_of_its_size_is_no_better_than_chance(measurable: Problem) -> None:
    found = sufficiency(measurable, Circuit.full(measurable.graph), draws=20)
    assert (found.uniform.beaten, found.p_value) == (0, 1.0)
