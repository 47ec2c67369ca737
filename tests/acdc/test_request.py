"""A circuit's record says all that is needed to run its discovery again, as JSON."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import datetime, timezone
from importlib.metadata import version

import torch

import acdc
from acdc import graphs, tasks
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.request import Request
from acdc.settings import Setup
from acdc.tasks.metrics import KLDivergence
from tests.acdc.behaviours import behaviour
from tests.acdc.discoveries import SETUP
from tests.checkpoints import Checkpoints


def test_a_discovery_records_everything_that_design_and_issue_ask_for(found: acdc.Result) -> None:
    record = found.circuit.provenance
    assert set(record) == {
        *("created", "model", "task", "prompts", "ablation", "metric", "versions"),
        *("algorithm", "curve", "faithfulness"),
    }
    assert record["model"] | {"weights": "", "tokenizer": ""} == {
        "name": "periodic-2l",
        "revision": None,
        "weights": "",
        "tokenizer": "",
        "dtype": "float32",
    }
    assert record["task"] == {
        "name": "periodic",
        "about": tasks.get("periodic").about.sentence,
        "source": tasks.get("periodic").about.source,
        "file": None,
    }
    assert (record["prompts"]["count"], record["prompts"]["seed"]) == (6, 3)
    assert record["ablation"] == "resample"
    assert record["metric"]["name"] == "logit_difference"
    assert record["algorithm"]["name"] == "acdc"
    assert record["algorithm"]["goal"] == {"kind": "Threshold", "value": 0.4}
    assert record["algorithm"]["threshold"] == 0.4
    assert record["algorithm"]["tested"] == found.curve[0].tested
    assert record["algorithm"]["closest_decision"] > 0
    assert "positive: the edge helps" in record["algorithm"]["score"]
    assert len(record["curve"]) == len(found.curve) == 1
    assert record["faithfulness"] == found.faithfulness.to_json()


def test_it_is_json_to_the_last_bit(found: acdc.Result) -> None:
    assert json.loads(json.dumps(found.circuit.provenance, allow_nan=False)) == found.circuit.provenance


def test_prompts_are_told_by_their_hash(found: acdc.Result) -> None:
    discovery, judgement = problems(tasks.get("periodic"), load_named("periodic-2l", SETUP), SETUP)
    for side, problem in (("discovery", discovery), ("judgement", judgement)):
        wanted = {"count": 6, "right": 6, "hash": f"sha256:{problem.pairs.fingerprint()}"}
        assert found.circuit.provenance["prompts"][side] == wanted


def test_weights_are_told_by_their_hash(found: acdc.Result) -> None:
    model = graphs.load(tasks.shipped_model("periodic-2l"))
    weights = found.circuit.provenance["model"]["weights"]
    assert weights == f"sha256:{model.fingerprint()}"
    assert len(weights) == len("sha256:") + hashlib.sha256().digest_size * 2
    with torch.no_grad():
        next(model.bridge.original_model.parameters()).view(-1)[0] += 1
    assert weights != f"sha256:{model.fingerprint()}"


def test_versions_are_those_that_run(found: acdc.Result) -> None:
    versions = found.circuit.provenance["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == version("torch")
    assert {"acdc-circuits", "transformer-lens", "transformers", "numpy"} < set(versions)


def test_the_time_is_in_utc_and_now(found: acdc.Result) -> None:
    created = datetime.fromisoformat(found.circuit.provenance["created"])
    assert created.utcoffset() == timezone.utc.utcoffset(None)
    assert abs((datetime.now(timezone.utc) - created).total_seconds()) < 3600


def test_only_a_model_with_frozen_scales_says_so(checkpoints: Checkpoints) -> None:
    notes: dict[str, list[str]] = {}
    for architecture in ("llama", "gemma2"):
        model = graphs.load(checkpoints.path(architecture))
        problem = Problem(model, behaviour(model, (5, 5)), KLDivergence())
        asked = Request(tasks.get("periodic"), "/somewhere/mine.yaml", "mine")
        made = asked.provenance(problem, problem, Setup()).to_json()
        assert (made["task"]["file"], made["model"]["name"]) == ("/somewhere/mine.yaml", "mine")
        notes[architecture] = made.get("notes", [])
    assert notes["llama"] == []
    assert "scale is frozen" in " ".join(notes["gemma2"])
