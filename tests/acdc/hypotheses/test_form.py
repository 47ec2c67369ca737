"""The form of a hypothesis file offers what there is, and its schema says so to editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from acdc.graphs.ablation import Ablation
from acdc.hypotheses.form import ClaimsForm, HypothesisForm, SetupForm
from acdc.hypotheses.hypothesis import ClaimKind
from acdc.hypotheses.verdict import MEANINGS
from acdc.settings import DTYPES
from acdc.tasks.files.forms import schema_of
from acdc.tasks.metrics import metric_names


def test_the_choices_are_all_there_are() -> None:
    made = SetupForm.model_json_schema()["properties"]
    offered = {key: made[key]["anyOf"][0]["enum"] for key in ("metric", "ablation", "dtype")}
    assert offered["metric"] == list(metric_names())
    assert offered["ablation"] == [kind.value for kind in Ablation]
    assert offered["dtype"] == list(DTYPES)
    assert tuple(ClaimsForm.model_fields) == get_args(ClaimKind) == tuple(MEANINGS)


def test_every_key_of_the_schema_is_described_and_no_other_is_allowed() -> None:
    made = schema_of(HypothesisForm)
    forms: list[dict[str, Any]] = [made, *made["$defs"].values()]
    assert made["$schema"].startswith("https://json-schema.org/")
    assert set(made["required"]) == {"task", "circuit", "claims"}
    for form in forms:
        assert form["additionalProperties"] is False
        assert form["description"]
        for name, key in form["properties"].items():
            assert key["description"], name
            assert "\n" not in key["description"]


def test_the_schema_is_the_golden_file() -> None:
    assert schema_of(HypothesisForm) == json.loads(Path(__file__).with_name("golden_schema.json").read_text())


def test_the_schema_asks_for_one_kind_of_bound() -> None:
    bounds, others = schema_of(HypothesisForm)["$defs"]["BoundForm"]["oneOf"]
    assert bounds["required"] == ["tolerance"]
    assert others["not"] == {"required": ["tolerance"]}


def test_a_claim_has_its_bound() -> None:
    form = HypothesisForm.model_validate({"task": "t", "circuit": ["m0"], "claims": {"kl": {"at_most": "0.5"}}})
    assert form.claims.kl is not None
    assert form.claims.kl.at_most == 0.5
    assert form.claims.faithfulness is None


def test_a_metric_by_another_of_its_names_is_stored_by_its_own() -> None:
    form = HypothesisForm.model_validate(
        {"task": "t", "circuit": ["m0"], "claims": {"kl": {"at_most": 1}}, "setup": {"metric": "logit_diff"}}
    )
    assert form.setup.metric == "logit_difference"
