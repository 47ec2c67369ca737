"""Tests in a browser need Chromium and a few packages more, so they run when asked for: `make test-page`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acdc.report.page import run_folders

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page", action="store_true", help="run the tests of pages in Chromium, which must be there")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--page", default=False) else True


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "there is no Chromium; `apt-get install chromium`, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page without a network, on which nothing may go wrong or be asked for besides the file itself."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda one: None if one.url.startswith(("file:", "blob:")) else wrong.append(one.url))
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on a shipped model, found, measured and written as `acdc discover` does."""
    return run_folders.discovered(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run whose task, prompts, groups and roles have names that could be taken for markup."""
    return run_folders.page_of(run_folders.strange(tmp_path_factory.mktemp("strange")))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a circuit of 9,216 edges, in many sizes."""
    return run_folders.page_of(run_folders.large(tmp_path_factory.mktemp("large")))
