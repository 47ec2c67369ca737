"""Every row of the benchmark can be measured, on tiny models; how fast anything is, is not tested."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from acdc import tasks
from acdc.algorithms.greedy import GreedyPruning
from acdc.graphs.circuit import Circuit
from acdc.robust.plan import RobustPlan
from acdc.settings import Setup
from tests.benchmarks import bench, calibration, edge_cases, floors, frontier, robustness, sweep
from tests.benchmarks.one_forward_per_edge import OneAtATime, trials
from tests.benchmarks.rows import KINDS, METRICS, QUICK, DifferentDecisions, check_same
from tests.benchmarks.subjects import PLANTED, Subject, subject

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny() -> Subject:
    """Two layers of four heads, of which three heads and one MLP are planted."""
    found = subject("planted-2l-tiny", CPU)
    assert found is not None
    return found


def test_a_quick_run_writes_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deeper" / "bench.json"
    assert bench.main(["--quick", "--models", "planted-2l-tiny", "--out", str(out)]) == 0
    written = json.loads(out.read_text("utf-8"))
    assert "written to" in capsys.readouterr().out
    for row in written:
        assert set(row) == {"row", "model", "ratio", "seconds", "reference_seconds", "peak_mb"}
        assert row["model"] == "planted-2l-tiny"
        for key in ("ratio", "seconds", "reference_seconds"):
            assert math.isfinite(row[key]), row
            assert row[key] > 0, row
    names = [row["row"] for row in written]
    assert len(set(names)) == len(names)
    starts = {
        "greedy": "greedy pruning, kl: times faster than one plain forward",
        "decisions": "greedy pruning, kl: times faster than one circuit run",
        "attribution": "edge attribution: times the cost",
        "integrated": "integrated gradients, 5 steps: times the cost",
        "circuits": "4 sparse circuits in a batch",
        "random": "4 uniform random circuits of 32 edges",
        "exact": "exact patching of all edges",
        "crossing": "crossing of clean and corrupt prompts",
        "memory": "edge attribution: times the peak memory",
        "transformer_lens": "edge attribution: times faster than TransformerLens",
    }
    assert set(starts) == set(KINDS)
    missing = {kind for kind, start in starts.items() if not any(name.startswith(start) for name in names)}
    assert missing == set()
    assert [row["peak_mb"] is not None for row in written] == [
        "peak memory" in name or name.startswith("crossing") for name in names
    ]


def test_the_rows_of_a_shipped_model_are_measured_on_its_task() -> None:
    [row, _] = bench.measure(["greedy"], ["periodic-2l"], CPU, QUICK)
    assert row.model == "periodic-2l"
    assert row.ratio == pytest.approx(row.reference_seconds / row.seconds)


@pytest.mark.parametrize("measured", METRICS)
def test_edges_kept_are_those_of_one_run_per_edge(tiny: Subject, measured: str) -> None:
    threshold = tiny.threshold(measured)
    pruned = GreedyPruning(threshold).discover(tiny.problem(measured))
    circuit, tested = OneAtATime(tiny.problem(measured), threshold).prune()
    assert circuit == pruned.circuit
    assert tested == pruned.tested
    assert 0 < len(circuit) < tiny.model.graph.n_edges / 2


def test_receivers_taken_from_a_walk_are_decided_alike(tiny: Subject) -> None:
    problem, threshold = tiny.problem("kl"), tiny.threshold("kl")
    taken = trials(GreedyPruning(threshold).walk(problem), problem, 4)
    assert len(taken) == 4
    assert taken[0].receiver.name == "logits"
    assert taken[0].before == Circuit.full(problem.graph)
    for trial in taken:
        decided, tested = OneAtATime(problem, threshold).decide(trial.before, trial.receiver)
        assert decided == trial.after
        assert tested == problem.graph.reads(trial.receiver)
    assert any(trial.after < trial.before for trial in taken)


def test_other_decisions_are_noticed(tiny: Subject) -> None:
    full = Circuit.full(tiny.model.graph)
    with pytest.raises(DifferentDecisions, match="1 edges decided differently, such as input->logits"):
        check_same(full, full.without([edge for edge in full.edges if edge.name == "input->logits"]), "here")


def test_only_planted_nodes_are_kept(tiny: Subject) -> None:
    heads, mlps = PLANTED[tiny.name].planted(0)
    names = {f"a{layer}.h{head}" for layer, head in heads} | {f"m{layer}" for layer in mlps} | {"input", "logits"}
    circuit = GreedyPruning(tiny.threshold("logit_difference")).discover(tiny.problem("logit_difference")).circuit
    assert {node.name for node in circuit.nodes()} <= names
    assert len(circuit.heads()) == 3


def test_no_hypothesis_test_rejects_true_nulls_far_too_often() -> None:
    counts = list(calibration.false_positives(40, permutations=99))
    assert len(counts) == 7
    assert all(count.cases == 40 and count.rate <= 5 * calibration.LEVEL for count in counts), counts


def test_what_is_wrong_with_a_planted_circuit_is_found() -> None:
    missed = [count.test for count in calibration.power(1, 100, motifs=("and",)) if count.rejected < count.cases]
    assert missed == []


def test_edge_cases_make_a_table() -> None:
    head, columns, rule, standard, *rows = edge_cases.table("planted_sum", Setup(prompts=8))
    assert head.startswith("**planted_sum** on planted-and:0: ")
    assert columns.count("|") == rule.count("|") == standard.count("|") == 9
    assert standard.startswith("| standard | 8 | 100% | 100% | ")
    assert len([row for row in rows if row]) == len(tasks.get("planted_sum").variations)


def test_robustness_is_measured_against_circuits_of_as_many_edges() -> None:
    found = robustness.outcome("planted_detour", Setup(prompts=8), RobustPlan(budget=30, rounds=1, counterexamples=8))
    first, last = found.unseen.first, found.unseen.last
    assert last.edges > first.edges
    assert last.worst < 0.1 < first.worst
    assert min(one.worst for one in found.controls.values()) > 0.1, "size alone does not help"
    assert "-> 0.00" in robustness.line("planted_detour", found)


def test_a_frontier_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert frontier.main(["--seeds", "2"]) == 2
    assert "--seeds has no meaning with --frontier" in capsys.readouterr().err


def test_costs_stand_beside_their_floors(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--model", "everyday-4l", "--prompts", "4", "--edges", "100", "--kept", "60", "--repeats", "1"]
    floors.main([*asked, "--threshold", "0.3"])
    printed = capsys.readouterr().out
    for row in ("plain forward", "integrated gradients, 5 steps", "a circuit of", "greedy at 0.3", "greedy beside 60"):
        assert row in printed
    assert printed.count("times faster per tested edge") >= 2


def test_what_a_grid_costs_beside_its_cells_is_measured(tmp_path: Path) -> None:
    found = sweep.overhead(2, "local", tmp_path)
    assert found.rows == 2
    assert 0 < found.cells < found.whole
    assert found.again < found.whole
