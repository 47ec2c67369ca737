"""From a hypothesis file to a `Hypothesis`, or to everything that is wrong with the file, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from acdc import tasks
from acdc.errors import AcdcError, BadBaseline, BadHypothesisFile
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.configuration import graph_of_checkpoint
from acdc.graphs.errors import BadCircuitFile, BadName, GraphsError
from acdc.graphs.nodes import Node
from acdc.hypotheses import baselines
from acdc.hypotheses.baselines import Baseline
from acdc.hypotheses.form import BoundForm, CounterexampleForm, CounterexamplesForm, HypothesisForm
from acdc.hypotheses.hypothesis import (
    Bound,
    Claim,
    ClaimedRole,
    ClaimKind,
    ClaimSubject,
    Hypothesis,
    Listed,
    require_graph,
)
from acdc.judges.same_subject import Given
from acdc.models import expanded, is_gguf, name_of, resolve
from acdc.provenance import Provenance
from acdc.settings import Setup
from acdc.tasks.errors import PromptProblem, TaskError
from acdc.tasks.files.records import Field, Record, Value, read_yaml
from acdc.tasks.files.wording import plain, problems
from acdc.tasks.pairs import Scoring, TextPair
from acdc.tasks.prompts import ListedPrompts
from acdc.tasks.task import Task

if TYPE_CHECKING:
    from acdc.graphs.model import Model

NAMES = "test_*.acdc.yaml"
"""What a hypothesis file is called."""


def load(path: Path, model: str | Model | None = None, in_memory: Sequence[Task] = ()) -> Hypothesis:
    """The hypothesis in that file, about another model where one is given, loaded or by its name.

    A task made in Python, one of those `in_memory`, is meant where the file names it, before any other of that name.

    Where the model's graph can be told from its configuration alone, the circuit is checked against it.

    Raises: BadHypothesisFile with every mistake found, each with its file and line.
    """
    found: list[PromptProblem] = []
    record = read_yaml(path, found, "hypothesis file", "see `acdc schema` for what may stand in it")
    if record is None:
        raise BadHypothesisFile(*map(str, found))
    form = None
    try:
        form = HypothesisForm.model_validate(plain(record))
    except ValidationError as error:
        found += problems(HypothesisForm, record, error)
    named = _Named(path, record, model, in_memory)
    wrong = [(_line(problem.place), str(problem)) for problem in found] + named.wrong
    if wrong or form is None:
        raise BadHypothesisFile(*(text for _, text in sorted(wrong)))
    return _hypothesis(form, named)


def _hypothesis(form: HypothesisForm, named: _Named) -> Hypothesis:
    """What a file without mistakes says."""
    assert named.task is not None
    assert named.circuit is not None
    usual = Setup()
    if isinstance(named.circuit, Circuit):
        with suppress(BadCircuitFile):  # it need not say how it was found
            usual = Provenance.of(named.circuit).setup()
    given = {name: value for name, value in form.setup.model_dump().items() if value is not None}
    dtype = given.pop("dtype", None)
    setup = replace(usual.under(given.pop("ablation", None)), **given).on(dtype=dtype)
    fine_as = named.circuit if isinstance(named.circuit, Circuit) else None
    by_position = named.circuit.by_position if isinstance(named.circuit, Listed) else named.circuit.graph.spans
    own = replace(setup, positions="slots" if by_position else "none")
    subject = ClaimSubject(named.task, form.task, named.model, own, fine_as, named.given)
    claims: list[Claim] = []
    for kind in get_args(ClaimKind):
        place = named.place("claims", kind)
        match getattr(form.claims, kind):
            case CounterexamplesForm(prompts=prompts) as bound:
                listed = ListedPrompts(
                    tuple(_pair(prompt) for prompt in prompts), named.places("claims", kind, "prompts")
                )
                claims.append(Claim(kind, _bound(bound), place, prompts=listed))
            case BoundForm() as bound:
                against = named.against if kind == "edges" else None
                claims.append(Claim(kind, _bound(bound), place, against=against))
            case dict() as heads if kind == "roles":
                for name, role in heads.items():
                    claimed = ClaimedRole(Node.parse(name), role)
                    claims.append(Claim(kind, Bound(low=1.0), named.place("claims", kind, name), against=claimed))
            case dict() as bounds:
                for name, bound in bounds.items():
                    measured = replace(setup, metric=bound.metric, positions="none")
                    other = ClaimSubject(named.others[name], name, named.model, measured, fine_as)
                    claims.append(Claim(kind, _bound(bound), named.place("claims", kind, name), other))
    return Hypothesis(named.path, subject, named.circuit, named.place("circuit"), tuple(claims), named.recorded)


class _Named:
    """What a file names, read from where it is, and what is wrong with it: each time the line and the message.

    It goes by the record, not by the form, so that a mistake in one place hides none in another.
    """

    def __init__(self, path: Path, record: Record, model: str | Model | None, in_memory: Sequence[Task] = ()) -> None:
        self.path, self._in_memory = path, {task.name: task for task in in_memory}
        self._loaded = None if isinstance(model, str) else model
        self.wrong: list[tuple[int, str]] = []
        self._record = record
        self.task = self._task(self._text("task"), "task")
        self.others = {
            name: task for name in self._others() if (task := self._task(name, "claims", "specificity", name))
        }
        self.circuit = self._circuit()
        self.against = self._load(self._text("claims", "edges", "against"), "claims", "edges", "against")
        self._check_heads()
        self.recorded: dict[str, Baseline] = {}
        try:
            self.recorded = baselines.load(baselines.path_of(path))
        except BadBaseline as error:
            self.wrong.append((0, str(error)))
        other = name_of(self._loaded) if self._loaded else model
        own = self._text("model")
        self.model = str(other or self._beside(own) or (self.task.model if self.task else ""))
        self.given = Given(task=not self._same_task(), model=bool(other or own))
        self._check_circuit(self._graph("task" if other or not own else "model"))

    def place(self, *keys: str) -> str:
        """Where a value stands, or the nearest one around it."""
        here = Field(self._record, self._record.place)
        for key in keys:
            if not isinstance(here.value, Record) or key not in here.value.fields:
                break
            here = here.value.fields[key]
        return here.place

    def places(self, *keys: str) -> tuple[str, ...]:
        """Where the items of a list stand."""
        items = self._value(*keys)
        return tuple(item.place for item in items) if isinstance(items, list) else ()

    def _value(self, *keys: str) -> Value:
        value: Value = self._record
        for key in keys:
            if not isinstance(value, Record) or key not in value.fields:
                return None
            value = value.fields[key].value
        return value

    def _text(self, *keys: str) -> str:
        value = self._value(*keys)
        return value if isinstance(value, str) else ""

    def _others(self) -> list[str]:
        specificity = self._value("claims", "specificity")
        return list(specificity.fields) if isinstance(specificity, Record) else []

    def _task(self, name: str, *place: str) -> Task | None:
        """The task of that name, or in that behaviour file."""
        if not name:
            return None
        if name in self._in_memory:
            return self._in_memory[name]
        try:
            near = self.path.parent / expanded(name)
            return tasks.get(near if name not in tasks.names() and near.is_file() else name)
        except TaskError as error:
            self._note(error, *place)
            return None

    def _same_task(self) -> bool:
        """Whether the task is the one that the circuit's record names."""
        if not isinstance(self.circuit, Circuit) or self.task is None:
            return False
        own = Provenance.of(self.circuit).task
        return own is not None and own.name == self.task.name

    def _beside(self, model: str) -> str:
        """A model's name, or its path where it is a checkpoint or a GGUF file beside the file."""
        near = self.path.parent / expanded(model)
        return str(near) if model and ((near / "config.json").is_file() or is_gguf(str(near))) else model

    def _circuit(self) -> Circuit | Listed | None:
        match self._value("circuit"):
            case str(file):
                return self._load(file, "circuit")
            case list(items):
                return Listed(tuple((item.value, item.place) for item in items if isinstance(item.value, str)))
            case _:
                return None

    def _load(self, file: str, *place: str) -> Circuit | None:
        if not file:
            return None
        try:
            return Circuit.load(self.path.parent / expanded(file))
        except GraphsError as error:
            self._note(error, *place)
            return None

    def _graph(self, place: str) -> ComputationalGraph | None:
        """The model's graph, as far as its configuration tells it."""
        if self._loaded is not None:
            return self._loaded.graph
        if not self.model:
            return None
        try:
            where = Path(resolve(self.model))
        except AcdcError as error:
            self._note(error, place)
            return None
        return graph_of_checkpoint(where) if where.is_dir() else None

    def _check_circuit(self, graph: ComputationalGraph | None) -> None:
        """Note what of the circuit is not in the model, or no name at all where nothing is known of the model."""
        for circuit, keys in ((self.circuit, ("circuit",)), (self.against, ("claims", "edges", "against"))):
            try:
                if isinstance(circuit, Listed):
                    circuit.check(graph)
                elif circuit is not None and graph is not None:
                    require_graph(circuit.graph.whole, graph.whole, self.model, self.place(*keys))
            except BadHypothesisFile as error:
                self.wrong += [(_line(text.split(": ")[0]), text) for text in error.problems]

    def _check_heads(self) -> None:
        """Note what is no head's name in the claims of roles."""
        claimed = self._value("claims", "roles")
        for name in claimed.fields if isinstance(claimed, Record) else ():
            try:
                if Node.parse(name).kind != "head":
                    raise BadName(f"{name!r} is no head; roles are those of heads, written 'a5.h3'")
            except BadName as error:
                self._note(error, "claims", "roles", name)

    def _note(self, error: Exception, *keys: str) -> None:
        place = self.place(*keys)
        message = str(error).replace("\n", "\n  ")
        self.wrong.append((_line(place), f"{place}: {message}"))


def _bound(form: BoundForm) -> Bound:
    return Bound(form.at_least, form.at_most, form.tolerance)


def _pair(form: CounterexampleForm) -> TextPair:
    answers, distractors = (
        (words,) if isinstance(words, str) else tuple(words) for words in (form.answer, form.distractor)
    )
    return TextPair(form.clean, form.corrupt, answers, distractors, Scoring(form.position, form.answers))


def _line(place: str) -> int:
    line = place.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
