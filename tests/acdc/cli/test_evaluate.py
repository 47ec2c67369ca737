"""`acdc evaluate` measures again, checks, and refuses circuits that do not fit."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.ground_truth.planted import known
from acdc.judges.assessment import AssessmentPlan
from acdc.judges.findings import INCOMPLETE
from tests.acdc.cli.command_line import acdc, refused
from tests.checkpoints import Checkpoints


def test_the_same_model_gives_the_same_answer(found: Path) -> None:
    recorded = Circuit.load(found / "circuit.json").provenance["faithfulness"]
    ran = acdc("evaluate", found, "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    worst = told.pop("completeness")["worst"]
    prompts = {"count": 16, "right": 16, "only_correct": False}
    assert told == {"circuit": "found/circuit.json", "faithfulness": recorded, "prompts": prompts}
    assert worst["gap"] == pytest.approx(abs(worst["circuit"] - worst["model"]))
    assert ("the circuit is incomplete" in ran.err) == (worst["gap"] > INCOMPLETE)


@pytest.mark.parametrize("branches", [1, 2])
def test_a_circuit_with_one_of_two_branches_is_called_incomplete(branches: int) -> None:
    subject = known("or", 1)
    truth, _ = subject.truth(Ablation.RESAMPLE)
    left = {min(edge for edge in truth if edge.sender.kind == "head")} if branches == 1 else set()
    Circuit(subject.model.graph, truth - left).pruned().save("circuit.json")
    ran = acdc("evaluate", "circuit.json", "--task", "planted_copy", "--model", "planted-or:1", "--prompts", "8")
    assert ran.code == 0, ran.err
    (row,) = (line for line in ran.out.splitlines() if line.startswith("completeness"))
    (gap,) = re.findall(r"widest gap (\d+\.\d)%", row)
    assert (float(gap) > 90) == (branches == 1)
    assert (float(gap) < 10) == (branches == 2)
    assert ("warning: the circuit is incomplete: without its edges into " in ran.err) == (branches == 1)


@pytest.mark.parametrize("command", ["evaluate", "show", "stability", "attack"])
def test_what_cannot_be_a_circuit_is_refused_by_every_command(found: Path, command: str) -> None:
    text = (found / "circuit.json").read_text()
    data = json.loads(text)
    assert acdc("show", found, "--render", "c.graphml").code == 0
    edge = json.dumps(data["edges"][0]["edge"])
    for content, words in (
        (json.dumps({**data, "edges": []}), "the circuit in odd.json has 0 edges, so it does nothing"),
        (
            re.sub(r'"score": -?\d[\d.e-]*', '"score": NaN', text, count=1),
            "the circuit in odd.json is damaged: NaN is no",
        ),
        (text.replace(edge, '"a0.h0->\\ud800"', 1), "the circuit in odd.json is damaged: a text in it holds half of"),
        (
            text.replace('"edges": [', '"edges": [], "edges": [', 1),
            "the circuit in odd.json is damaged: the key 'edges'",
        ),
        (Path("c.graphml").read_text(), "no circuit can be read from odd.json: it is GraphML"),
    ):
        Path("odd.json").write_text(content)
        assert refused(command, "odd.json").startswith(words)


def test_what_is_measured_now_stands_beside_what_was_found(found: Path) -> None:
    ran = acdc("evaluate", found / "circuit.json", "--metric", "kl", "--seed", "7", "--prompts", "8")
    assert ran.code == 0, ran.err
    rows = {line.split("  ")[0].strip(): line for line in ran.out.splitlines()}
    assert rows["faithfulness"].rstrip().endswith("by KL")
    assert rows["when found"].rstrip().endswith("by logit difference")
    assert rows["prompts"].split()[1:] == ["8", "at", "most,", "drawn", "with", "seed", "7"]
    assert rows["method"].split()[1:] == ["resample", "ablation,", "float32"]
    assert "KL from the full model" in rows


def test_task_and_model_can_be_others(found: Path) -> None:
    assert acdc("init", "mine.yaml").code == 0
    text = Path("mine.yaml").read_text()
    listed = [
        f'  - {{clean: "{a} {b} {a} {b} {a}", corrupt: "P Q P Q P", answer: " {b}", distractor: " Q"}}'
        for a, b in ("AB", "CD", "EF", "GH")
    ]
    Path("mine.yaml").write_text(text[: text.index("  - {")] + "\n".join(listed))
    ran = acdc("evaluate", found, "--task", "mine.yaml", "--model", "periodic-2l")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("mine on periodic-2l\nMakes the verb agree")


@pytest.mark.parametrize(("at_least", "code", "verdict"), [("0.01", 0, True), ("1", 1, False)])
def test_a_check_that_fails_is_exit_1(found: Path, at_least: str, code: int, verdict: bool) -> None:
    data = json.loads((found / "circuit.json").read_text())
    data["edges"] = data["edges"][: len(data["edges"]) - (not verdict)]  # without its last edge into the logits
    Path("circuit.json").write_text(json.dumps(data))
    ran = acdc("evaluate", "circuit.json", "--at-least", at_least, "--json")
    assert (ran.code, ran.json["passed"], ran.json["at_least"]) == (code, verdict, float(at_least))
    assert ("of --at-least" in ran.err) == (not verdict)


@pytest.mark.parametrize("fraction", ["90", "0", "-1", "nan"])
def test_a_check_is_of_a_fraction(found: Path, fraction: str) -> None:
    assert "wanted a fraction above 0 and at most 1" in refused("evaluate", found, "--at-least", fraction)


def test_a_circuit_that_does_not_say_its_origin_needs_task_and_model(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    Circuit(circuit.graph, circuit.edges).save("bare.json")
    assert "--task and --model" in refused("evaluate", "bare.json")
    ran = acdc("evaluate", "bare.json", "--task", "periodic", "--model", "periodic-2l", "--prompts", "8")
    assert ran.code == 0
    assert ran.out.startswith("periodic on periodic-2l\n")
    assert ran.err.startswith("warning: the file does not say how its circuit was found")


def test_a_circuit_of_another_model_is_refused(found: Path, checkpoints: Checkpoints) -> None:
    told = refused("evaluate", found, "--model", checkpoints.path("gpt2"))
    assert told.startswith("the circuit is of a model with 2 layers, 4 heads per layer and MLPs and width 64, but ")
    assert told.endswith("give the circuit's own model (--model)")


def test_a_missing_truncated_or_foreign_file_is_refused(found: Path) -> None:
    whole = (found / "circuit.json").read_text()
    Path("truncated.json").write_text(whole[: len(whole) // 2])
    Path("obstacle.json").write_text('{"nodes": []}')
    for name, words in {
        "nowhere.json": "no circuit can be read from nowhere.json: No such file or directory",
        "truncated.json": "truncated.json is not JSON (",
        "obstacle.json": "obstacle.json is no circuit file: got 'no schema', wanted schema 'acdc.circuit/1'",
    }.items():
        for command in ("evaluate", "show"):
            assert refused(command, name).startswith(words)


def test_a_record_of_the_wrong_kind_is_refused(found: Path) -> None:
    data = json.loads((found / "circuit.json").read_text())
    data["faithfulness"]["normalised"]["value"] = "high"
    Path("odd.json").write_text(json.dumps(data))
    for command in ("evaluate", "show"):
        assert refused(command, "odd.json").startswith("what odd.json says under 'faithfulness.normalised.value' ")


def test_full_asks_everything_and_ends_in_a_verdict(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acdc.judges.assessment.AssessmentPlan", partial(AssessmentPlan, draws=40))
    ran = acdc("evaluate", found, "--full")
    assert ran.code == 0, ran.err
    assert "sufficiency, uniform random circuits" in ran.err
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    verdicts = re.findall(r"^([a-z]+) +(holds|conditional|fails|not measured)  ", ran.out, re.MULTILINE)
    assert verdicts[0] == ("faithfulness", "holds")
    assert dict(verdicts)["stability"] == "not measured"
    assert ran.out.splitlines()[-3].startswith("verdict: ")
    assert ran.out.splitlines()[-1] == "Written to found: evaluation.json, report.html"
    kept = (found / "evaluation.json").read_bytes()
    assert [one["question"] for one in json.loads(kept)["sections"]] == [question for question, _ in verdicts]
    assert "sufficiency" in (found / "report.html").read_text("utf-8")
    strict = acdc("evaluate", found, "--full", "--at-least", "1", "--json")
    assert "found/evaluation.json holds what was measured otherwise and stays as it is" in strict.err
    assert (found / "evaluation.json").read_bytes() == kept
    assert [one["question"] for one in strict.json["sections"]] == [question for question, _ in verdicts]
    assert strict.json["verdict"] == "fails"
    ablations = next(one for one in strict.json["sections"] if one["question"] == "ablations")
    assert "resample" in ablations["breaks"]
    assert strict.code == 1
