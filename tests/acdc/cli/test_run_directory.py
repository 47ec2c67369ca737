"""No run writes over, beside or together with another: it goes to a directory of its own, or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from acdc.cli.run_directory import LOCK, free_directory, interrupted, of_attack, of_bench, of_discovery, of_stability
from acdc.errors import UnwritableOutput
from acdc.graphs.circuit import Circuit
from tests.acdc.cli.command_line import QUICK, acdc, nothing_written, refused

REQUEST = {"model": {"name": "m", "weights": "sha256:1"}, "algorithm": {"goal": {"kind": "Edges", "count": 3}}}
OTHER = {**REQUEST, "model": {"name": "m", "weights": "sha256:2"}}
RESULT = {**REQUEST, "algorithm": {**REQUEST["algorithm"], "threshold": 0.1}, "created": "today", "edges": []}


def put(directory: str, **files: object) -> Path:
    """A directory with these files of JSON."""
    made = Path(directory)
    made.mkdir(parents=True)
    for name, data in files.items():
        (made / f"{name}.json").write_text(json.dumps(data))
    return made


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that take no time."""
    for name in ("render", "render_difference"):
        monkeypatch.setattr(
            f"acdc.graphs.drawing.render.{name}", lambda *given, **_: [g.touch() for g in given if isinstance(g, Path)]
        )


def nothing(directory: Path) -> str:
    return ""


def test_a_free_directory_is_the_one_and_leaves_no_trace_unless_used() -> None:
    with nothing_written(), free_directory(Path("runs/a"), nothing, named=False) as destination:
        assert destination.directory == Path("runs/a")
        assert Path("runs/a", LOCK).exists()
    with free_directory(Path("runs/a"), nothing, named=True) as destination:
        (destination.directory / "result").touch()
    assert [path.name for path in Path("runs/a").iterdir()] == ["result"]


def test_a_directory_of_another_run_is_passed_over_or_refused_where_it_was_named() -> None:
    taken = {Path("a"): "mine", Path("a-2"): "mine too"}

    def obstacle(directory: Path) -> str:
        return taken.get(directory, "")

    with free_directory(Path("a"), obstacle, named=False) as destination:
        assert destination.directory == Path("a-3")
    with free_directory(Path("a"), obstacle, named=False, further=Path("a/b")) as destination:
        assert destination.directory == Path("a/b-2")
    with pytest.raises(UnwritableOutput, match=r"^a holds mine; give another directory with --out, or move away"):
        free_directory(Path("a"), obstacle, named=True).__enter__()


def test_two_runs_at_once_are_kept_apart() -> None:
    with (
        free_directory(Path("a"), nothing, named=False) as first,
        free_directory(Path("a"), nothing, named=False) as second,
    ):
        assert (first.directory, second.directory) == (Path("a"), Path("a-2"))
        with pytest.raises(UnwritableOutput, match=r"^a holds another run that is still going on"):
            free_directory(Path("a"), nothing, named=True).__enter__()
    assert not Path("a").exists()


def test_what_ends_in_an_error_lets_go() -> None:
    with pytest.raises(KeyboardInterrupt), free_directory(Path("a"), nothing, named=False):
        raise KeyboardInterrupt
    with nothing_written(), free_directory(Path("a"), nothing, named=True):
        pass


@pytest.mark.parametrize(
    ("files", "plan", "resume", "there"),
    [
        ({}, None, False, ""),
        ({"circuit": RESULT}, None, False, ""),
        ({"circuit": RESULT, "attack": {}}, None, False, ""),
        ({"circuit": {**RESULT, **OTHER}}, None, False, "the result of another run"),
        ({"circuit": {**RESULT, "stability": {}}}, None, False, "the result of another run"),
        ({"circuit": {**RESULT, "robust": {}}}, None, False, "the result of another run"),
        ({"circuit": RESULT}, {"budget": 1}, False, "the result of another run"),
        ({"circuit": []}, None, False, "the result of another run"),
        ({"attack": {}}, None, False, "an attack on another circuit"),
        ({"checkpoint": {"request": REQUEST}}, None, False, ""),
        ({"checkpoint": {"request": OTHER}}, None, False, "what an interrupted run of other settings"),
        ({"checkpoint": {"request": OTHER}}, None, True, ""),  # which is told what differs
        ({"checkpoint": {"request": REQUEST}, "rounds": {}}, None, False, "what an interrupted run of other"),
        ({"rounds": {"request": {"plan": {"budget": 1}}}}, {"budget": 1}, False, ""),
        ({"rounds": {"request": {"plan": {"budget": 2}}}}, {"budget": 1}, False, "what an interrupted run of other"),
    ],
)
def test_what_keeps_a_discovery_out(
    files: dict[str, Any], plan: dict[str, Any] | None, resume: bool, there: str
) -> None:
    found = of_discovery(REQUEST, plan, resume=resume)(put("here", **files))
    assert found.startswith(there)
    assert bool(found) == bool(there)


def test_what_keeps_an_attack_and_a_table_out() -> None:
    directory = put("here", attack={"plan": {"seed": 1}, "worst": []}, bench={"cells": [{"settings": {"prompts": 4}}]})
    assert of_attack({"plan": {"seed": 1}}, {"plan": 1}, "kept.json")(directory) == ""
    assert of_attack({"plan": {"seed": 2}}, {"plan": 1}, "kept.json")(directory) == "another attack (attack.json)"
    (directory / "kept.json").write_text('{"request": {"plan": 2, "model": 3}}')
    assert of_attack({"plan": {"seed": 1}}, {"plan": 2}, "kept.json")(directory) == ""
    assert of_attack({"plan": {"seed": 1}}, None, "kept.json")(directory) == ""
    words = "what an interrupted attack of other settings can go on from (kept.json)"
    assert of_attack({"plan": {"seed": 1}}, {"plan": 1}, "kept.json")(directory) == words
    assert interrupted(directory, {"plan": 2}, "kept.json") == directory
    (further := directory.with_name("attack-2")).mkdir()
    (directory / "kept.json").rename(further / "kept.json")
    assert interrupted(directory, {"plan": 2}, "kept.json", further=directory.with_name("attack")) == further
    assert interrupted(directory, {"plan": 4}, "kept.json", further=directory.with_name("attack")) == directory
    assert of_bench([{"prompts": 4}, {"prompts": 5}], ["a.json", "b.json"])(directory) == ""
    assert of_bench([{"prompts": 5}], ["b.json"])(directory) == "the table of other cells (bench.json)"
    assert of_bench([{"prompts": 5}], ["b.json"], "frontier.json")(directory) == ""
    put("here/cells", b={"settings": {"prompts": 6}}, damaged=[])
    assert of_bench([{"prompts": 4}], ["damaged.json"])(directory) == ""
    assert of_bench([{"prompts": 4}, {"prompts": 5}], ["a.json", "b.json"])(directory).startswith("a result of other")


def test_what_keeps_a_stability_out(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    data, asked = circuit.to_json(), {"circuit": "this", "resamples": 2, "seeds": 0}

    def there(resume: bool = False) -> str:
        return of_stability(data, asked, "stability-checkpoint.json", resume=resume)(found)

    assert there() == ""
    noted = {**data, "stability": {"resamples": {"runs": 2}, "seeds": None}}
    (found / "circuit.json").write_text(json.dumps(noted))
    assert there() == ""
    noted["stability"] = {"resamples": {"runs": 20}, "seeds": {"runs": 5}}
    (found / "circuit.json").write_text(json.dumps(noted))
    assert there() == "the stability of this circuit by another number of discoveries (circuit.json)"
    circuit.without(circuit.ordered()[:1]).save(found / "circuit.json")
    assert there() == "another circuit (circuit.json)"
    (found / "circuit.json").unlink()
    (found / "stability-checkpoint.json").write_text(json.dumps({"request": {**asked, "resamples": 3}}))
    assert there().startswith("what an interrupted run of other settings can go on from")
    assert there(resume=True) == ""


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.usefixtures("undrawn")
def test_another_discovery_goes_to_the_next_directory_and_the_same_one_to_its_own() -> None:
    directory = Path("runs/periodic-periodic-2l")
    first = acdc("discover", "periodic", *QUICK)
    assert first.code == 0, first.err
    (directory / "attack.json").write_text("{}")
    (directory / "notes.txt").touch()
    before = contents(directory)
    other = acdc("discover", "periodic", *QUICK, "--seed", "1", "--quiet")
    assert other.out.splitlines()[-1] == "runs/periodic-periodic-2l-2/circuit.json"
    assert contents(directory) == before
    same = acdc("discover", "periodic", *QUICK, "--seed", "1", "--quiet")
    assert same.out == other.out
    assert not Path("runs/periodic-periodic-2l-3").exists()
    told = refused("discover", "periodic", *QUICK, "--seed", "2", "--out", directory)
    assert told == (
        f"{directory} holds the result of another run (circuit.json); give another directory with --out, or move away "
        "what is there"
    )


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_discovery_is_gone_on_with_where_it_is_and_kept_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from acdc.discovery.checkpoint import Checkpoint

    save: Callable[..., None] = Checkpoint.save

    def interrupted(self: Checkpoint, state: Any) -> None:
        save(self, state)
        raise KeyboardInterrupt

    seeds = [("--seed", str(seed)) for seed in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", interrupted)
        for seed in seeds[:2]:
            assert acdc("discover", "periodic", *QUICK, *seed).code == 130
    kept = [Path(f"runs/periodic-periodic-2l{number}/checkpoint.json") for number in ("", "-2")]
    before = [file.read_bytes() for file in kept]
    third = acdc("discover", "periodic", *QUICK, *seeds[2], "--quiet")
    assert third.out.splitlines()[-1] == "runs/periodic-periodic-2l-3/circuit.json"
    assert [file.read_bytes() for file in kept] == before
    second = acdc("discover", "periodic", *QUICK, *seeds[1], "--quiet", "--resume")
    assert second.out.splitlines()[-1] == "runs/periodic-periodic-2l-2/circuit.json"
    assert not kept[1].exists()
    assert "is of another discovery" in refused("discover", "periodic", *QUICK, *seeds[2], "--resume")


def test_a_run_that_is_still_going_on_is_not_written_over(found: Path) -> None:
    with FileLock(found / LOCK):
        told = refused("discover", "periodic", *QUICK, "--out", found)
    assert told.startswith("found holds another run that is still going on")


@pytest.mark.usefixtures("undrawn")
def test_a_second_attack_and_a_second_stability_leave_the_first(found: Path) -> None:
    few = ("--only", "necessity")
    assert acdc("attack", found, *few).code == 0
    before = contents(found)
    assert acdc("attack", found, *few).code == 0
    other = acdc("attack", found, *few, "--seed", "1")
    assert "Written to found/attack-2: attack.json" in other.out
    assert contents(found / "attack-2").keys() == {"attack.json"}
    assert {name: text for name, text in before.items() if name not in ("attack.json", "report.html")}.items() <= {
        path.name: path.read_bytes() for path in found.iterdir() if path.is_file()
    }.items()
    assert "found holds another attack" in refused("attack", found, *few, "--seed", "2", "--out", found)
    assert acdc("stability", found, "--resamples", "1", "--seeds", "0").code == 0
    noted = (found / "circuit.json").read_bytes()
    again = acdc("stability", found, "--resamples", "0", "--seeds", "1")
    assert "Written to found-2: circuit.json" in again.out
    assert (found / "circuit.json").read_bytes() == noted
    assert "by another number of discoveries" in refused("stability", found, "--resamples", "2", "--out", found)
