"""Tests on real models take minutes and a download, so they run when asked for: `make test-real`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--real", action="store_true", help="run the tests on real models, which must have been got")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--real", default=False) else True
