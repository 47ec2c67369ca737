"""`acdc pin` makes a claim of a case that an attack found: it fails, and passes once the circuit is repaired."""

from __future__ import annotations

import json
from pathlib import Path

from acdc.attacks.case import BOUND
from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused


def test_a_pinned_case_fails_and_passes_once_the_circuit_is_repaired(attacked: Path) -> None:
    ran = acdc("pin", attacked, "test_new.acdc.yaml")
    assert (ran.code, ran.err) == (0, "")
    claimed = f"in test_new.acdc.yaml: at most {BOUND:g} is claimed, which the attacked circuit fails"
    assert ran.out.splitlines()[0].endswith(claimed)
    assert ran.out.splitlines()[1] == "Next: acdc test test_new.acdc.yaml"
    assert 'circuit: "found/circuit.json"\n' in Path("test_new.acdc.yaml").read_text()
    failed = acdc("test", "test_new.acdc.yaml")
    assert failed.code == 1, failed
    assert "test_new.acdc.yaml::counterexamples" in failed.out
    assert "->logits  with it" in failed.out
    (attacked / "whole.json").rename(attacked / "circuit.json")
    assert acdc("test", "test_new.acdc.yaml").code == 0


def test_a_pinned_case_joins_a_file_that_otherwise_stays_as_it_is(attacked: Path) -> None:
    before = f"# mine\ntask: periodic\ncircuit: {attacked}/circuit.json  # found\nclaims:\n  size: {{at_most: 99}}\n"
    file = Path("test_mine.acdc.yaml")
    file.write_text(before)
    assert acdc("pin", attacked / "attack.json", file, "--case", "2", "--at-most", "0.5").code == 0
    once = file.read_text()
    assert once.startswith(before)
    assert once[len(before) :].splitlines()[:3] == ["  counterexamples:", "    at_most: 0.5", "    prompts:"]
    assert acdc("pin", attacked, file).code == 0
    twice = file.read_text()
    assert twice.startswith(once)
    assert len(twice.splitlines()) == len(once.splitlines()) + 1
    again = acdc("pin", attacked, file)
    assert (again.code, file.read_text()) == (0, twice)
    assert "has case 1" in again.out
    assert "nothing was changed" in again.out


def test_a_bound_that_the_case_keeps_to_is_told(attacked: Path) -> None:
    assert "which the attacked circuit keeps to" in acdc("pin", attacked, "test_new.acdc.yaml", "--at-most", "1e3").out


def test_what_does_not_fit_is_refused(attacked: Path) -> None:
    Path("test_bad.acdc.yaml").write_text("task: periodic\n")
    Path("test_ioi.acdc.yaml").write_text("task: ioi\ncircuit: [m0]\nclaims: {size: {at_most: 1}}\n")
    zero = "task: periodic\ncircuit: found/circuit.json\nsetup: {ablation: zero}\nclaims: {size: {at_most: 1}}\n"
    Path("test_zero.acdc.yaml").write_text(zero)
    Path("obstacle.json").write_text("{}")
    for arguments, words in (
        (("nowhere", "test_new.acdc.yaml"), "no attack can be read from nowhere: got No such file or directory"),
        (("obstacle.json", "test_new.acdc.yaml"), "no attack can be read from obstacle.json: got KeyError"),
        ((attacked, "new.yaml"), "got 'new.yaml', wanted test_*.acdc.yaml"),
        ((attacked, "nowhere/test_new.acdc.yaml"), "there is no directory"),
        ((attacked, "test_new.acdc.yaml", "--case", "0"), "--case is 0; wanted 1 to 16"),
        ((attacked, "test_new.acdc.yaml", "--case", "17"), "--case is 17; wanted 1 to 16"),
        ((attacked, "test_new.acdc.yaml", "--at-most", "nan"), "--at-most is nan"),
        ((attacked, "test_bad.acdc.yaml"), "test_bad.acdc.yaml:1: missing key"),
        ((attacked, "test_ioi.acdc.yaml"), "its task is ioi, the attack's is periodic"),
        ((attacked, "test_zero.acdc.yaml"), "its ablation is zero, the attack's is resample"),
    ):
        assert words in refused("pin", *arguments)


def test_a_case_is_pinned_to_the_circuit_that_was_attacked(attacked: Path) -> None:
    edges = [edge.name for edge in Circuit.load(attacked / "circuit.json").ordered()]
    text = "task: periodic\ncircuit: {}\nclaims: {{size: {{at_most: 99}}}}\n"
    Path("test_same.acdc.yaml").write_text(text.format(json.dumps(edges)))
    assert acdc("pin", attacked, "test_same.acdc.yaml").err == ""
    Path("test_other.acdc.yaml").write_text(text.format(json.dumps(edges[1:])))
    Path("test_whole.acdc.yaml").write_text(text.format("found/whole.json"))
    (attacked / "circuit.json").rename(attacked / "attacked.json")
    (attacked / "whole.json").rename(attacked / "circuit.json")
    for name, where in (("new", "found/circuit.json"), ("other", "test_other.acdc.yaml")):
        told = refused("pin", attacked, f"test_{name}.acdc.yaml")
        assert told.startswith(
            f"the circuit in {where} is not the one that was attacked: their edges differ; attack it"
        )
        ran = acdc("pin", attacked, f"test_{name}.acdc.yaml", "--anyway")
        assert (ran.code, ran.err) == (
            0,
            f"note: the circuit in {where} is not the one that was attacked: their edges differ\n",
        )
    data = json.loads((attacked / "attack.json").read_text())
    del data["circuit"]["hash"]
    (attacked / "attack.json").write_text(json.dumps(data))
    assert acdc("pin", attacked, "test_old.acdc.yaml").err.endswith("is the one that was attacked cannot be checked\n")


def test_an_attack_s_file_that_says_something_twice_or_no_number_is_refused(attacked: Path) -> None:
    file = attacked / "attack.json"
    text = file.read_text()
    for old, new, words in (
        ('"schema"', '"schema": 1, "schema"', "the key 'schema' is given twice"),
        ('"kl": ', '"kl": NaN, "not": ', "NaN is no finite number"),
        ('"kl": ', '"kl": "high", "not": ', "a KL divergence of 'high'"),
    ):
        assert old in text
        file.write_text(text.replace(old, new, 1))
        assert words in refused("pin", attacked, "test_new.acdc.yaml")
