"""The table has a row for each cell, figures with their intervals, and comes back from its files as it was."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pandas
import pytest

from acdc.errors import UnwritableOutput
from acdc.sweep import table as tables
from acdc.sweep.change import courses
from acdc.sweep.results import SweepResults
from acdc.sweep.table import table, write


@pytest.fixture
def frame(swept: Path) -> pandas.DataFrame:
    results = SweepResults.read(swept)
    assert results is not None
    return table(results, list(courses(results)))


def test_every_cell_has_a_row_with_its_figures(frame: pandas.DataFrame) -> None:
    assert list(frame.model) == ["ck/step1", "ck/step1", "ck/step2", "ck/step2", "periodic-2l", "periodic-2l"]
    assert list(frame.seed) == [0, 1] * 3
    assert set(frame.status) == {"done"}
    assert set(frame.goal) == {"Edges 10"}
    assert (frame.faithfulness_low <= frame.faithfulness).all()
    assert (frame.model_accuracy.between(frame.model_accuracy_low, frame.model_accuracy_high)).all()
    assert frame.before.tolist()[2:] == ["ck/step1", "ck/step1", "ck/step2", "ck/step2"]
    assert frame.jaccard.isna().tolist() == [True, True, False, False, False, False]
    assert "hardly shows this behaviour" in frame.notes[0]
    assert frame.notes.isna()[5]


def test_the_files_hold_the_table(frame: pandas.DataFrame, tmp_path: Path) -> None:
    csv, parquet = write(frame, tmp_path)
    pandas.testing.assert_frame_equal(
        pandas.read_csv(csv), frame, check_dtype=False, check_exact=True, check_column_type=False
    )
    pandas.testing.assert_frame_equal(pandas.read_parquet(parquet), frame, check_dtype=False, check_exact=True)


def test_without_pyarrow_there_is_no_parquet(
    frame: pandas.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    assert [file.name for file in write(frame, tmp_path)] == ["sweep.csv"]


def test_a_full_disk_is_told_and_leaves_the_table_as_it_was(
    frame: pandas.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(frame[:1], tmp_path)
    before = (tmp_path / "sweep.csv").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnwritableOutput, match="No space left on device"):
        write(frame, tmp_path)
    assert (tmp_path / "sweep.csv").read_bytes() == before
