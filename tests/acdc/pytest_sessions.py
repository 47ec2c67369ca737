"""pytest with the plugin, in a directory of its own."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PLUGIN = "acdc.pytest_plugin"
ROOT = Path(__file__).parents[2]


def _loading() -> tuple[str, ...]:
    """What loads the plugin: nothing where the package is installed with its entry point."""
    return () if any(entry.value == PLUGIN for entry in entry_points(group="pytest11")) else ("-p", PLUGIN)


def run(pytester: pytest.Pytester, *given: str) -> pytest.RunResult:
    """pytest in this process, with everything that is loaded already."""
    return pytester.runpytest_inprocess(*_loading(), "-p", "no:cacheprovider", *given)


def run_apart(pytester: pytest.Pytester, *given: str) -> pytest.RunResult:
    """pytest in a process of its own, which has loaded nothing yet."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        return pytester.runpytest_subprocess(*_loading(), "-p", "no:cacheprovider", *given, timeout=300)
