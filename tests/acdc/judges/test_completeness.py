"""A circuit that lacks what would do its work is found out; one that lacks nothing is not."""

from __future__ import annotations

import pytest

from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.ground_truth.known import Known
from acdc.ground_truth.planted import MOTIFS, Motif, known
from acdc.judges.completeness import Completeness, Gap, completeness
from acdc.judges.findings import INCOMPLETE
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup


def judgement(subject: Known) -> Problem:
    return problems(subject.task, subject.model, Setup(prompts=16))[1]


def circuit(subject: Known, without: frozenset[Edge] = frozenset()) -> Circuit:
    """The true circuit, less some edges and what then leads nowhere."""
    truth, _ = subject.truth(Ablation.RESAMPLE)
    return Circuit(subject.model.graph, truth - without).pruned()


def kept(problem: Problem, circuit: Circuit) -> float:
    return float(problem.normalised(problem.measure([circuit])[0].mean(-1))[0])


@pytest.mark.parametrize("motif", MOTIFS)
def test_a_true_circuit_is_complete(motif: Motif) -> None:
    subject = known(motif, 1 if motif == "and" else 2)
    found = completeness(judgement(subject), circuit(subject))
    assert found.worst.size < 0.1
    assert abs(found.remaining) < 0.1


@pytest.mark.parametrize("branch", [0, 1])
def test_a_circuit_with_one_of_two_branches_is_faithful_and_not_complete(branch: int) -> None:
    subject = known("or", 0)
    truth, _ = subject.truth(Ablation.RESAMPLE)
    branches = sorted(edge for edge in truth if edge.sender.kind == "head")
    problem, half = judgement(subject), circuit(subject, frozenset({branches[branch]}))
    assert kept(problem, half) == pytest.approx(1, abs=0.1)
    found = completeness(problem, half)
    assert found.worst.size > 1 - INCOMPLETE
    assert (found.worst.circuit, found.worst.model) == pytest.approx((0, 1), abs=0.1)


def test_a_circuit_without_the_backup_is_faithful_and_not_complete() -> None:
    subject = known("backup", 0)
    truth, _ = subject.truth(Ablation.RESAMPLE)
    (calls_off,) = (edge for edge in truth if edge.sender.kind == "head" and edge.slot == "q")
    problem = judgement(subject)
    alone = circuit(subject, frozenset(edge for edge in truth if calls_off.receiver in (edge.sender, edge.receiver)))
    assert kept(problem, alone) == pytest.approx(1, abs=0.1)
    found = completeness(problem, alone)
    assert (found.worst.circuit, found.worst.model) == pytest.approx((0, 1), abs=0.1)
    assert found.remaining == pytest.approx(1, abs=0.1)


def test_a_gap_is_what_both_keep_without_the_edges_into_its_nodes() -> None:
    subject = known("chain", 2)
    problem, full = judgement(subject), Circuit.full(subject.model.graph)
    part = circuit(subject, frozenset({max(edge for edge in circuit(subject).edges if edge.slot == "q")}))
    worst = completeness(problem, part, nodes=3, widest=2, depth=2).worst
    gone = [edge for edge in part.edges if edge.receiver.name in worst.nodes]
    wanted = kept(problem, part.without(gone)), kept(problem, full.without(gone))
    assert (worst.circuit, worst.model) == pytest.approx(wanted, abs=1e-6)
    assert worst.size == abs(worst.circuit - worst.model)


def test_the_strongest_nodes_are_tried_and_all_of_them_where_there_are_few() -> None:
    subject = known("and", 0)
    problem, bare = judgement(subject), circuit(subject)
    receivers = {edge.receiver for edge in bare.edges}
    assert completeness(problem, bare, depth=1).tried == len(receivers) + 1
    scores = {edge: float(edge.receiver.kind == "mlp") for edge in bare.edges}
    scored = Circuit(bare.graph, bare.edges, scores)
    found = completeness(problem, scored, nodes=1, depth=1)
    assert found.tried == 2
    assert found.worst.nodes in [(edge.receiver.name,) for edge in bare.edges if edge.receiver.kind == "mlp"] + [
        tuple(node.name for node in bare.nodes() if node in receivers)
    ]


def test_nothing_cannot_be_taken_apart() -> None:
    subject = known("and", 0)
    problem = judgement(subject)
    with pytest.raises(BadSetting, match="got a circuit of 0 edges"):
        completeness(problem, Circuit.empty(problem.graph))
    with pytest.raises(BadSetting, match="a depth of 0"):
        completeness(problem, circuit(subject), depth=0)


def test_json_holds_every_number() -> None:
    gap = Gap(("m0", "logits"), 0.25, 0.75)
    assert Completeness(0.5, gap, 3).to_json() == {
        "remaining": 0.5,
        "worst": {"nodes": ["m0", "logits"], "circuit": 0.25, "model": 0.75, "gap": 0.5},
        "tried": 3,
    }
