"""Hypothesis files as pytest sees them: a file is a collector, a claim a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

import pytest

from acdc.errors import AcdcError, BadHypothesisFile
from acdc.graphs.errors import GraphsError
from acdc.hypotheses import recording
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import load
from acdc.hypotheses.verdict import judge
from acdc.tasks.errors import TaskError

if TYPE_CHECKING:
    from acdc.hypotheses.hypothesis import Claim, Hypothesis

_MODEL_CACHE = pytest.StashKey[ModelCache]()


class ClaimBroke(Exception):
    """A claim that does not hold; the message says why."""


@final
class HypothesisFile(pytest.File):
    """A hypothesis file, whose claims are its tests."""

    def collect(self) -> Iterator[ClaimTest]:
        """One test per claim.

        Raises: CollectError, with everything that is wrong in the file.
        """
        try:
            hypothesis = load(self.path, self.config.getoption("acdc_model"))
        except BadHypothesisFile as error:
            raise self.CollectError(str(error)) from error
        for claim in hypothesis.claims:
            yield ClaimTest.of(self, hypothesis, claim)


@final
class ClaimTest(pytest.Item):
    """One claim, as a test."""

    hypothesis: Hypothesis
    claim: Claim

    @classmethod
    def of(cls, parent: HypothesisFile, hypothesis: Hypothesis, claim: Claim) -> ClaimTest:
        """The test of that claim."""
        item: ClaimTest = cls.from_parent(parent, name=claim.name)
        item.hypothesis, item.claim = hypothesis, claim
        if item.config.pluginmanager.hasplugin("xdist"):  # with --dist loadgroup, one process loads a model for all
            item.add_marker(pytest.mark.xdist_group(f"acdc {hypothesis.subject.model}"))
        return item

    def runtest(self) -> None:
        """Measure the claim, and tell its figures to whoever reports them.

        Raises: ClaimBroke.
        """
        update = bool(self.config.getoption("acdc_update"))
        model_cache = self.config.stash.setdefault(_MODEL_CACHE, ModelCache())
        anyway = bool(self.config.getoption("acdc_anyway"))
        verdict = judge(self.hypothesis, self.claim, model_cache, update=update, anyway=anyway, tell=self._tell)
        self.user_properties += [(f"acdc.{name}", value) for name, value in verdict.figures().items()]
        if update and verdict.recorded is not None:
            self.user_properties.append(recording.note(self.path, self.claim.name, verdict.recorded))
        if not verdict.passed:
            raise ClaimBroke(verdict.message())

    def _tell(self, line: str) -> None:
        """Say in pytest's summary of warnings what the circuit is measured on now."""
        self.warn(pytest.PytestWarning(f"{self.path.name}: {line}"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is wrong, without a traceback unless the fault is ours."""
        match excinfo.value:
            case ClaimBroke():
                return str(excinfo.value)
            case BadHypothesisFile():
                return str(excinfo.value)
            case AcdcError() | GraphsError() | TaskError():
                return f"{self.claim.place}: the claim {self.claim.name} cannot be measured: {excinfo.value}"
            case _:
                return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """The file, the line (from 0) and the claim."""
        line = self.claim.place.rpartition(":")[2]
        return self.path, int(line) - 1, self.claim.name
