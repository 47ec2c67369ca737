"""Baselines come back as they were recorded, beside those recorded before."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.errors import BadBaseline, UnwritableOutput
from acdc.hypotheses import baselines
from acdc.hypotheses.baselines import Baseline, load, path_of, save


def test_baselines_stand_beside_their_hypothesis() -> None:
    assert path_of(Path("here/test_ioi.acdc.yaml")) == Path("here/test_ioi.acdc.baseline.json")


def test_what_is_recorded_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    recorded = {"kl": Baseline(0.1 + 0.2), "edges": Baseline(1.0, ("input->m0", "m0->logits"))}
    save(tmp_path / "b.json", recorded)
    assert load(tmp_path / "b.json") == recorded


def test_recording_one_claim_keeps_the_others(tmp_path: Path) -> None:
    save(tmp_path / "b.json", {"kl": Baseline(1.0), "size": Baseline(5.0)})
    save(tmp_path / "b.json", {"kl": Baseline(2.0)})
    assert load(tmp_path / "b.json") == {"kl": Baseline(2.0), "size": Baseline(5.0)}


def test_without_a_file_nothing_is_recorded(tmp_path: Path) -> None:
    assert load(tmp_path / "b.json") == {}


def test_a_damaged_file_is_neither_read_nor_written_over(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"schema": "acdc.baseline/1", "claims": {"kl": {}}}')
    with pytest.raises(BadBaseline, match="cannot be read: got KeyError"):
        load(tmp_path / "b.json")
    with pytest.raises(BadBaseline):
        save(tmp_path / "b.json", {"kl": Baseline(1.0)})
    assert '"kl": {}' in (tmp_path / "b.json").read_text()


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(baselines, "write_atomically", full)
    with pytest.raises(UnwritableOutput, match=r"b.json cannot be written: No space left"):
        save(tmp_path / "b.json", {"kl": Baseline(1.0)})
