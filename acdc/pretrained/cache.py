"""Where converted models are kept: a directory for each, named by the sha256 of its GGUF file, whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from acdc.errors import UnusableCache
from acdc.graphs.gguf_source import GgufSource

Tell = Callable[[str], None]
Make = Callable[[Path], Path]
_BLOCK = 1 << 20


def root() -> Path:
    """Where all is kept: `$ACDC_CACHE`, or the user's cache directory."""
    if given := os.environ.get("ACDC_CACHE"):
        return Path(given).expanduser().absolute()

    return user_cache_path("acdc", appauthor=False)


def directory(sha256: str) -> Path:
    """Where the model of the GGUF file of that sha256 is kept, if it is."""
    return root() / "models" / sha256


def find(sha256: str) -> Path | None:
    """The directory of the model of the GGUF file of that sha256, or None where there is none.

    Raises: ModelNotFound for a damaged record.
    """
    source = GgufSource.of(directory(sha256))
    return directory(sha256) if source is not None and source.sha256 == sha256 else None


def keep(sha256: str, make: Make, tell: Tell) -> Path:
    """The directory of the model of the GGUF file of that sha256, made first where there is none.

    `make` is given an empty directory to work in and returns the one in it that is kept; nothing else stays. Two
    processes do not make the same model at once: the second waits for the first and takes what it has made.

    Raises: UnusableCache, and what `make` raises.
    """
    if (found := find(sha256)) is not None:
        return found
    place = directory(sha256)
    room = place.with_name(f"{sha256}.unfinished")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.with_name(f"{sha256}.lock"), tell):
            if (found := find(sha256)) is not None:
                return found
            for left in (room, place):  # of a process that was killed, and of a model whose record has been removed
                if left.exists():
                    shutil.rmtree(left)
            try:
                room.mkdir()
                os.replace(make(room), place)
            finally:
                shutil.rmtree(room, ignore_errors=True)
    except OSError as error:
        raise UnusableCache(
            f"the cache directory {root()} cannot be used: {error.strerror or error}; make room there, or name another "
            "directory in the environment variable ACDC_CACHE"
        ) from error
    return place


def sha256_of(file: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits.

    Raises: OSError.
    """
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _alone(path: Path, tell: Tell) -> Iterator[None]:
    """Hold a lock file for the time of the work, and remove it afterwards."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("waiting for another process that is making the same model")
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: whoever waits for it sees that it is gone
        lock.release()
