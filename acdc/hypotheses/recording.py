"""Baselines on their way from the tests that measure them to their files: through reports, from whatever process."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from acdc.hypotheses import baselines
from acdc.hypotheses.baselines import Baseline

if TYPE_CHECKING:
    import pytest

_PROPERTY = "acdc.recorded"


def note(file: Path, claim: str, baseline: Baseline) -> tuple[str, dict[str, Any]]:
    """The property of a report that `Recorder` looks for."""
    return _PROPERTY, {"file": str(file), "claim": claim, "baseline": baseline.to_json()}


@final
class Recorder:
    """A plugin that hears of all reports and, at the end, writes every baseline in them."""

    def __init__(self) -> None:
        self._recorded: dict[Path, dict[str, Baseline]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the baseline out of the report of a claim that was measured."""
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, dict):
                edges = value["baseline"].get("edges")
                baseline = Baseline(value["baseline"]["value"], None if edges is None else tuple(edges))
                self._recorded[Path(value["file"])][value["claim"]] = baseline

    def pytest_sessionfinish(self) -> None:
        """Write what has been recorded."""
        for file, recorded in self._recorded.items():
            baselines.save(baselines.path_of(file), recorded)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what has been written."""
        for file, recorded in self._recorded.items():
            terminalreporter.write_line(f"recorded {', '.join(recorded)}: {baselines.path_of(file)}")
