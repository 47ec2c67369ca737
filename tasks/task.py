"""A task: a behaviour, prompts that call for it, a model that shows it and a metric that measures it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

import numpy as np

from acdc.tasks.errors import BadPrompts, PromptProblem, TaskError
from acdc.tasks.known_metrics import metric_name
from acdc.tasks.prompts import AbstractPromptSource, PromptPairs, TemplatePrompts, Tokenizer
from acdc.tasks.slots import Slots

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""What a task may be called: its name becomes part of a folder's name."""


@final
@dataclass(frozen=True)
class About:
    """A behaviour in one sentence, and the publication it comes from ("" where there is none)."""

    sentence: str
    source: str = ""


@final
@dataclass(frozen=True)
class Prompts:
    """Prompts to discover a circuit with, and others to judge it by.

    Raises: BadPrompts if a side has fewer than 2 prompts or a clean prompt is on both.
    """

    discovery: PromptPairs
    judgement: PromptPairs

    @staticmethod
    def halves(pairs: PromptPairs) -> Prompts:
        """The first half of some prompts for discovery and the others for judgement."""
        half = len(pairs) // 2
        return Prompts(pairs.select(range(half)), pairs.select(range(half, len(pairs))))

    def __post_init__(self) -> None:
        if min(len(self.discovery), len(self.judgement)) < 2:
            raise BadPrompts(
                PromptProblem(
                    "there are too few prompts",
                    f"{len(self.discovery)} for discovery and {len(self.judgement)} for judgement",
                    "at least 2 for each",
                    "ask for or write more prompts (4 at least)",
                )
            )
        if shared := {p.clean for p in self.discovery.pairs} & {p.clean for p in self.judgement.pairs}:
            raise BadPrompts(
                PromptProblem(
                    "prompts for discovery are also used for judgement",
                    f"{len(shared)} shared clean prompts",
                    "none",
                    "split the prompts into disjoint sets",
                )
            )


@final
@dataclass(frozen=True)
class Variation:
    """An edge case of a behaviour: prompts that call for the same behaviour in another surface.

    `name` is short (`long gap`), `about` says in plain words what is different.
    """

    name: str
    about: str
    prompts: AbstractPromptSource


@final
@dataclass(frozen=True)
class Task:
    """What the model is asked to do: prompts, and the metric's name; `model` is the default one.

    `variations` are its edge cases, each of another name.

    Raises: TaskError if the name cannot be part of a folder's name; UnknownMetric.
    """

    name: str
    about: About
    model: str
    metric: str
    prompts: AbstractPromptSource
    variations: tuple[Variation, ...] = ()

    def __post_init__(self) -> None:
        names = ["standard", *(variation.name for variation in self.variations)]  # what its own prompts are called
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise TaskError(
                f"two variations of the task {self.name!r} have one name: got {twice} twice, wanted a name for each; "
                "rename one of them."
            )
        if not re.fullmatch(NAME, self.name):
            raise TaskError(
                f"a task's name becomes part of a folder's name: got {self.name!r}, wanted letters, digits, "
                f"'_', '-' and '.', the first a letter or digit; rename the task."
            )
        object.__setattr__(self, "metric", metric_name(self.metric))

    def __repr__(self) -> str:
        cases = f", {len(self.variations)} variations" if self.variations else ""
        return f"<Task {self.name}: {self.about.sentence} ({self.model}, {self.metric}{cases})>"

    @property
    def slots(self) -> Slots | None:
        """What may fill the slots of its prompts; None where that is not known."""
        return self.prompts.slots if isinstance(self.prompts, TemplatePrompts) else None

    def build(self, tokenizer: Tokenizer | None, n: int, seed: int) -> Prompts:
        """Return at most `n` prompts for discovery and as many others for judgement, drawn with `seed`.

        Prompts as token ids need no tokenizer.

        Raises: BadPrompts if the tokenizer cannot express enough of them, or there is none for prompts of text.
        """
        return Prompts.halves(self.prompts.pairs(tokenizer, 2 * n, np.random.default_rng(seed)))
