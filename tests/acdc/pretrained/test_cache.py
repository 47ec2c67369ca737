"""What is kept is whole or not there, made once whoever asks for it, and nothing half-made stays behind."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from acdc.errors import UnusableCache
from acdc.graphs.gguf_source import GgufSource
from acdc.pretrained import cache

SHA256 = "ab" * 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path / "cache"))


def make(room: Path) -> Path:
    """Something to keep, and something that is not kept."""
    (room / "rubbish").write_text("rubbish")
    made = room / "made"
    made.mkdir()
    GgufSource("m.gguf", SHA256, None, {}).write(made)
    return made


def never(room: Path) -> Path:
    raise AssertionError("it is there already")


def silent(words: str) -> None:
    """Say nothing."""


def left() -> list[str]:
    return sorted(path.name for path in (cache.root() / "models").iterdir())


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ACDC_CACHE", "~/mine")
    assert cache.root() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACDC_CACHE", "here")
    assert cache.root() == tmp_path / "here"


def test_without_it_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ACDC_CACHE")
    monkeypatch.setattr("acdc.pretrained.cache.user_cache_path", lambda name, appauthor: tmp_path / name)
    assert cache.root() == tmp_path / "acdc"


def test_what_is_made_is_kept_and_not_made_again() -> None:
    assert cache.find(SHA256) is None
    place = cache.keep(SHA256, make, silent)
    assert cache.find(SHA256) == place == cache.directory(SHA256)
    assert left() == [SHA256]
    assert [path.name for path in place.iterdir()] == ["source.json"]
    assert cache.keep(SHA256, never, silent) == place


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("damaged")])
def test_what_is_not_finished_is_not_kept(error: BaseException) -> None:
    def fails(room: Path) -> Path:
        make(room)
        raise error

    with pytest.raises(type(error)):
        cache.keep(SHA256, fails, silent)
    assert left() == []
    assert cache.keep(SHA256, make, silent).is_dir()


def test_a_full_disk_says_where_there_must_be_room() -> None:
    def full(room: Path) -> Path:
        make(room)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UnusableCache) as caught:
        cache.keep(SHA256, full, silent)
    assert str(caught.value) == (
        f"the cache directory {cache.root()} cannot be used: No space left on device; make room there, or name another "
        "directory in the environment variable ACDC_CACHE"
    )
    assert left() == []


def test_a_cache_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UnusableCache, match="cannot be used: Not a directory"):
        cache.keep(SHA256, never, silent)


def test_what_a_killed_process_left_is_replaced() -> None:
    for name in (f"{SHA256}.unfinished", SHA256):
        (cache.root() / "models" / name).mkdir(parents=True)
        (cache.root() / "models" / name / "model.safetensors").write_text("half")
    assert [path.name for path in cache.keep(SHA256, make, silent).iterdir()] == ["source.json"]
    assert left() == [SHA256]


def test_a_directory_that_is_of_another_file_is_not_found() -> None:
    place = cache.directory(SHA256)
    place.mkdir(parents=True)
    GgufSource("m.gguf", "cd" * 32, None, {}).write(place)
    assert cache.find(SHA256) is None


def test_who_comes_second_waits_and_takes_what_the_first_has_made() -> None:
    started, waiting = threading.Event(), threading.Event()

    def slowly(room: Path) -> Path:
        started.set()
        assert waiting.wait(timeout=60)
        return make(room)

    def second(words: str) -> None:
        assert words == "waiting for another process that is making the same model"
        waiting.set()

    first = threading.Thread(target=cache.keep, args=(SHA256, slowly, silent))
    first.start()
    assert started.wait(timeout=60)
    assert cache.keep(SHA256, never, second) == cache.directory(SHA256)
    first.join()
    assert waiting.is_set()
    assert left() == [SHA256]
