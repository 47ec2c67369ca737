"""The form of a behaviour file offers what there is, and its schema says so to editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acdc.tasks.files.behaviour_form import BehaviourForm
from acdc.tasks.files.forms import schema_of
from acdc.tasks.metrics import metric_names


def test_the_schema_is_the_golden_file() -> None:
    golden = Path(__file__).with_name("golden_schema.json")
    assert schema_of(BehaviourForm) == json.loads(golden.read_text("utf-8"))


def test_every_metric_is_offered() -> None:
    assert schema_of(BehaviourForm)["properties"]["metric"]["enum"] == list(metric_names())


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    made = schema_of(BehaviourForm)
    forms: list[dict[str, Any]] = [made, *made["$defs"].values()]
    assert set(made["required"]) == {"name", "model", "metric", "prompts"}
    for form in forms:
        assert form["additionalProperties"] is False
        assert all("\n" not in key["description"] for key in form["properties"].values())


def test_prompts_are_a_list_or_the_path_of_a_table() -> None:
    table, listed = schema_of(BehaviourForm)["properties"]["prompts"]["oneOf"]
    assert table["type"] == "string"
    assert listed["items"] == {"$ref": "#/$defs/PromptForm"}
