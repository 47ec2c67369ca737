"""MIB's two areas: on a toy curve worked out by hand, and on circuits measured one by one."""

from __future__ import annotations

import json

import pytest
import torch

from acdc.algorithms.attribution import Attribution
from acdc.bench.answer import Family, Ranking
from acdc.bench.size_curve import SHARES, SizeCurve, SizePoint, area, size_curve
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from tests.acdc.algorithms.walks import ended

TOY = (0.0, 0.1, 0.3, 0.4, 0.8, 0.9, 1.2, 1.1, 1.0, 1.0)
WIDTHS = (0.001, 0.003, 0.005, 0.01, 0.03, 0.05, 0.1, 0.3, 0.5)


def toy(values: tuple[float, ...]) -> tuple[SizePoint, ...]:
    return tuple(SizePoint(share, 0, value) for share, value in zip(SHARES, values, strict=True))


def test_the_areas_of_a_toy_curve_agree_with_a_computation_by_hand() -> None:
    """Widths times heights halfway: .001 x .05 + .003 x .2 + .005 x .35 + .01 x .6 + .03 x .85 + .05 x 1.05 + ..."""
    curve = SizeCurve(toy(TOY), toy(TOY))
    by_hand = 0.00005 + 0.0006 + 0.00175 + 0.006 + 0.0255 + 0.0525 + 0.115 + 0.315 + 0.5
    assert curve.cpr == pytest.approx(by_hand, abs=1e-6)
    distances = 0.00095 + 0.0024 + 0.00325 + 0.004 + 0.0045 + 0.0075 + 0.015 + 0.015 + 0.0
    assert curve.cmd == pytest.approx(distances, abs=1e-6)


def test_each_area_is_of_its_own_order() -> None:
    curve = SizeCurve(toy((1.0,) * 10), toy((0.0,) * 10))
    assert curve.cpr == curve.cmd == pytest.approx(sum(WIDTHS))
    assert SizeCurve(toy((0.0,) * 10), toy((1.0,) * 10)).cpr == 0.0


def test_the_area_under_one_point_is_none() -> None:
    assert area([0.5], [3.0]) == 0


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.ZERO])
def test_every_point_is_a_circuit_measured_alone(measurable: Problem, ablation: Ablation) -> None:
    problem = Problem(measurable.model, measurable.pairs, measurable.metric, ablation)
    scored = ended(Attribution().walk(problem))
    curve = size_curve(problem, Ranking(scored))
    full, none = (float(problem.measure([make(problem.graph)]).mean()) for make in (Circuit.full, Circuit.empty))
    orders = {
        "signed": sorted(scored.ordered(), key=lambda edge: -scored.scores[edge]),
        "absolute": sorted(scored.ordered(), key=lambda edge: -abs(scored.scores[edge])),
    }
    for name, order in orders.items():
        points: tuple[SizePoint, ...] = getattr(curve, name)
        assert [point.share for point in points] == list(SHARES)
        for point in points:
            circuit = Circuit(problem.graph, frozenset(order[: int(point.share * 110)])).pruned()
            assert point.edges == len(circuit)
            kept = (float(problem.measure([circuit]).mean()) - none) / (full - none)
            assert point.faithfulness == pytest.approx(kept, abs=1e-9)
    assert [point.edges for point in curve.absolute][:3] == [0, 0, 0]
    assert (curve.signed[-1].edges, curve.absolute[-1].edges) == (110, 110)
    assert curve.signed[-1].faithfulness == pytest.approx(1.0)
    assert curve.signed != curve.absolute
    assert curve.cpr == pytest.approx(
        float(torch.trapezoid(torch.tensor([p.faithfulness for p in curve.signed]), torch.tensor(SHARES))), abs=1e-6
    )


def test_a_family_is_measured_by_the_largest_of_its_circuits_that_fits(measurable: Problem) -> None:
    graph = measurable.graph
    one = Circuit(graph, Circuit.full(graph).without(list(graph.edges())[::3]).edges)
    curve = size_curve(measurable, Family(graph, (one,)))
    assert [point.edges for point in curve.signed] == [0] * 9 + [110]
    half = Circuit(graph, frozenset(list(graph.edges())[-50:]))
    curve = size_curve(measurable, Family(graph, (one, half)))
    assert [point.edges for point in curve.absolute] == [0] * 8 + [50, 110]
    assert curve.signed == curve.absolute


def test_json_holds_the_areas_and_both_curves() -> None:
    data = json.loads(json.dumps(SizeCurve(toy(TOY), toy(TOY)).to_json(), allow_nan=False))
    assert set(data) == {"cpr", "cmd", "signed", "absolute"}
    assert data["signed"][1] == {"share": 0.002, "edges": 0, "faithfulness": 0.1}
