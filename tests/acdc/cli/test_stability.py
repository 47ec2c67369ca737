"""`acdc stability` writes frequencies where the circuit is, and leaves it whole when interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.discovery import rediscover as rediscovery
from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import acdc, refused

FEW = ("--resamples", "2", "--seeds", "1")


def test_the_circuit_stays_and_carries_how_often_its_edges_were_found(found: Path) -> None:
    before = Circuit.load(found / "circuit.json")
    ran = acdc("stability", found, *FEW)
    assert ran.code == 0, ran.err
    after = Circuit.load(found / "circuit.json")
    assert (after, after.scores) == (before, before.scores)
    assert set(after.frequencies) == set(after.edges)
    assert {**after.provenance, "stability": 0} == {**before.provenance, "stability": 0}
    assert ran.err.splitlines()[1].startswith("1 of 3: resample 1 of 2 · ")
    assert "found 2 times again, " in ran.out
    assert "found again\n" in ran.out
    assert not (found / "stability-checkpoint.json").exists()
    shown = acdc("show", found)
    assert "on resamples  found 2 times again" in shown.out
    assert "found again\n" in shown.out


def test_out_leaves_the_circuit_s_own_directory_alone(found: Path) -> None:
    whole = (found / "circuit.json").read_bytes()
    ran = acdc("stability", found / "circuit.json", "--resamples", "1", "--seeds", "0", "--out", "other", "--json")
    assert ran.code == 0, ran.err
    assert (found / "circuit.json").read_bytes() == whole
    assert ran.json["seeds"] is None
    assert Circuit.load("other/circuit.json").frequencies == {
        edge: ran.json["frequencies"][edge.name] for edge in Circuit.load(found / "circuit.json").edges
    }


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (found / "circuit.json").read_bytes()
    one, runs = rediscovery._discovered, []

    def interrupted(*given: object, exactly: bool) -> Circuit:
        runs.append(given)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return one(*given, exactly=exactly)  # type: ignore[arg-type]

    monkeypatch.setattr(rediscovery, "_discovered", interrupted)
    ran = acdc("stability", found, *FEW)
    assert ran.code == 130
    assert "go on with: acdc " in ran.err
    assert (found / "circuit.json").read_bytes() == whole
    resumed = acdc("stability", found, *FEW, "--resume")
    assert resumed.code == 0, resumed.err
    assert len(runs) == 4
    assert resumed.err.splitlines()[1].startswith("2 of 3: ")


def test_what_cannot_be_discovered_again_is_refused(found: Path) -> None:
    assert "no circuit can be read" in refused("stability", "nowhere")
    assert "at least one of them" in refused("stability", found, "--resamples", "0", "--seeds", "0")
    assert "nothing to resume" in refused("stability", found, "--resume")
    Circuit.load(found / "circuit.json").save("mine.json")
    assert "not called circuit.json" in refused("stability", "mine.json")
    circuit = Circuit.load(found / "circuit.json")
    Path("bare").mkdir()
    Circuit(circuit.graph, circuit.edges).save("bare/circuit.json")
    assert "record lacks" in refused("stability", "bare")
