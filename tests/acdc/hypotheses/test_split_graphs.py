"""A circuit of features or neurons is held to its claims on a model that is split as it was found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acdc.discovery.discover import Result, discover
from acdc.errors import BadHypothesisFile, ChangedSubject
from acdc.hypotheses.measuring import MeasuredClaim, measure
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import load
from acdc.settings import Edges, Setup
from acdc.tasks.models import shipped_dictionary
from tests.acdc.hypotheses.files import write


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shipped_dictionary("everyday-4l-m0-sae")
    assert folder is not None
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("dictionary") / "sae"))


def found(split: str, **fine: object) -> Result:
    setup = Setup("logit_difference", prompts=8, split=split, **fine)  # type: ignore[arg-type]
    return discover("ioi", method="eap", goal=Edges(300), setup=setup)


def held(result: Result, directory: Path, claims: str, model: str = "everyday-4l") -> dict[str, MeasuredClaim]:
    """What each claim of a file about this circuit comes to."""
    result.circuit.save(directory / "circuit.json")
    text = f"task: ioi\nmodel: {model}\ncircuit: circuit.json\nclaims:\n{claims}"
    hypothesis, cache = load(write(directory, text)), ModelCache()
    return {claim.kind: measure(hypothesis, claim, cache) for claim in hypothesis.claims}


CLAIMS = """\
  faithfulness: {at_least: 0.1}
  size: {at_most: 300}
  edges: {against: circuit.json, at_least: 1}
  specificity: {greater_than: {at_most: 1}}
"""


@pytest.mark.parametrize("fine", [{}, {"parts_read": True}, {"positions": "slots"}], ids=str)
def test_features_are_held_to_what_was_found(dictionary: Path, tmp_path: Path, fine: dict[str, object]) -> None:
    result = found(f"{dictionary},m2", **fine)
    values = held(result, tmp_path, CLAIMS)
    assert values["faithfulness"].value == pytest.approx(result.faithfulness.normalised.value, abs=1e-5)
    assert values["size"].value == len(result.circuit)
    assert values["edges"].value == 1
    assert values["specificity"].value < values["faithfulness"].value


def test_other_features_and_another_model_are_refused(dictionary: Path, tmp_path: Path) -> None:
    result = found(str(dictionary))
    with pytest.raises(BadHypothesisFile, match="give the circuit's own model"):
        held(result, tmp_path, "  size: {at_most: 300}\n", model="periodic-2l")
    configured = json.loads((dictionary / "cfg.json").read_text())
    (dictionary / "cfg.json").write_text(json.dumps(configured | {"said": "otherwise"}))
    with pytest.raises(ChangedSubject, match="not those whose features"):
        held(result, tmp_path, "  size: {at_most: 300}\n")
