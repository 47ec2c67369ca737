"""Prompts in the tokens of tokenizer.json alone are those of the tokenizer that transformers loads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from acdc import tasks
from acdc.cost.file_tokenizer import FileTokenizer
from acdc.models import tokenizer_of
from tests.checkpoints import Checkpoints


@pytest.mark.parametrize(
    ("task", "model"), [("ioi", "everyday-4l"), ("periodic", "periodic-2l"), ("siit_pick", "siit-pick-3l")]
)
def test_prompts_are_the_same(task: str, model: str) -> None:
    quick = FileTokenizer.of(tasks.shipped_model(model))
    assert quick is not None
    ours, theirs = (tasks.get(task).build(each, 16, 0) for each in (quick, tokenizer_of(model)))
    assert ours.discovery.fingerprint() == theirs.discovery.fingerprint()
    assert quick.unk_token_id == tokenizer_of(model).unk_token_id


def test_special_tokens_are_written_as_asked(checkpoints: Checkpoints) -> None:
    quick, slow = FileTokenizer.of(checkpoints.path("llama")), tokenizer_of(str(checkpoints.path("llama")))
    assert quick is not None
    for special in (True, False):
        ids = quick.encode(" the cat sat", add_special_tokens=special)
        assert ids == slow.encode(" the cat sat", add_special_tokens=special)
        assert quick.convert_ids_to_tokens(ids) == slow.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_without_its_file_there_is_none(checkpoints: Checkpoints, tmp_path: Path, damage: str) -> None:
    shutil.copy(checkpoints.path("llama") / "tokenizer_config.json", tmp_path)
    if damage == "cut":
        (tmp_path / "tokenizer.json").write_text("{")
    assert FileTokenizer.of(tmp_path) is None
