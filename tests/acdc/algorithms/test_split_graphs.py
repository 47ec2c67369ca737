"""Where attention, the residual stream and MLPs are split, algorithms score and prune what is there, by its name."""

from __future__ import annotations

import random
from typing import Literal

import pytest
import torch

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.information_flow import InformationFlow
from acdc.discovery.selection import Rule, Selection
from acdc.graphs.circuit import Circuit
from acdc.graphs.features.splitting import FeatureParts
from acdc.graphs.features.streams import AttentionFeatures, StreamFeatures
from acdc.judges.minimality import minimality
from acdc.judges.random_circuits import DRAWS, random_circuits
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from tests.acdc.algorithms.naive_greedy import Meter, naive_greedy
from tests.acdc.algorithms.test_exact import assert_exact
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Checkpoints
from tests.graphs.execution.test_splits import dictionary as of_mlp
from tests.graphs.execution.test_streams import dictionary

CHOSEN = [1, 4]


@pytest.fixture(params=[False, True], ids=["parts write", "parts read"])
def split(checkpoints: Checkpoints, request: pytest.FixtureRequest) -> Problem:
    """A model in which a0, r0mid, m0 and r0 are split, and MLPs' parts only write or read for themselves too."""
    whole = checkpoints.model("llama")
    attended, mid, post = (
        FeatureParts.of(whole, dictionary(whole, site, 0), CHOSEN) for site in ("attn_out", "resid_mid", "resid_post")
    )
    model = whole.split(
        {0: FeatureParts.of(whole, of_mlp(whole, 0), CHOSEN)},
        {0: AttentionFeatures.of(whole, attended)},
        {(0, "resid_mid"): StreamFeatures.of(whole, mid), (0, "resid_post"): StreamFeatures.of(whole, post)},
    )
    return Problem(model.parts_reading(request.param), behaviour(whole, (5, 6)), LogitDifference())


def test_exact_effects_are_those_of_the_model_without_the_edge(split: Problem) -> None:
    assert_exact(split, ExactPatching())


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_greedy_pruning_decides_as_one_run_per_edge_does(split: Problem, share: float) -> None:
    full, none = split.measure([Circuit.full(split.graph), Circuit.empty(split.graph)])[0].mean(-1)
    threshold = share * abs(float(full - none))
    pruned = GreedyPruning(threshold).discover(split)
    assert {e.name: pruned.circuit.scores[e] for e in pruned.circuit.edges} == pytest.approx(
        naive_greedy(split, threshold), abs=1e-9
    )


def test_attribution_is_the_slope_at_every_edge_by_its_name(split: Problem) -> None:
    graph, sign = split.graph, split.metric.sign
    leaf = torch.from_numpy(Circuit.full(graph).mask()).double().requires_grad_()
    values = [split.metric(ex.run_masks(leaf[None])[0], targets) for ex, targets in Meter(split).parts]
    (slopes,) = torch.autograd.grad(torch.cat(values).mean(), leaf)
    wanted = {edge: sign * float(slopes[index]) for edge, index in graph.edge_indices.items()}
    assert max(map(abs, wanted.values())) > 1e-3
    assert dict(ended(Attribution().walk(split)).scores) == pytest.approx(wanted, rel=0, abs=1e-9)


@pytest.mark.parametrize("path", ["inputs", "activations"])
def test_integrated_gradients_score_every_edge(split: Problem, path: Literal["inputs", "activations"]) -> None:
    scores = ended(IntegratedGradients(path=path).walk(split)).scores
    assert set(scores) == set(split.graph.edges())


def test_information_flows_in_shares_of_what_is_read(split: Problem) -> None:
    scores, logits = ended(InformationFlow().walk(split)).scores, split.graph.receivers[-1]
    wanted = torch.zeros(len(split.graph.may_read(logits)), dtype=torch.float64)
    for runs in (batch.runs for batch in split.batches):
        wrote = torch.stack([runs.scored(x) for x in runs.delta + runs.ablated.outputs])[split.graph.may_read(logits)]
        stream = wrote.sum(0)  # the model has no biases
        near = (stream.abs().sum(-1) - (stream - wrote).abs().sum(-1)).clamp(min=0)
        wanted += (near / near.sum(0)).nan_to_num().sum((1, 2)) / len(split.pairs)
    found = [scores[edge] for edge in split.graph.incoming(logits)]
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), wanted)


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_selects_circuits_that_are_alive(split: Problem, rule: Rule) -> None:
    scored = ended(Attribution().walk(split))
    selection = Selection.of(scored, rule)
    assert set(selection.order) == set(split.graph.edges())
    assert selection.first(len(selection.order)) == Circuit.full(split.graph)


def test_judges_draw_edges_that_would_be_alive(split: Problem) -> None:
    draw, graph = random.Random(0), split.graph
    circuit = Circuit(graph, frozenset(draw.sample(list(graph.edges()), 60))).pruned()
    for kind in DRAWS:
        for drawn in random_circuits(circuit, 3, kind):
            assert len(drawn) == len(drawn.pruned()) == len(circuit)
    found = minimality(split, circuit, added=10_000)
    assert found.added == sum(
        edge in Circuit(graph, circuit.edges | {edge}).pruned() for edge in graph.edges() if edge not in circuit
    )
