"""JSON that says one thing in one way, or is refused."""

from __future__ import annotations

import json

import pytest

from acdc.graphs.strict_json import NotStrict, loads


@pytest.mark.parametrize("data", [{"a": [1, 2.5, None, True, "ü", "\U0001f600"], "b": {"a": {}}}, [], "a\\ud", 1e-300])
def test_what_json_writes_is_read_as_it_was(data: object) -> None:
    assert loads(json.dumps(data)) == loads(json.dumps(data, ensure_ascii=False)) == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is given twice"),
        ("[NaN]", "NaN is no finite number"),
        ("[-Infinity]", "-Infinity is no finite number"),
        ("[1e999]", "1e999 is no finite number"),
        ('{"a": ["\\ud800"]}', r"half of a character \(a lone surrogate\), '\\ud800'"),
        ('{"\\udfff": 1}', "half of a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_says_something_twice_or_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(NotStrict, match=words):
        loads(text)
