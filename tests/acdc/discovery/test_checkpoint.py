"""A checkpoint gives back what was put in, to whoever asks for the same, and is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from acdc.discovery.checkpoint import SCHEMA, Checkpoint
from acdc.errors import BadCheckpoint
from acdc.settings import Edges

REQUEST = {"task": "periodic", "algorithm": {"goal": asdict(Edges(20)), "steps": (1, 2)}, "seed": 0}
STATE = {"runs": [{"edges": {"input->logits": 0.1 + 0.2, "input->m0": -1e-300}}], "closest": math.inf, "decided": 3}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "run" / "checkpoint.json", REQUEST)


def test_a_state_comes_back_to_the_last_bit(checkpoint: Checkpoint) -> None:
    checkpoint.save(STATE)
    assert Checkpoint(checkpoint.path, dict(REQUEST)).load() == STATE


def test_the_last_state_saved_is_the_one_that_counts(checkpoint: Checkpoint) -> None:
    for decided in range(3):
        checkpoint.save({"decided": decided})
    assert checkpoint.load() == {"decided": 2}
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["checkpoint.json"]


def test_another_discoverys_checkpoint_is_refused_with_all_that_differs(checkpoint: Checkpoint) -> None:
    checkpoint.save(STATE)
    other = Checkpoint(checkpoint.path, {**REQUEST, "task": "ioi", "seed": 1})
    with pytest.raises(BadCheckpoint) as refused:
        other.load()
    assert str(refused.value) == (
        f"{checkpoint.path} is of another discovery: task was 'periodic', is now 'ioi'; seed was 0, is now 1; "
        "give the same options as then, or start without --resume"
    )


def test_a_request_for_more_than_was_asked_then_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.save(STATE)
    with pytest.raises(BadCheckpoint, match="metric was None, is now 'kl'"):
        Checkpoint(checkpoint.path, {**REQUEST, "metric": "kl"}).load()


def test_without_a_file_there_is_nothing_to_resume(checkpoint: Checkpoint) -> None:
    with pytest.raises(BadCheckpoint, match=r"there is nothing to resume: .*checkpoint.json cannot be read \(No such"):
        checkpoint.load()


def test_a_directory_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="there is nothing to resume"):
        Checkpoint(tmp_path, REQUEST).load()


WHOLE: dict[str, Any] = {"schema": SCHEMA, "request": REQUEST, "state": STATE}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        json.dumps(WHOLE).encode()[:-9],
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        json.dumps({"schema": SCHEMA, "request": REQUEST}).encode(),
        json.dumps({**WHOLE, "state": None}).encode(),
        json.dumps({**WHOLE, "state": 3}).encode(),
        json.dumps({**WHOLE, "request": "periodic"}).encode(),
    ],
    ids=["empty", "text", "cut", "bytes", "list", "null", "no keys", "no state", "null state", "number", "no request"],
)
def test_a_damaged_file_is_refused(checkpoint: Checkpoint, content: bytes) -> None:
    checkpoint.path.parent.mkdir()
    checkpoint.path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match="is no checkpoint or is damaged; delete it and start anew"):
        checkpoint.load()


def test_a_file_of_another_schema_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.path.parent.mkdir()
    checkpoint.path.write_text(json.dumps({**WHOLE, "schema": "acdc.checkpoint/0"}))
    with pytest.raises(BadCheckpoint, match=r"has schema 'acdc\.checkpoint/0', wanted 'acdc\.checkpoint/3'"):
        checkpoint.load()


@pytest.mark.parametrize("stage", ["chmod", "replace"])
def test_a_save_that_is_cut_short_leaves_the_state_before(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    checkpoint.save(STATE)

    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, stage, cut)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save({"decided": 4})
    assert checkpoint.load() == STATE
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["checkpoint.json"]
