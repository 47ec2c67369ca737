"""Edges against random added ones: counts go into the binomial test, and Holm corrects over the edges."""

from __future__ import annotations

import json

import numpy
import pytest
from scipy.stats import binom

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.judges.minimality import beating, holm, minimality
from acdc.problem import Problem


def test_the_binomial_test_is_given_how_many_are_beaten_and_not_by_how_much() -> None:
    added = numpy.array([0.1] * 8 + [0.5] * 2)
    beaten, p_values = beating(numpy.array([0.2, 0.4, 0.6, 0.05]), added)
    assert beaten.tolist() == [8, 8, 10, 0]
    assert p_values.tolist() == pytest.approx([binom.cdf(8, 10, 0.9)] * 2 + [1.0, 1e-10])


def test_an_edge_without_effect_beats_none_even_where_added_ones_have_none() -> None:
    assert beating(numpy.array([0.0, 0.005]), numpy.zeros(50), negligible=0.01)[0].tolist() == [0, 0]
    assert beating(numpy.array([0.3]), numpy.array([]))[1].tolist() == [1.0]


def test_holm_by_hand() -> None:
    assert holm(numpy.array([0.03, 0.01, 0.04])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(numpy.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_effects_are_those_of_circuits_without_the_edge(measurable: Problem) -> None:
    circuit = Circuit(measurable.graph, frozenset([*measurable.graph.edges()][::2])).pruned()
    found = minimality(measurable, circuit, added=5)
    assert {row.edge for row in found.edges} == circuit.edges
    assert found.added == 5
    full, none = measurable.bounds
    row = found.edges[-1]
    values = measurable.measure([circuit, circuit.without([row.edge])])[0]
    assert row.effect == pytest.approx(float((values[0] - values[1]).abs().mean()) / abs(full - none))
    assert row.effect == max(each.effect for each in found.edges) > found.edges[0].effect
    assert set(found.useless) == {each.edge for each in found.edges if each.corrected <= 0.05}
    assert json.loads(json.dumps(found.to_json()))["edges"][-1]["edge"] == row.edge.name


def test_a_dead_edge_is_useless(measurable: Problem) -> None:
    names = ["input->a0.h0<v>", "a0.h0->logits", "input->logits", "input->a1.h1<k>"]
    found = minimality(measurable, Circuit.from_names(measurable.graph, names))
    assert found.edges[0].edge.name == "input->a1.h1<k>"
    assert found.edges[0].effect == 0
    assert found.edges[0].beaten == 0


def test_nothing_to_knock_out_is_refused(measurable: Problem) -> None:
    with pytest.raises(BadSetting):
        minimality(measurable, Circuit.empty(measurable.graph))
