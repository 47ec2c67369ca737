"""What a checkpoint was converted from is read as it was written, and never taken from a file that is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acdc.graphs.errors import ModelNotFound
from acdc.graphs.gguf_source import FILE, GgufSource

SOURCE = GgufSource("m.gguf", "ab" * 32, "Q4_1", {"Q4_1": 210, "F32": 61}, ("its tokenizer is doubtful",))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    SOURCE.write(tmp_path)
    assert GgufSource.of(tmp_path) == SOURCE


def test_a_directory_without_it_was_not_converted(tmp_path: Path) -> None:
    assert GgufSource.of(tmp_path) is None
    assert GgufSource.of(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["", "[]", "no JSON", '{"source": "https://example.org"}', '{"schema": "theirs/1"}'])
def test_a_file_of_that_name_that_is_not_ours_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert GgufSource.of(tmp_path) is None


def test_one_of_ours_that_is_damaged_is_refused(tmp_path: Path) -> None:
    SOURCE.write(tmp_path)
    data = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**data, "tensors": 3}))
    with pytest.raises(ModelNotFound, match=f"^{tmp_path / FILE} is damaged: .*; remove {tmp_path}, and it is made"):
        GgufSource.of(tmp_path)
