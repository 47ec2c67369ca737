"""From a grid file to a `Grid`, or to everything that is wrong with the file, line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from acdc import tasks
from acdc.attacks.plan import PARTS, AttackPlan, SearchPlan, parts
from acdc.discovery.rediscover import Rediscovery
from acdc.errors import AcdcError, BadGridFile, UnknownModel
from acdc.hypotheses import reading
from acdc.models import expanded, resolve
from acdc.settings import (
    Compute,
    Edges,
    Goal,
    KeptAccuracy,
    KeptFaithfulness,
    MeanKL,
    Method,
    Minutes,
    Setup,
    Threshold,
)
from acdc.sweep import content
from acdc.sweep.cell import FollowUps, GridSubject
from acdc.sweep.form import GoalForm, GridForm, GridSettingsForm, ThenForm
from acdc.sweep.grid import Grid, GridSubjects, SearchChoice
from acdc.tasks.errors import PromptProblem, TaskError
from acdc.tasks.files.records import Field, Record, read_yaml
from acdc.tasks.files.wording import plain, problems

Made = TypeVar("Made")
_PATTERN = re.compile(r"[*?\[]")


def load_grid(path: Path) -> Grid:
    """The grid in that file; tasks, models and hypothesis files are looked up from its folder.

    Raises: BadGridFile with every mistake found, each with its file and line.
    """
    found: list[PromptProblem] = []
    record = read_yaml(path, found, "grid file", "see docs/scale.md for what may stand in it")
    if record is None:
        raise BadGridFile(*map(str, found))
    try:
        form = GridForm.model_validate(plain(record))
    except ValidationError as error:
        found += problems(GridForm, record, error)
    if found:
        raise BadGridFile(*(str(problem) for problem in sorted(found, key=lambda problem: _line(problem.place))))
    return _Reading(path, record).grid(form)


class _Reading:
    """A file of the right form, and what is wrong with what it names: each time the line and the message."""

    def __init__(self, path: Path, record: Record) -> None:
        self.path, self._record = path, record
        self.wrong: list[tuple[int, str]] = []

    def grid(self, form: GridForm) -> Grid:
        """What the file says.

        Raises: BadGridFile.
        """
        named = self._each("tasks", form.tasks, self._task)
        subjects = tuple(subject for subject, _ in named)
        models = tuple(model for found in self._each("models", form.models, self._models) for model in found)
        methods = tuple(self._each("methods", form.methods or [], Method))
        self._once("tasks", [subject.name for subject in subjects])
        self._once("models", [model.name for model in models])
        self._once("methods", [method.name for method in methods])
        self._once("seeds", [str(seed) for seed in form.seeds])
        setup = self._made(lambda: _setup(form.settings), "settings") or Setup()
        goal = form.settings.goal and self._made(lambda: _goal(form.settings.goal), "settings", "goal")
        then = self._made(lambda: _follow_ups(form.then), "then") or FollowUps()
        hypotheses: dict[str, tuple[GridSubject, ...]] = {}
        for about, file in self._each("hypotheses", form.then.hypotheses or [], self._hypothesis, "then"):
            matching = [subject.name for subject, own in named if own == about]
            hypotheses |= {name: (*hypotheses.get(name, ()), file) for name in matching}
            if not matching and named:
                self._note(
                    f"it is about {about!r}, which is none of the grid's tasks; leave it out", "then", "hypotheses"
                )
        if self.wrong:
            raise BadGridFile(*dict.fromkeys(text for _, text in sorted(self.wrong)))
        choice = SearchChoice(methods, goal or None, form.settings.threads)
        return Grid(GridSubjects(subjects, models, hypotheses), choice, setup, tuple(form.seeds), then)

    def _task(self, name: str) -> tuple[GridSubject, str]:
        """A task, and what it calls itself."""
        near = self.path.parent / expanded(name)
        if content.known_task(name) or not near.is_file():
            return GridSubject(name, name, content.of_task(name, None)), tasks.get(name).name
        file = near.resolve()
        return GridSubject(name, str(file), content.of_task(name, file)), tasks.get(file).name

    def _models(self, name: str) -> list[GridSubject]:
        """The model of that name, or those of that pattern."""
        near = self.path.parent / expanded(name)
        if _PATTERN.search(name):
            found = sorted(_matching(name, self.path.parent), key=lambda one: _by_number(one[0]))
            if not found:
                raise UnknownModel(
                    f"no model matches {name!r}: wanted checkpoint directories with a config.json, or GGUF files; "
                    "correct the pattern, which is looked up from the folder of this file"
                )
            return [self._model(written, path) for written, path in found]
        is_near = (near / "config.json").is_file() or (near.suffix == ".gguf" and near.is_file())
        return [self._model(name, near if is_near else None)]

    def _model(self, name: str, path: Path | None) -> GridSubject:
        found_by = str(path.resolve()) if path else name
        resolve(found_by)
        return GridSubject(name, found_by, content.of_model(found_by))

    def _hypothesis(self, name: str) -> tuple[str, GridSubject]:
        """The task that a hypothesis file is about, and the file."""
        file = (self.path.parent / expanded(name)).resolve()
        hypothesis = reading.load(file)
        return hypothesis.subject.task.name, GridSubject(name, str(file), content.of_hypothesis(hypothesis))

    def _each(self, key: str, names: list[str], made: Callable[[str], Made], *above: str) -> list[Made]:
        """What is made of each item of a list, those left out that nothing can be made of."""
        found = (self._made(partial(made, name), *above, key, number) for number, name in enumerate(names))
        return [one for one in found if one is not None]

    def _made(self, make: Callable[[], Made], *keys: str | int) -> Made | None:
        try:
            return make()
        except (AcdcError, TaskError, OSError) as error:
            self._note(str(error), *keys)
            return None

    def _once(self, key: str, names: list[str]) -> None:
        if twice := next((name for name in names if names.count(name) > 1), None):
            self._note(f"{twice!r} is there twice among the {key}; remove one of the two", key)

    def _note(self, message: str, *keys: str | int) -> None:
        place = _place(Field(self._record, self._record.place), keys)
        indented = message.replace("\n", "\n  ")
        self.wrong.append((_line(place), f"{place}: {indented}"))


def _setup(form: GridSettingsForm) -> Setup:
    chosen = {"metric": form.metric, "ablation": form.ablation, "prompts": form.prompts}
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    return Setup(
        **given,
        only_correct=form.only_correct,
        positions=form.positions,
        compute=Compute(form.device or "cpu", form.dtype or "float32"),
    )


def _goal(form: GoalForm | None) -> Goal:
    match form:
        case GoalForm(edges=int(count)):
            return Edges(count)
        case GoalForm(faithfulness=float(fraction)):
            return KeptFaithfulness(fraction)
        case GoalForm(accuracy=float(fraction)):
            return KeptAccuracy(fraction)
        case GoalForm(kl=float(nats)):
            return MeanKL(nats)
        case GoalForm(threshold=float(value)):
            return Threshold(value)
        case GoalForm(minutes=float(minutes)):
            return Minutes(minutes)
        case _:
            raise AssertionError("the form lets no other through")


def _follow_ups(form: ThenForm) -> FollowUps:
    attack = stability = None
    if form.attack is not None:
        given: dict[str, Any] = {"prompts": form.attack.prompts} if form.attack.prompts is not None else {}
        if form.attack.budget is not None:
            given["search"] = SearchPlan(form.attack.budget)
        attack = AttackPlan(**given, parts=PARTS if form.attack.parts is None else parts(form.attack.parts))
    if form.stability is not None:
        stability = (form.stability.resamples, form.stability.seeds)
        Rediscovery(*stability)  # which refuses what cannot be
    return FollowUps(form.evaluate, attack, stability, explain=form.explain)


def _matching(pattern: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The checkpoints that a pattern matches, seen from the folder, and what each is called as the pattern is written.

    What comes before its first part with a pattern is a path as it is, whatever it is made of.
    """
    parts = Path(expanded(pattern)).parts
    first = next(number for number, part in enumerate(parts) if _PATTERN.search(part))
    before = folder.joinpath(*parts[:first])
    for path in before.glob(str(Path(*parts[first:]))):
        if (path / "config.json").is_file() or (path.suffix == ".gguf" and path.is_file()):
            yield Path(*parts[:first], path.relative_to(before)).as_posix(), path


def _by_number(text: str) -> list[tuple[bool, int, str]]:
    """What sorts names with numbers in them by these: step9 before step10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", text)]


def _place(here: Field, keys: tuple[str | int, ...]) -> str:
    """Where a value stands, or the nearest one around it."""
    for key in keys:
        match here.value:
            case Record(fields) if key in fields:
                here = fields[str(key)]
            case list(items) if isinstance(key, int) and key < len(items):
                here = items[key]
            case _:
                break
    return here.place


def _line(place: str) -> int:
    line = place.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
