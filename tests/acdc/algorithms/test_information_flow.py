"""A sender's share in what is read is what a hand computation from the oracle's outputs says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.algorithms.information_flow import InformationFlow
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.graphs.ablation import UNLEARNED
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference, metric
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import load_bridge, oracle_outputs
from tests.native_bridges import Native, native_model


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_shares_are_those_computed_by_hand(checkpoints: Checkpoints, architecture: Architecture) -> None:
    """On models whose attention has no output bias, where the stream is just the sum of what was written before."""
    model = checkpoints.model(architecture)
    bridge = load_bridge(checkpoints.ungrouped(architecture))
    problem = Problem(model, behaviour(model, (5, 7, 5)), LogitDifference())
    wanted: dict[str, float] = dict.fromkeys((edge.name for edge in model.graph.edges()), 0.0)
    for pair in problem.pairs.pairs:
        wrote = {name: out[0] for name, out in oracle_outputs(bridge, torch.tensor([pair.clean])).items()}
        for receiver in model.graph.receivers:
            before = [edge.sender.name for edge in model.graph.incoming(receiver)]
            first = pair.position if receiver.name == "logits" else 0
            positions = range(first, pair.position + 1)
            for position in positions:
                stream = sum(wrote[sender][position] for sender in before)
                assert isinstance(stream, torch.Tensor)
                near = [
                    max(float(stream.abs().sum() - (stream - wrote[sender][position]).abs().sum()), 0.0)
                    for sender in before
                ]
                for sender, share in zip(before, near, strict=True):
                    part = share / sum(near) / len(positions) / len(problem.pairs)
                    wanted[f"{sender}->{receiver.name}"] += part
    got = ended(InformationFlow().walk(problem))
    assert got == Circuit.full(model.graph)
    assert {edge.name: got.scores[edge] for edge in got.edges} == pytest.approx(wanted, rel=0, abs=1e-9)


@pytest.mark.parametrize("name", ["attention_only", "gelu_new", "solu_ln"])
def test_shares_into_a_receiver_add_up_to_1(name: Native) -> None:
    model = native_model(name)
    scores = ended(InformationFlow().walk(Problem(model, behaviour(model, (5, 6)), LogitDifference()))).scores
    for receiver in model.graph.receivers:
        shares = [scores[edge] for edge in model.graph.incoming(receiver)]
        assert min(shares) >= 0
        assert sum(shares) == pytest.approx(1, abs=1e-10)


def test_neither_metric_nor_corrupt_prompts_nor_batches_matter(measurable: Problem) -> None:
    whole = ended(InformationFlow().walk(measurable)).scores
    pairs = tuple(replace(pair, corrupt=pair.clean[::-1]) for pair in measurable.pairs.pairs)
    other = replace(
        measurable, pairs=replace(measurable.pairs, pairs=pairs), metric=metric("accuracy"), batching=Batching(2)
    )
    for ablation in UNLEARNED:
        got = ended(InformationFlow().walk(replace(other, ablation=ablation))).scores
        assert dict(got) == pytest.approx(dict(whole), rel=0, abs=1e-9)


def test_it_tells_of_every_batch(measurable: Problem) -> None:
    assert finished(InformationFlow().walk(measurable))[1] == [ScoringStep(1, 2), ScoringStep(2, 2)]


def test_streams_whose_norms_overflow_half_precision_have_shares(checkpoints: Checkpoints) -> None:
    """Sixteen numbers of thousands add up to more than the 65,504 that float16 can hold."""
    shares = []
    for dtype in (torch.float64, torch.float16):
        model = checkpoints.model("llama", dtype)
        with torch.no_grad():
            model.bridge.original_model.model.embed_tokens.weight.mul_(2**14)
        problem = Problem(model, behaviour(model, (5, 5)) if not shares else problem.pairs, LogitDifference())
        [batch] = problem.batches
        assert (batch.runs.clean_residual(1).double().abs().sum(-1) > 65504).any()
        circuit = ended(InformationFlow().walk(problem))
        shares.append(torch.tensor([circuit.scores[edge] for edge in circuit.ordered()]))
    assert (shares[0] - shares[1]).abs().max() < 0.01
