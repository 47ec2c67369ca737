"""`acdc attack` finds where a circuit fails, says so in words and in a file, and finds the same again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from graphs.circuit import Circuit
from tests.acdc.cli.command_line import Ran, acdc, refused

SMALL = ("--prompts", "6", "--cross", "6", "--budget", "40", "--diagnose", "1")
FAST = (*SMALL, "--only", "variations,crossing,search,diagnosis,necessity")


@pytest.fixture
def broken(found: Path) -> Path:
    """A circuit without its strongest edge into the logits, which is wrong on its own prompts already."""
    whole = Circuit.load(found / "circuit.json")
    into = [edge for edge in whole.ordered() if edge.receiver.name == "logits"]
    strongest = max(into, key=lambda edge: abs(whole.scores[edge]))
    Circuit(whole.graph, whole.edges - {strongest}, {}, whole.provenance).save(found / "circuit.json")
    return found


def attacked(*arguments: str | Path) -> tuple[Ran, dict[str, Any]]:
    """An attack that is done, and what it wrote into the directory `out`."""
    ran = acdc("attack", *arguments, "--out", "out")
    assert ran.code == 0, ran.err
    return ran, json.loads(Path("out/attack.json").read_text())


def test_a_broken_circuit_is_told_in_words_in_a_file_and_in_a_picture(broken: Path) -> None:
    ran, data = attacked(broken, *FAST)
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[0] == "periodic on periodic-2l"
    worst = data["worst"][0]
    assert lines[2].startswith("The circuit can be broken: ")
    assert worst["pair"]["clean"] in ran.out
    for variation in data["variations"]:
        assert any(line.startswith(f"{variation['name']}  ") for line in lines), variation["name"]
    assert {"attack.json", "repair.svg"} <= {path.name for path in Path("out").iterdir()}
    (repair,) = data["diagnosis"]
    assert repair["repaired"]
    assert "only in its repair" in Path("out/repair.svg").read_text()
    assert data["circuit"]["file"] == "../found/circuit.json"
    assert (data["plan"]["seed"], data["plan"]["budget"]) == (0, 40)
    assert "specificity" not in data
    assert "Next: acdc pin out/attack.json test_periodic.acdc.yaml" in ran.out


def test_the_same_seed_and_budget_find_the_same_and_json_is_the_file(broken: Path) -> None:
    _, first = attacked(broken, *FAST)
    ran, second = attacked(broken, *FAST, "--json")
    assert ran.json == second
    timings = [data.pop("timings") for data in (first, second)]
    assert set(timings[0]) == set(timings[1]) == {"seconds", "prompts_per_second"}
    assert first == second


def test_a_case_that_was_found_can_be_pinned(broken: Path) -> None:
    attacked(broken, *SMALL, "--only", "variations")
    assert acdc("pin", "out", "test_pinned.acdc.yaml").code == 0
    ran = acdc("test", "test_pinned.acdc.yaml", "--json")
    (row,) = ran.json["claims"]
    worst = json.loads(Path("out/attack.json").read_text())["worst"][0]
    assert ran.code == 1
    assert row["value"] == pytest.approx(worst["kl"], rel=1e-4)


def test_a_worst_case_above_the_bound_is_exit_1(broken: Path) -> None:
    arguments = ("attack", broken, *SMALL, "--only", "variations", "--fail-above")
    ran = acdc(*arguments, "0.001")
    assert ran.code == 1
    assert re.search(r"the worst KL found is \S+ nats, more than the 0\.001 of --fail-above", ran.err)
    assert acdc(*arguments, "1000").code == 0


def test_the_whole_model_is_broken_by_nothing(found: Path) -> None:
    whole = Circuit.load(found / "circuit.json")
    Circuit(whole.graph, Circuit.full(whole.graph).edges, {}, whole.provenance).save("full.json")
    ran, data = attacked("full.json", *FAST)
    assert "Nothing broke the circuit" in ran.out
    assert data["skipped"] == {"diagnosis": "there is nothing to repair"}
    assert not Path("out/repair.svg").exists()


def test_under_mean_ablation_nothing_is_crossed_and_it_says_so(found: Path) -> None:
    ran, data = attacked(found, *SMALL, "--ablation", "mean", "--only", "crossing")
    assert "crossing" not in data
    assert "resample ablation only" in data["skipped"]["crossing"]
    assert "skipped: what missing edges carry" in " ".join(ran.out.split())


def test_only_what_was_asked_for_is_run_and_specificity_tells_what_says_nothing(
    found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.names", lambda: ("periodic", "induction", "ioi"))
    ran, data = attacked(found, "--only", "specificity")
    assert data["plan"]["parts"] == ["specificity"]
    assert not {"variations", "crossing", "search", "diagnosis", "necessity"} & {*data}
    induction, ioi = data["specificity"]
    assert (induction["task"], induction["verdict"], ioi["verdict"]) == ("induction", "measured", "not expressible")
    assert f"induction {induction['kept']['value']:.0%}" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--only", "variation"), "no part called 'variation'; wanted some of variations, crossing"),
        (("--budget", "0"), "the budget of the search is 0; wanted at least 1"),
        (("--seed", "-1"), "the seed is -1"),
        (("--cross", "1"), "the number of prompts to cross is 1"),
        (("--fail-above", "nan"), "--fail-above is nan"),
        (("--out", "found/circuit.json"), "cannot be written"),
        (("--model", "nobody"), "no model called 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_loaded(
    found: Path, options: tuple[str, str], words: str
) -> None:
    assert words in refused("attack", found, *options)
