"""All claims of all hypothesis files at some places, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.errors import AcdcError, BadSetting
from acdc.graphs.errors import GraphsError
from acdc.hypotheses import baselines
from acdc.hypotheses.model_cache import ModelCache
from acdc.hypotheses.reading import NAMES, load
from acdc.hypotheses.verdict import Verdict, judge
from acdc.tasks.errors import TaskError

if TYPE_CHECKING:
    from acdc.graphs.model import Model
    from acdc.hypotheses.hypothesis import Claim
    from acdc.judges.same_subject import Tell
    from acdc.tasks.task import Task


@dataclass(frozen=True)
class ClaimOutcome:
    """What came of a claim, or of a whole file (`claim` is None) that could not be read: a verdict, or an error."""

    file: Path
    claim: Claim | None
    verdict: Verdict | None
    error: AcdcError | GraphsError | TaskError | None = None

    @property
    def name(self) -> str:
        """What pytest calls it too: `test_ioi.acdc.yaml::faithfulness`."""
        return str(self.file) if self.claim is None else f"{self.file}::{self.claim.name}"


def hypothesis_files(places: Sequence[Path]) -> tuple[Path, ...]:
    """The hypothesis files among these places and in the folders among them, in order.

    Raises: BadSetting when one of the places is none and holds none.
    """
    found: list[Path] = []
    for place in places:
        there = sorted(place.rglob(NAMES)) if place.is_dir() else [place] if place.match(NAMES) else []
        if not there or not there[0].exists():
            raise BadSetting(
                f"there is no hypothesis file at {place}: wanted a file called {NAMES} or a folder with some; "
                "correct the path or rename the file"
            )
        found += there
    return tuple(dict.fromkeys(found))


def run(
    files: Sequence[Path],
    model: str | Model | None = None,
    *,
    in_memory: Sequence[Task] = (),
    update: bool = False,
    anyway: bool = False,
    tell: Tell | None = None,
) -> Iterator[ClaimOutcome]:
    """The outcome of every claim, as it is known; a file or a claim with an error keeps no other from being tested.

    With `model`, all hypotheses are about that one; tasks `in_memory` are found by their names, before any other. With
    `update`, baselines are recorded, file by file. A circuit whose record is of other weights, prompts or another
    tokenizer, though neither file nor `model` ask about others, is an error, unless `anyway`; `tell` is told, for each
    file, of what differs.

    Raises: UnwritableOutput.
    """
    model_cache = ModelCache(None if isinstance(model, str) else model)

    def about(file: Path) -> Tell | None:
        return None if tell is None else lambda line: tell(f"{file}: {line}")

    for file in files:
        try:
            hypothesis = load(file, model, in_memory)
        except AcdcError as error:
            yield ClaimOutcome(file, None, None, error)
            continue
        recorded = {}
        for claim in hypothesis.claims:
            try:
                verdict = judge(hypothesis, claim, model_cache, update=update, anyway=anyway, tell=about(file))
            except (AcdcError, GraphsError, TaskError) as error:
                yield ClaimOutcome(file, claim, None, error)
                continue
            if update and verdict.recorded is not None:
                recorded[claim.name] = verdict.recorded
            yield ClaimOutcome(file, claim, verdict)
        if recorded:
            baselines.save(baselines.path_of(file), recorded)
