"""What the complement keeps, and what the model loses without the circuit rather than without others."""

from __future__ import annotations

import pytest

from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.judges.necessity import necessity, partial_necessity
from acdc.problem import Problem


def test_without_all_edges_nothing_is_kept_and_without_none_everything(measurable: Problem) -> None:
    for circuit, kept in ((Circuit.full(measurable.graph), 0.0), (Circuit.empty(measurable.graph), 1.0)):
        assert necessity(measurable, circuit).kept.value == pytest.approx(kept)


def test_it_is_the_faithfulness_of_the_complement(measurable: Problem) -> None:
    circuit = Circuit(measurable.graph, frozenset([*measurable.graph.edges()][::3]))
    wanted = measurable.normalised(measurable.measure([~circuit])[0].mean(-1))
    found = necessity(measurable, circuit).kept
    assert found.value == pytest.approx(float(wanted))
    assert found.low <= found.value <= found.high


def test_hurt_is_the_distance_of_the_complement_from_the_model(measurable: Problem) -> None:
    circuit = Circuit(measurable.graph, frozenset([*measurable.graph.edges()][::3])).pruned()
    full, rest = measurable.measure([Circuit.full(measurable.graph), ~circuit])[0]
    found = partial_necessity(measurable, circuit, draws=30)
    assert (found.own, found.of) == (pytest.approx(float((full - rest).abs().mean())), 30)
    assert found.p_value == (31 - found.beaten) / 31


def test_a_circuit_beside_which_no_other_fits_is_refused(measurable: Problem) -> None:
    with pytest.raises(BadSetting, match="beside"):
        partial_necessity(measurable, Circuit.full(measurable.graph), draws=5)
