"""One run of a grid, and everything that decides its result, by whose hash it is known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from acdc.attacks.plan import AttackPlan
from acdc.graphs.ablation import Ablation
from acdc.provenance import installed
from acdc.settings import Goal, Method, Minutes, Setup

SCHEMA = "acdc.sweep-cell/1"


@dataclass(frozen=True)
class GridSubject:
    """A task, a model or a hypothesis file: as the grid names it, what it is found by, and what its content is.

    `decided_by` is the hash of its content or, in words, what stands for that.
    """

    name: str
    found_by: str
    decided_by: str

    def to_json(self) -> dict[str, str]:
        """What decides a result, as plain JSON data: where it is found does not."""
        return {"name": self.name, "decided_by": self.decided_by}


@dataclass(frozen=True)
class FollowUps:
    """What is done with a circuit once it is found; None and () are nothing.

    `stability` is how many resamples and how many other seeds.
    """

    evaluate: bool = False
    attack: AttackPlan | None = None
    stability: tuple[int, int] | None = None
    hypotheses: tuple[GridSubject, ...] = ()
    explain: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "evaluate": self.evaluate,
            "attack": self.attack.to_json() if self.attack else None,
            "stability": list(self.stability) if self.stability else None,
            "hypotheses": [file.to_json() for file in self.hypotheses],
            **({"explain": True} if self.explain else {}),
        }


@dataclass(frozen=True)
class CellSearch:
    """How a circuit is searched for: a method and a goal; `threads` is how many CPUs that may use."""

    method: Method
    goal: Goal
    threads: int = 1

    @property
    def timed(self) -> bool:
        """Whether what is found depends on how fast the machine is."""
        return isinstance(self.goal, Minutes)


@dataclass(frozen=True)
class SweepCell:
    """One run of a grid: a task on a model, searched in one way, measured with one setup (and so with one seed)."""

    task: GridSubject
    model: GridSubject
    search: CellSearch
    setup: Setup
    then: FollowUps = FollowUps()

    @property
    def words(self) -> str:
        """The cell in a few words."""
        return f"{self.task.name} on {self.model.name}, {self.search.method.name}, seed {self.setup.seed}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that the result depends on, as plain JSON data: where it is the same, the result is kept."""
        setup = asdict(self.setup)
        if self.setup.positions == "none":  # which records of cells did not say before there was anything else
            del setup["positions"]
        if not self.setup.parts_read:  # likewise
            del setup["parts_read"]
        return {
            "schema": SCHEMA,
            "versions": installed(),
            "task": self.task.to_json(),
            "model": self.model.to_json(),
            "method": asdict(self.search.method),
            "goal": {"kind": type(self.search.goal).__name__, **asdict(self.search.goal)},
            "setup": {**setup, "ablation": Ablation(self.setup.ablation).value},
            "threads": self.search.threads,
            "then": self.then.to_json(),
        }

    @cached_property
    def hash(self) -> str:
        """The hash of the settings, short enough for a directory's name."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:20]
