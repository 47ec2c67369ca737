"""`acdc attack` finds where a circuit fails, says so in words and in a file, and finds the same again."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from acdc.errors import NotFinite
from acdc.graphs.circuit import Circuit
from acdc.hypotheses.reading import load
from tests.acdc.cli.command_line import Ran, acdc, refused

SMALL = ("--prompts", "6", "--cross", "6", "--budget", "30", "--diagnose", "1")
FAST = (*SMALL, "--only", "variations,crossing,search,diagnosis,necessity")


@pytest.fixture(scope="module")
def _attacked(_found: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A directory with a circuit that lacks its strongest edge into the logits, and an attack on it."""
    directory = tmp_path_factory.mktemp("attacked")
    (directory / "found").mkdir()
    whole = Circuit.load(_found / "circuit.json")
    into = [edge for edge in whole.ordered() if edge.receiver.name == "logits"]
    strongest = max(into, key=lambda edge: abs(whole.scores[edge]))
    Circuit(whole.graph, whole.edges - {strongest}, {}, whole.provenance).save(directory / "found" / "circuit.json")
    before = Path.cwd()
    os.chdir(directory)
    try:
        return directory, acdc("attack", "found", *FAST, "--out", "out")
    finally:
        os.chdir(before)


@pytest.fixture
def attacked(_attacked: tuple[Path, Ran], tmp_path: Path) -> Ran:
    """What an attack on the circuit in `found` said, and in the directory `out` what it wrote."""
    directory, ran = _attacked
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    assert ran.code == 0, ran.err
    return ran


def written(directory: str = "out") -> dict[str, Any]:
    """What an attack wrote there."""
    data: dict[str, Any] = json.loads(Path(directory, "attack.json").read_text())
    return data


def test_a_broken_circuit_is_told_in_words_in_a_file_and_in_a_picture(attacked: Ran) -> None:
    assert max(len(line) for line in attacked.out.splitlines()) <= 80
    lines, data = [line.strip() for line in attacked.out.splitlines()], written()
    assert lines[0] == "periodic on periodic-2l"
    assert lines[2].startswith("The circuit can be broken: ")
    assert data["worst"][0]["pair"]["clean"] in attacked.out
    for variation in data["variations"]:
        assert any(line.startswith(f"{variation['name']}  ") for line in lines), variation["name"]
    (repair,) = data["diagnosis"]
    assert repair["repaired"]
    assert repair["together"][0]["edge"] in attacked.out
    assert {path.name for path in Path("out").iterdir()} == {"attack.json", "repair.svg", "repair.png"}
    count = len(repair["together"])
    assert f"{count} edge{'s' * (count > 1)} only in its repair" in Path("out/repair.svg").read_text()
    assert data["circuit"]["file"] == "../found/circuit.json"
    assert (data["plan"]["seed"], data["plan"]["budget"]) == (0, 30)
    assert "specificity" not in data
    assert "Next: acdc pin out/attack.json test_periodic.acdc.yaml" in attacked.out


def test_the_same_seed_and_budget_find_the_same_and_json_is_the_file(attacked: Ran) -> None:
    ran = acdc("attack", "found", *FAST, "--out", "again", "--json")
    first, second = written(), written("again")
    assert ran.json == second
    timings = [data.pop("timings") for data in (first, second)]
    assert set(timings[0]) == set(timings[1]) == {"seconds", "prompts_per_second"}
    assert first == second


def test_a_case_that_was_found_can_be_pinned(attacked: Ran) -> None:
    assert acdc("pin", "out", "test_pinned.acdc.yaml").code == 0
    ran = acdc("test", "test_pinned.acdc.yaml", "--json")
    (row,) = ran.json["claims"]
    assert (ran.code, row["claim"]) == (1, "counterexamples")
    assert row["value"] == pytest.approx(written()["worst"][0]["kl"], rel=1e-4)


def test_a_new_file_also_claims_the_roles_that_the_circuit_has(attacked: Ran) -> None:
    path = Path("found/circuit.json")
    before = path.read_text()
    roles = {"a0.h2": {"role": "fixed offset (2 back)"}, "a1.h0": {"role": "unlabelled"}}
    path.write_text(json.dumps({**json.loads(before), "roles": roles}))
    try:
        assert acdc("pin", "out", "test_roles.acdc.yaml").code == 0
    finally:
        path.write_text(before)
    claims = [claim.name for claim in load(Path("test_roles.acdc.yaml")).claims]
    assert sorted(claims) == ["counterexamples", "roles[a0.h2]"]


def test_a_worst_case_above_the_bound_is_exit_1(attacked: Ran) -> None:
    for bound, code in (("0.001", 1), ("1000", 0)):
        ran = acdc("attack", "found", "--cross", "4", "--only", "crossing", "--fail-above", bound)
        told = re.search(r"the worst KL found is \S+ nats, more than the 0\.001 of --fail-above", ran.err)
        assert (ran.code, bool(told)) == (code, bool(code))


def test_the_whole_model_is_broken_by_nothing(found: Path) -> None:
    whole = Circuit.load(found / "circuit.json")
    Circuit(whole.graph, Circuit.full(whole.graph).edges, {}, whole.provenance).save("full.json")
    ran = acdc("attack", "full.json", *SMALL, "--only", "crossing,search,diagnosis", "--out", "out")
    assert ran.code == 0, ran.err
    assert "Nothing broke the circuit" in ran.out
    assert written()["skipped"] == {"diagnosis": "there is nothing to repair"}
    assert not Path("out/repair.svg").exists()


def test_under_mean_ablation_nothing_is_crossed_and_it_says_so(found: Path) -> None:
    ran = acdc("attack", found, "--ablation", "mean", "--only", "crossing")
    assert ran.code == 0, ran.err
    assert "resample ablation only" in written("found")["skipped"]["crossing"]
    assert "skipped: what missing edges carry" in " ".join(ran.out.split())


def test_only_what_was_asked_for_is_run_and_specificity_tells_what_says_nothing(
    found: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acdc.tasks.names", lambda: ("periodic", "induction", "ioi"))
    ran = acdc("attack", found, "--only", "specificity")
    data = written("found")
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


def test_an_attack_that_is_interrupted_says_how_to_go_on_and_does(
    attacked: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--out", "other", "--only", "crossing,search", "--cross", "6", "--budget", "30")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = written()
    with monkeypatch.context() as patched:
        patched.setattr("acdc.attacks.search_shards.search", interrupt)
        patched.setattr("sys.argv", ["acdc", "attack", "found", *options])
        ran = acdc("attack", "found", *options)
    assert ran.code == 130
    assert "interrupted; go on with: acdc attack found --out other" in ran.err
    assert [path.name for path in Path("other").iterdir()] == ["attack-checkpoint.json"]
    monkeypatch.setattr("acdc.attacks.attack.crossing", interrupt)
    ran = acdc("attack", "found", *options, "--resume")
    assert ran.code == 0, ran.err
    for part in ("crossing", "search"):
        assert written("other")[part] == before[part]
    assert [path.name for path in Path("other").iterdir()] == ["attack.json"]


def test_a_part_that_fails_is_told_and_the_exit_code_says_so(attacked: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--out", "again", "--cross", "4", "--only", "crossing,necessity", "--fail-above", "0.001")

    def fail(*_: object, **__: object) -> None:
        raise NotFinite("the kl is nan")

    Path("again").mkdir()
    Path("again/rounds.json").write_text("another run's")
    with monkeypatch.context() as patched:
        patched.setattr("acdc.attacks.attack.necessity", fail)
        ran = acdc("attack", "found", *options)
    assert ran.code == 2
    assert "more than the 0.001 of --fail-above" in ran.err
    assert "necessity failed and is left out of the result; try it again with --resume" in ran.err
    assert "error: the kl is nan" in ran.err
    assert "necessity failed: the kl is nan" in " ".join(ran.out.split())
    assert (written("again")["failed"], "necessity" in written("again")) == ({"necessity": "the kl is nan"}, False)
    with monkeypatch.context() as patched:
        patched.setattr("acdc.attacks.attack.crossing", fail)
        ran = acdc("attack", "found", *options, "--resume")
        assert (ran.code, written("again")["failed"]) == (1, {})
        assert acdc("attack", "found", "--out", "new", "--only", "crossing", "--cross", "4").code == 2
    assert not Path("new").exists()
    assert {path.name for path in Path("again").iterdir()} == {"attack.json", "rounds.json"}
