"""Checkpoints to be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints import Architecture, Checkpoints

Copied = Callable[[Architecture], Path]


@pytest.fixture
def copied(checkpoints: Checkpoints, tmp_path: Path) -> Copied:
    """A copy of a checkpoint."""

    def copy(architecture: Architecture) -> Path:
        return Path(shutil.copytree(checkpoints.path(architecture), tmp_path / architecture))

    return copy
