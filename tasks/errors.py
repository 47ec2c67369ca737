"""What can go wrong with a task, as one exception tree.

TaskError (ValueError)
├── UnknownTask           no task of this name, with the nearest names
├── UnknownMetric         no metric of this name, with the nearest names
├── UnknownShippedModel   no model of this name in this package, with the nearest names
├── BrokenPlugin          an installed package offers a task that cannot be used
├── BadPrompts            prompts that this tokenizer cannot express, with every problem found
└── BadBehaviourFile      a behaviour file with mistakes, with every problem found
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class PromptProblem:
    """One thing that is wrong, told in one sentence: where, what, got, wanted, remedy.

    `words` are those of a prompt that are the obstacle, where it is some of its words.
    """

    what: str
    got: str
    wanted: str
    remedy: str
    place: str = ""
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        end = "" if self.remedy.endswith("?") else "."
        return f"{where}{self.what}: got {self.got}, wanted {self.wanted}; {self.remedy}{end}"


def lone_surrogates(text: str) -> str:
    """The halves of surrogate pairs in a text, which are no characters: no tokenizer, file or terminal takes them."""
    return "".join(character for character in text if "\ud800" <= character <= "\udfff")


def halves_of_characters(halves: str, place: str = "") -> PromptProblem:
    """The problem that a text holds these lone surrogates."""
    wanted, remedy = "whole characters", "write the character itself"
    return PromptProblem("a text holds half of a character (a lone surrogate)", ascii(halves), wanted, remedy, place)


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known names come closest, or name them all where none is close."""
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known: " + ", ".join(known)


class TaskError(ValueError):
    """Anything that is wrong with a task, its prompts or its metric."""


class UnknownTask(TaskError):
    """No built-in task, plugin or behaviour file has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"unknown task: got {name!r}, wanted a task's name or the path of a .yaml file; {nearest(name, known)}"
        )


class UnknownMetric(TaskError):
    """No metric has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown metric: got {name!r}, wanted a metric's name; {nearest(name, known)}")


class UnknownShippedModel(TaskError):
    """No model of this name is shipped with the package."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown shipped model: got {name!r}, wanted its name; {nearest(name, known)}")


class BrokenPlugin(TaskError):
    """An installed distribution offers a task which cannot be loaded."""

    def __init__(self, task: str, distribution: str, got: str) -> None:
        super().__init__(
            f"the task {task!r} of the installed package {distribution!r} cannot be used: got {got}, "
            f"wanted a tasks.Task of that name or a function without arguments returning one; "
            f"repair or uninstall {distribution!r}."
        )


class BadPrompts(TaskError):
    """Prompts that cannot be used as they are; `problems` holds everything found."""

    def __init__(self, *problems: PromptProblem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class BadBehaviourFile(TaskError):
    """A behaviour file that cannot be used as it is; `problems` holds every mistake found."""

    def __init__(self, *problems: PromptProblem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
