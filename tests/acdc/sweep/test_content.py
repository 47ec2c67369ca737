"""Where something changes that decides a result, its cells are others; where nothing does, they are the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from acdc.sweep import content
from acdc.tasks.files.behaviour_file import example
from tests.acdc.sweep.grids import cells_of, checkpoint, small, write


def test_moving_a_grid_with_its_checkpoints_changes_nothing(tmp_path: Path) -> None:
    checkpoint(tmp_path / "a" / "ck", 0)
    before = [cell.hash for cell in cells_of(small(tmp_path / "a", models="[ck]"))]
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert [cell.hash for cell in cells_of(tmp_path / "b" / "grid.yaml")] == before


def test_other_weights_are_another_cell(tmp_path: Path) -> None:
    checkpoint(tmp_path / "ck", 0)
    grid = small(tmp_path, models="[ck]")
    (before,) = cells_of(grid)
    shutil.rmtree(tmp_path / "ck")
    checkpoint(tmp_path / "ck", 0.01)
    (after,) = cells_of(grid)
    assert before.model.decided_by.startswith("sha256:")
    assert before.hash != after.hash


def test_a_large_model_is_known_by_the_sizes_and_times_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "HASHED", 10)
    checkpoint(tmp_path / "ck", 0)
    before = content.of_model(str(tmp_path / "ck"))
    assert before.startswith("sizes and times of files:")
    assert content.of_model(str(tmp_path / "ck")) == before
    os.utime(tmp_path / "ck" / "model.safetensors", (1, 1))
    assert content.of_model(str(tmp_path / "ck")) != before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("planted:0", "made by its name"),
        ("gpt2", "its name on the hub, without a revision"),
        ("owner/model@abc", "its name on the hub"),
        ("smollm2-135m", "sha256:"),
    ],
)
def test_other_models_are_known_by_their_names(name: str, says: str) -> None:
    assert content.of_model(name).startswith(says)


def test_a_table_beside_a_behaviour_file_is_part_of_the_task(tmp_path: Path) -> None:
    header = "clean,corrupt,answer,distractor\n"
    text = example("mine").split("prompts:\n")[0] + "prompts: rows.csv\n"
    file = write(tmp_path / "mine.yaml", text)
    found = []
    for rows in ("a,b,c,d\n", "a,b,c,e\n"):
        (tmp_path / "rows.csv").write_text(header + rows)
        found.append(content.of_task("mine.yaml", file))
    assert len({*found, content.of_task("periodic", None)}) == 3


@pytest.mark.parametrize("more", ["then: {evaluate: true}", "then: {stability: {seeds: 1, resamples: 0}}"])
def test_asking_for_more_is_another_cell(tmp_path: Path, more: str) -> None:
    (before,) = cells_of(small(tmp_path))
    (after,) = cells_of(small(tmp_path, more=[more]))
    assert before.hash != after.hash
