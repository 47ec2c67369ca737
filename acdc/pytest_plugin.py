"""The pytest plugin: hypothesis files are collected, one test per claim. Where there are none, nothing is loaded.

`acdc.hypotheses` does the work: `collecting` finds the files, `reading` reads them, `verdict` judges what `measuring`
measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_ENDING = ".acdc.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of hypothesis files."""
    group = parser.getgroup("acdc", "circuit hypotheses (test_*.acdc.yaml)")
    group.addoption("--acdc-update", action="store_true", help="record baselines for claims that have a tolerance")
    group.addoption("--acdc-anyway", action="store_true", help="go on though model, tokenizer or prompts have changed")
    group.addoption("--acdc-model", metavar="NAME", help="try every hypothesis on this model")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that do not go together, and be ready for what is reported."""
    update = config.getoption("acdc_update")
    if update and config.getoption("acdc_model"):
        import pytest

        raise pytest.UsageError(
            "--acdc-update and --acdc-model were given together: baselines are those of a file's own model; "
            "leave one of them out"
        )
    config.pluginmanager.register(_Malformed(config))
    if update and not hasattr(config, "workerinput"):  # xdist's workers report to this process
        from acdc.hypotheses.recording import Recorder

        config.pluginmanager.register(Recorder())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect hypothesis files."""
    if not (file_path.name.startswith("test_") and file_path.name.endswith(_ENDING)):
        return None
    from acdc.hypotheses.collecting import HypothesisFile

    return HypothesisFile.from_parent(parent, path=file_path)


class _Malformed:
    """Lets everything else run where hypothesis files alone could not be collected; the session fails all the same."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._others = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count the failures that are none of ours."""
        self._others += report.failed and not report.nodeid.endswith(_ENDING)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Go on unless something else failed too, for which pytest is asked to stop or not."""
        if session.testsfailed and not self._others:
            self._config.option.continue_on_collection_errors = True
