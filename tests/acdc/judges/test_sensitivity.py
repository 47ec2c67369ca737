"""A claim is tested under every ablation and metric, and says under which it holds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from acdc.errors import BadSetting
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.constant_tensors import kept as kept_constants
from acdc.judges.sensitivity import ConditionalClaim, sensitivity
from acdc.problem import Problem
from acdc.tasks.metrics import metric, metric_names


@pytest.fixture(scope="module")
def partial(measurable: Problem) -> Circuit:
    """The model without a twentieth of its edges."""
    edges = list(measurable.graph.edges())
    return Circuit(measurable.graph, frozenset(edges) - frozenset(edges[::20]))


def test_every_ablation_and_metric_is_measured_as_alone(measurable: Problem, partial: Circuit) -> None:
    kept = sensitivity(measurable, partial).kept
    assert list(kept) == [kind.value for kind in UNLEARNED]
    for kind in UNLEARNED:
        assert kept[kind.value].keys() == set(metric_names()) - {"log_probability_difference"}
        for name, value in kept[kind.value].items():
            if value is not None:
                alone = replace(measurable, metric=metric(name), ablation=kind)
                one = alone.normalised(alone.measure([partial])[0].mean(-1))
                assert value == pytest.approx(float(one[0]), abs=1e-9)


def test_optimal_ablation_is_measured_where_there_are_constants(measurable: Problem, partial: Circuit) -> None:
    means = replace(measurable, ablation=Ablation.MEAN).constants
    assert means is not None
    own = replace(measurable, ablation=Ablation.OPTIMAL, carried_from=kept_constants(means))
    found = sensitivity(own, partial).kept
    assert list(found) == [kind.value for kind in Ablation]
    assert found["optimal"] == pytest.approx(found["mean"])
    assert {kind: found[kind] for kind in found if kind != "optimal"} == sensitivity(measurable, partial).kept


def test_the_whole_model_keeps_everything_and_no_edge_nothing(measurable: Problem) -> None:
    for circuit, part in ((Circuit.full(measurable.graph), 1.0), (Circuit.empty(measurable.graph), 0.0)):
        found = sensitivity(measurable, circuit)
        values = [value for kept in found.kept.values() for value in kept.values() if value is not None]
        assert torch.tensor(values) == pytest.approx(part, abs=1e-9)
        assert found.ablations.verdict == found.metrics.verdict == ("holds" if part else "fails")


def test_a_claim_that_holds_under_some_only_is_conditional(measurable: Problem, partial: Circuit) -> None:
    own = measurable.metric.name
    parts = {kind: kept[own] for kind, kept in sensitivity(measurable, partial).kept.items() if kept[own] is not None}
    low, high = sorted(value for value in parts.values() if value is not None and 0 < value <= 1)[:2]
    found = sensitivity(measurable, partial, at_least=(low + high) / 2)
    assert found.ablations.verdict == "conditional"
    assert len(found.ablations.breaks) >= 1
    assert set(found.ablations.holds) | set(found.ablations.breaks) == set(parts)
    assert json.loads(json.dumps(found.to_json()))["ablations"]["verdict"] == "conditional"


def test_the_verdict_follows_from_what_could_be_measured() -> None:
    assert ConditionalClaim(("a", "b"), ()).verdict == ConditionalClaim(("a",), (), ("b",)).verdict == "holds"
    assert ConditionalClaim(("a",), ("b", "c")).verdict == ConditionalClaim(("a", "b"), ("c",)).verdict == "conditional"
    assert ConditionalClaim((), ("a",)).verdict == ConditionalClaim((), (), ("a",)).verdict == "fails"


def test_what_ablation_does_not_touch_is_not_measured(measurable: Problem) -> None:
    pairs = tuple(replace(pair, corrupt=pair.clean) for pair in measurable.pairs.pairs)
    found = sensitivity(
        replace(measurable, pairs=replace(measurable.pairs, pairs=pairs)), Circuit.full(measurable.graph)
    )
    assert set(found.kept["resample"].values()) == {None}
    assert "resample" in found.ablations.unmeasurable
    assert found.metrics.verdict == "fails"


@pytest.mark.parametrize("part", [0.0, -0.5, 1.5])
def test_a_claim_is_of_a_fraction(measurable: Problem, part: float) -> None:
    with pytest.raises(BadSetting, match="wanted a fraction above 0 and at most 1"):
        sensitivity(measurable, Circuit.full(measurable.graph), part)
