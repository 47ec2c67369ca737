"""From a hypothesis file to a `Hypothesis`, or to everything that is wrong with the file, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

import tasks
from acdc.claims import baselines
from acdc.claims.form import BoundForm, EdgesForm, HypothesisForm
from acdc.claims.hypothesis import Bound, Claim, Hypothesis, Listed, Subject
from acdc.claims.wording import plain, problems
from acdc.errors import AcdcError, BadHypothesisFile, WrongModel
from acdc.evaluation import recorded_setup
from acdc.models import is_directory, resolve
from acdc.setup import Setup
from graphs.circuit import Circuit
from graphs.configuration import graph_of_checkpoint
from graphs.errors import BadCircuitFile, GraphsError
from tasks.errors import Problem, TaskError
from tasks.records import Field, Record, read_yaml
from tasks.task import Task

NAMES = "test_*.acdc.yaml"
"""What a hypothesis file is called."""


def load(path: Path, model: str | None = None) -> Hypothesis:
    """The hypothesis in that file, about another model where one is given.

    Where the model's graph can be told from its configuration alone, the circuit is checked against it.

    Raises: BadHypothesisFile with every mistake found, each with its file and line.
    """
    found: list[Problem] = []
    record = read_yaml(path, found, "hypothesis file", "see `acdc schema` for what may stand in it")
    if record is None:
        raise BadHypothesisFile(*map(str, found))
    form = None
    try:
        form = HypothesisForm.model_validate(plain(Field(record, record.place).value))
    except ValidationError as error:
        found += problems(HypothesisForm, record, error)
    reader = _Reader(path, record, model)
    hypothesis = reader.hypothesis(form) if form else None
    if found or reader.wrong or hypothesis is None:
        told = [(_line(problem.place), str(problem)) for problem in found] + reader.wrong
        raise BadHypothesisFile(*(text for _, text in sorted(told)))
    return hypothesis


class _Reader:
    """One file being read, and what is wrong in it: each time the line and the message."""

    def __init__(self, path: Path, record: Record, model: str | None) -> None:
        self.path = path
        self.record = record
        self.model = model
        self.wrong: list[tuple[int, str]] = []

    def hypothesis(self, form: HypothesisForm) -> Hypothesis | None:
        circuit = self._circuit(form.circuit)
        task = self._task(form.task, "task")
        recorded: dict[str, baselines.Baseline] = {}
        try:
            recorded = baselines.load(baselines.path_of(self.path))
        except AcdcError as error:
            self._note(error)
        others = {name: self._task(name, "claims", "specificity", name) for name in form.claims.specificity or ()}
        against = self._against(form.claims.edges)
        if task is None or circuit is None:
            return None
        model = self._model(self.model or form.model or task[0].model)
        setup = self._setup(form, circuit)
        subject = Subject(*task, model, setup)
        claims = tuple(self._claims(form, subject, others, against))
        hypothesis = Hypothesis(self.path, subject, circuit, self._place("circuit"), claims, recorded)
        if not self.wrong:
            self._check(hypothesis)
        return hypothesis

    def _claims(
        self, form: HypothesisForm, subject: Subject, others: dict[str, tuple[Task, str] | None], against: Circuit | None
    ) -> list[Claim]:
        found = []
        for kind in type(form.claims).model_fields:
            given: Any = getattr(form.claims, kind)
            match given:
                case EdgesForm():
                    found.append(Claim("edges", _bound(given), self._place("claims", kind), against=against))
                case BoundForm():
                    found.append(Claim(kind, _bound(given), self._place("claims", kind)))  # type: ignore[arg-type]
                case dict():
                    # another task is measured by its own metric
                    setup = Setup(None, *(getattr(subject.setup, k) for k in ("ablation", "prompts", "seed", "device", "dtype")))
                    for name, bound in given.items():
                        if task := others[name]:
                            other = Subject(*task, subject.model, setup)
                            found.append(Claim("specificity", _bound(bound), self._place("claims", kind, name), other))
        return found

    def _task(self, name: str, *place: str) -> tuple[Task, str] | None:
        """The task of that name, and what tells it from others."""
        try:
            if name in tasks.names():
                return tasks.get(name), name
            near = self.path.parent / name
            return tasks.get(near if near.is_file() else name), name
        except TaskError as error:
            self._note(error, *place)
            return None

    def _model(self, name: str) -> str:
        """The model's name, or its path where it is a directory's beside the file."""
        if self.model is None and not is_directory(name):
            near = self.path.parent / name
            if near.is_dir() and (near / "config.json").is_file():
                name = str(near)
        try:
            resolve(name)
        except AcdcError as error:
            self._note(error, "model" if "model" in self.record.fields else "task")
        return name

    def _circuit(self, given: str | list[str]) -> Circuit | Listed | None:
        if isinstance(given, list):
            items = self.record.fields["circuit"].value
            assert isinstance(items, list)
            return Listed(tuple((name, item.place) for name, item in zip(given, items, strict=True)))
        return self._load(given, "circuit")

    def _against(self, given: EdgesForm | None) -> Circuit | None:
        if given is None or given.against is None:
            return None
        return self._load(given.against, "claims", "edges", "against")

    def _load(self, file: str, *place: str) -> Circuit | None:
        try:
            return Circuit.load(self.path.parent / file)
        except GraphsError as error:
            self._note(error, *place)
            return None

    def _setup(self, form: HypothesisForm, circuit: Circuit | Listed) -> Setup:
        """As the file says; what it leaves out is as the circuit was found, where that is known."""
        given = {name: value for name, value in form.setup.model_dump().items() if value is not None}
        usual = Setup()
        if isinstance(circuit, Circuit):
            try:
                usual = recorded_setup(circuit)
            except BadCircuitFile:  # it need not say
                pass
        kept = {name: getattr(usual, name) for name in type(form.setup).model_fields}
        return Setup(**{**kept, **given})

    def _check(self, hypothesis: Hypothesis) -> None:
        """Note what of the circuit is not in the model, as far as the model's configuration tells."""
        where = Path(resolve(hypothesis.subject.model))
        graph = graph_of_checkpoint(where) if where.is_dir() else None
        if graph is None:
            return
        try:
            circuit = hypothesis.circuit_in(graph)
            for claim in hypothesis.claims:
                if claim.against is not None and claim.against.graph != circuit.graph:
                    raise WrongModel("this circuit is of another model; give one of the same model")
        except BadHypothesisFile as error:
            self.wrong += [(_line(text.split(": ")[0]), text) for text in error.problems]
        except WrongModel as error:
            self._note(error, "claims", "edges", "against")

    def _note(self, error: Exception, *place: str) -> None:
        where = f"{self._place(*place)}: " if place else ""
        told = str(error).replace("\n", "\n  ")
        self.wrong.append((_line(where.removesuffix(": ")), f"{where}{told}"))

    def _place(self, *keys: str) -> str:
        here = Field(self.record, self.record.place)
        for key in keys:
            assert isinstance(here.value, Record)
            here = here.value.fields[key]
        return here.place


def _bound(form: BoundForm) -> Bound:
    return Bound(form.at_least, form.at_most, form.tolerance)


def _line(place: str) -> int:
    line = place.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
