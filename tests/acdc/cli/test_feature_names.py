"""Names that a user gives features: from `names.json` into the record, and shown wherever the circuit is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acdc.features.split import dictionary_hash
from acdc.graphs.circuit import Circuit
from acdc.tasks.models import shipped_dictionary
from tests.acdc.cli.command_line import acdc, refused

SAE = "everyday-4l-m0-sae"
NAMES = {"245": "the [red] subject & <more>", "373": "who was named first"}


def dictionary(path: Path, names: str) -> Path:
    """The shipped dictionary with these names."""
    folder = shipped_dictionary(SAE)
    assert folder is not None
    shutil.copytree(folder, path / "sae")
    (path / "sae" / "names.json").write_text(names)
    return path / "sae"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a circuit of features two of which have names."""
    path = tmp_path_factory.mktemp("names")
    sae = dictionary(path, json.dumps(NAMES))
    words = ("--prompts", "4", "--metric", "logit_difference", "--method", "eap", "--edges", "300", "--no-report")
    ran = acdc("discover", "ioi", "--split", sae, *words, "--out", path / "found")
    assert ran.code == 0, ran.err
    return path / "found"


def test_names_are_in_the_record_and_nodes_keep_their_ids(found: Path) -> None:
    circuit = Circuit.load(found / "circuit.json")
    assert circuit.provenance["features"]["m0"]["names"] == NAMES
    assert {"m0.f245", "m0.f373"} <= {node.name for node in circuit.nodes()}
    assert Circuit.from_json(json.loads(json.dumps(circuit.to_json()))).to_json() == circuit.to_json()


def test_names_stand_in_tables_and_pictures(found: Path) -> None:
    shown = acdc("show", found, "--top", "0").out
    assert 'm0.f373 "who was named first"->' in shown
    assert 'm0.f245 "the [red] subject & <more>"->' in shown
    dot = (found / "circuit.dot").read_text()
    assert 'm0.f373 \\"who was named first\\"->' in dot
    assert "the [red]</font>" in dot


def test_names_survive_a_cut_and_graphml(found: Path) -> None:
    assert acdc("cut", found, "--edges", "200", "--out", "smaller").code == 0
    record = json.loads(Path("smaller/circuit.json").read_text())["features"]["m0"]
    assert record["names"] == NAMES
    assert record["explained"] > 0.8
    between = acdc("diff", found, "smaller", "--top", "0").out
    assert 'm0.f373 "who was named first"->' in between
    assert acdc("export", found, "circuit.graphml").code == 0
    assert Circuit.load("circuit.graphml").provenance["features"]["m0"]["names"] == NAMES


def test_features_are_shown_by_name_and_a_file_of_names_goes_first(tmp_path: Path) -> None:
    sae = dictionary(tmp_path, json.dumps(NAMES))
    words = ("features", "ioi", sae, "--prompts", "4", "--feature", "373")
    assert 'm0.f373 "who was named first"' in acdc(*words).out
    (tmp_path / "others.json").write_text('{"m0.f373": "another"}')
    given = acdc(*words, "--names", tmp_path / "others.json", "--json")
    assert [(each["unit"], each["name"]) for each in given.json["units"]] == [("m0.f373", "another")]
    assert "which --names cannot name" in refused("features", "ioi", "m0", "--names", tmp_path / "others.json")


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    sae = dictionary(tmp_path, '{"512": "no such feature"}')
    assert "a feature '512' that is not there" in refused("features", "ioi", sae, "--prompts", "4")
    assert "a feature '512' that is not there" in refused("discover", "ioi", "--split", sae, "--prompts", "4")


def test_other_names_are_the_same_dictionary(tmp_path: Path) -> None:
    sae = dictionary(tmp_path, json.dumps(NAMES))
    assert dictionary_hash(str(sae)) == dictionary_hash(SAE)
