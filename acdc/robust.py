"""Discovery that learns from counterexamples: discover, attack, add what fails to the prompts, discover again.

A new circuit is the one that KL(model || circuit) or the task's own metric finds within the edge budget, whichever the
attack hurts less. KL is what an attack raises, and a few prompts that fail weigh heavily in its mean, where most others
are near 0; but it says little of the margin that a right answer has, which the task's own metric may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import tasks
from acdc.attacks.case import Case, cases
from acdc.attacks.search import Search, search
from acdc.attacks.variations import prompts_of, variations
from acdc.checkpoint import Checkpoint
from acdc.discovery import HELD, Result, discover, problems
from acdc.discovery import search as finder
from acdc.errors import BadSetting, UnmeasurableBehaviour, UnreachableGoal
from acdc.evaluation import subject
from acdc.goals import Edges, Goal, KeptFaithfulness
from acdc.judges.faithfulness import faithfulness
from acdc.method import Method
from acdc.problem import Problem
from acdc.progress import Account, Progress
from acdc.setup import Setup
from graphs.circuit import Circuit
from graphs.model import Model
from graphs.nodes import Edge
from tasks.metrics import KLDivergence
from tasks.prompts import PromptPairs
from tasks.task import Task
from tasks.tokenisation import TextPair, tokenise

_TYPICAL = 0.1
"""By how much the share of a word among counterexamples exceeds its share among the prompts, to be told."""


class Stop(Enum):
    """Why there was no further round."""

    HELD = "an attack of the same budget found nothing above the bound"
    LEARNED = "whatever an attack found is among the discovery prompts already"
    EDGES = "within the edge budget nothing was found that an attack hurts less"
    ROUNDS = "that was the last round"


@dataclass(frozen=True)
class Plan:
    """How a circuit is refined.

    Every attack tests `budget` prompts; round r is attacked with the seed `seed` + r, and in the end the first and the
    refined circuit with the seed `unseen`. Prompts above `bound`, in nats of KL(model || circuit), are counterexamples;
    a round adds at most `lessons` prompts. There are at most `rounds` rounds, and in a circuit at most `growth` times
    the edges of the first.

    Raises: BadSetting when a number is out of range, or a round would be attacked with the unseen seed.
    """

    budget: int = 1000
    bound: float = 0.5
    growth: float = 1.5
    rounds: int = 3
    lessons: int = 64
    seed: int = 0
    unseen: int = 1000

    def __post_init__(self) -> None:
        for name, least in (("budget", 1), ("bound", 0), ("growth", 1), ("rounds", 1), ("lessons", 1), ("seed", 0)):
            if not getattr(self, name) >= least:
                raise BadSetting(f"the {name} of a refinement is {getattr(self, name)}; wanted at least {least}")
        if self.seed <= self.unseen <= self.seed + self.rounds:
            raise BadSetting(
                f"the unseen seed {self.unseen} is that of a round; wanted none of {self.seed} to "
                f"{self.seed + self.rounds}, which the rounds take"
            )


@dataclass(frozen=True)
class Round:
    """A circuit, what an attack on it came to, and what the circuit had learned; all KLs in nats.

    `mean` is the mean KL over the prompts drawn for discovery, `worst` the highest that the search found and `above` how
    many of its cases are above the bound; `breaks` names the variations that break the circuit. `learned` counts by what
    found them the prompts added for this circuit, `words` are what fills their slots unusually often; `gained` and
    `lost` are edges, against the round before.
    """

    number: int
    edges: int
    metric: str
    mean: float
    worst: float
    above: int
    breaks: tuple[str, ...]
    learned: Mapping[str, int]
    words: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """How a circuit stands: its edges, its mean KL on the judgement prompts, and the worst KL of the unseen attack."""

    edges: int
    mean: float
    worst: float


@dataclass(frozen=True)
class Refined:
    """What refinement came to: the better circuit by the unseen attack, the rounds, and first and refined circuit."""

    result: Result
    rounds: tuple[Round, ...]
    stop: Stop
    first: Standing
    last: Standing

    @property
    def helped(self) -> bool:
        """Whether the refined circuit is hurt less by the unseen attack; if not, the first one is the result."""
        return self.last.worst < self.first.worst

    @property
    def verdict(self) -> str:
        """Whether it helped, in a sentence or two."""
        first, last = self.first, self.last
        if len(self.rounds) == 1:
            return f"nothing to learn from; worst KL under an unseen attack {first.worst:.3g} nats"
        told = (
            f"worst KL under an unseen attack {first.worst:.3g} -> {last.worst:.3g} nats, "
            f"mean on the judgement prompts {first.mean:.3g} -> {last.mean:.3g}, edges {first.edges} -> {last.edges}"
        )
        if not self.helped:
            return f"it did not help, so the first circuit is kept: {told}"
        price = "; but on the judgement prompts it is worse" if last.mean > first.mean else ""
        return f"it helped: {told}{price}"


@dataclass(frozen=True)
class _Lesson:
    """A prompt to learn from, and what found it."""

    text: TextPair
    found_by: str


@dataclass(frozen=True)
class _Found:
    """A circuit with how it was found, and the round that it has been attacked in."""

    circuit: Circuit
    account: Account | None
    search: Search
    round: Round


def refine(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method = Method(),  # noqa: B008  # a frozen value
    goal: Goal = KeptFaithfulness(),  # noqa: B008  # likewise
    setup: Setup = Setup(),  # noqa: B008  # likewise
    plan: Plan = Plan(),  # noqa: B008  # likewise
    watch: Callable[[Progress], None] | None = None,
    tell: Callable[[Round], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Refined:
    pass
