"""`acdc discover --ablation optimal`, and every command that takes the circuit it finds, with the same constants."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import acdc as library
from acdc import learned_constants
from acdc.graphs.circuit import Circuit
from acdc.graphs.constants import KEY
from tests.acdc.cli.command_line import acdc, refused
from tests.acdc.cli.on_a_circuit import COMMANDS

QUICK = ("--prompts", "4", "--method", "eap-ig", "--edges", "14")


@pytest.fixture(scope="module", autouse=True)
def learned() -> Iterator[list[int]]:
    """How often constants were learned, each time in few steps."""
    times: list[int] = []
    learn = learned_constants.learn

    def counted(*of: object) -> object:
        times.append(len(times))
        return learn(*of)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(learned_constants, "STEPS", 8)
        patched.setattr("acdc.problems.learn", counted)
        yield times


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, learned: list[int]) -> Path:
    """The folder of a circuit of the smallest shipped model."""
    folder = tmp_path_factory.mktemp("optimal") / "found"
    before = len(learned)
    ran = acdc("discover", "periodic", "--ablation", "optimal", *QUICK, "--out", folder)
    assert ran.code == 0, ran.err
    assert "learning the constants that missing edges carry" in ran.err
    assert len(learned) == before + 1
    return folder


@pytest.fixture
def copied(found: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(found, tmp_path / "copied")).relative_to(tmp_path)


def constants(folder: Path) -> Path:
    [file] = folder.glob("constants-*.safetensors")
    return file


def test_the_constants_lie_beside_the_circuit_by_their_hash(found: Path) -> None:
    record = json.loads((found / "circuit.json").read_text())
    assert record["ablation"] == "optimal"
    assert record[KEY].keys() == {"file", "hash"}
    assert record[KEY]["file"] == constants(found).name
    assert "safetensors" not in (found / "circuit.dot").read_text()


def test_evaluate_repeats_the_numbers_to_the_last_bit_and_learns_nothing(found: Path, learned: list[int]) -> None:
    before = len(learned)
    measured = acdc("evaluate", found, "--json").json
    assert measured["faithfulness"] == json.loads((found / "circuit.json").read_text())["faithfulness"]
    assert acdc("evaluate", found, "--ablation", "optimal", "--json").json == measured
    assert library.evaluate(found / "circuit.json").to_json() == measured["faithfulness"]
    assert len(learned) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_it_and_learns_nothing(found: Path, learned: list[int], command: str) -> None:
    before = len(learned)
    ran = acdc(*command.format(run=found).split())
    assert ran.code in (0, 1), ran.err
    assert not [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(learned) == before
    for written in Path().glob("*/circuit.json"):
        assert Circuit.load(written).provenance[KEY] == Circuit.load(found / "circuit.json").provenance[KEY]


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("report")])
def test_a_changed_file_is_refused_with_one_message(copied: Path, command: str) -> None:
    file = constants(copied)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert "are not those that it was found with" in refused(*command.format(run=copied).split())


def test_a_missing_file_is_refused_with_one_message(copied: Path) -> None:
    constants(copied).unlink()
    assert "put back the file that was written with the circuit" in refused("evaluate", copied)


def test_a_record_without_its_constants_is_refused(copied: Path) -> None:
    record = json.loads((copied / "circuit.json").read_text())
    del record[KEY]
    (copied / "circuit.json").write_text(json.dumps(record))
    assert "the circuit's record lacks constants.hash" in refused("evaluate", copied)


def test_a_circuit_of_another_ablation_is_measured_with_constants_learned_then(
    tmp_path: Path, learned: list[int]
) -> None:
    assert acdc("discover", "periodic", *QUICK, "--no-report", "--out", "other").code == 0
    before = len(learned)
    assert acdc("evaluate", "other", "--ablation", "optimal").code == 0
    assert len(learned) == before + 1
    asked = ("--ablation", "optimal", "--prompts", "4", "--budget", "8", "--only", "search", "--out", "attacked")
    assert acdc("attack", "other", *asked).code == 0
    assert len(learned) == before + 2
    assert constants(tmp_path / "attacked")


def test_what_breaks_it_is_pinned_and_tested_with_its_constants(copied: Path, learned: list[int]) -> None:
    before = len(learned)
    asked = ("--prompts", "4", "--budget", "8", "--only", "search", "--out", "attacked")
    assert acdc("attack", copied, *asked).code == 0
    attack = json.loads(Path("attacked/attack.json").read_text())
    assert attack[KEY] == json.loads((copied / "circuit.json").read_text())[KEY]
    assert acdc("pin", "attacked", "test_it.acdc.yaml", "--at-most", "1000").code == 0
    assert "ablation: optimal" in Path("test_it.acdc.yaml").read_text()
    ran = acdc("test", "test_it.acdc.yaml")
    assert ran.code == 0, ran.out + ran.err
    assert len(learned) == before
    constants(Path("attacked")).unlink()
    assert "cannot be read" in refused("pin", "attacked", "test_other.acdc.yaml")


def test_a_dry_run_learns_nothing(learned: list[int]) -> None:
    before = len(learned)
    asked = ("discover", "periodic", "--ablation", "optimal", *QUICK, "--dry-run")
    assert acdc(*asked).code == 0
    ran = acdc(*asked, "--sampled")
    assert ran.code == 0
    assert "the constants of optimal ablation are learned first" in ran.err
    assert len(learned) == before


def test_a_grid_has_runs_with_constants() -> None:
    settings = "settings: {ablation: optimal, prompts: 4, goal: {edges: 14}}"
    Path("grid.yaml").write_text(f"tasks: [periodic]\nmodels: [periodic-2l]\nmethods: [eap-ig]\n{settings}\n")
    ran = acdc("sweep", "grid.yaml", "--out", "swept")
    assert ran.code == 0, ran.err
    [file] = Path("swept").rglob("circuit.json")
    assert Circuit.load(file).provenance["ablation"] == "optimal"
    assert constants(file.parent)


def test_graphml_has_its_edges_and_says_what_it_lacks(found: Path) -> None:
    assert acdc("export", found, "circuit.graphml").code == 0
    assert Circuit.load("circuit.graphml").to_json() == Circuit.load(found / "circuit.json").to_json()
    assert "load the circuit from the circuit.json beside that file" in refused("evaluate", "circuit.graphml")
