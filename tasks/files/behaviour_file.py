"""A behaviour file: the YAML in which a user describes a task, with its prompts inside or in a table beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from string import Template

from pydantic import ValidationError

from acdc.tasks.errors import BadBehaviourFile, BadPrompts, PromptProblem, nearest
from acdc.tasks.files.behaviour_form import BehaviourForm, PromptForm
from acdc.tasks.files.behaviour_slots import FileSlots, filled, read_slots
from acdc.tasks.files.forms import AbstractForm
from acdc.tasks.files.records import Columns, Field, Record, read_table, read_yaml
from acdc.tasks.files.wording import plain
from acdc.tasks.files.wording import problems as wrong_by_form
from acdc.tasks.pairs import AnswersAs, ChatTemplate, Scoring, TextPair, Wording
from acdc.tasks.prompts import AbstractPromptSource, ListedPrompts, TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task, Variation

_COLUMNS = Columns(
    tuple(name for name, field in PromptForm.model_fields.items() if field.is_required()),
    tuple(name for name, field in PromptForm.model_fields.items() if not field.is_required()),
)

_EXAMPLE = Template("""\
# A behaviour, shown by pairs of prompts. Find its circuit with `acdc discover` and this file's path.

name: "$name"
about: Makes the verb agree with its subject, not with a nearer noun.

# A folder with a checkpoint (looked up beside this file), a shipped model (`acdc models`), or a name on the Hugging
# Face hub.
model: $model

# What is measured: logit_difference, probability_difference, kl, nll, accuracy or l2; of whole answers
# log_probability_difference, kl, nll or accuracy.
metric: logit_difference

# At least 4 prompts, better 50; half of them find the circuit, the others judge it.
# clean        calls for the behaviour
# corrupt      is as long in tokens, but what the answer depends on has been changed
# answer       the token that should come next, with its leading space; or a list of them (with `answers: first-token`
#              beside `prompts`, words of several tokens are measured by their first token; `first-difference`: by the
#              first at which answers and distractors differ; `whole`: by all)
# distractor   the token that must not come next; or a list of them
# position     (optional) counts the prompt's tokens; the token after it is predicted; -1, the last, if left out
# template     (optional) a name for prompts of the same wording
# With `template: chat` beside `prompts`, each is what a user says to a chat model, and the answer is its first token.
# Instead of the list, `prompts: prompts.jsonl` or `prompts: prompts.csv` reads a table with these fields from the
# folder of this file. With `slots: {one: [key, dog], other: [cup, car]}` every prompt is a template, in which
# "The {one} near the {other}" and so on are filled at random, with different words in different slots. Words that go
# together are rows: with `slots: [{country: France, capital: Paris}, {country: Japan, capital: Tokyo}]` a prompt is
#   {clean: "The capital of {country} is", corrupt: "The capital of {other country} is", answer: " {capital}",
#    distractor: " {other capital}"}
prompts:
  - {clean: "The keys near the cabinet", corrupt: "The key near the cabinet", answer: " are", distractor: " is"}
  - {clean: "The cabinet near the keys", corrupt: "The cabinets near the keys", answer: " is", distractor: " are"}
  - {clean: "The book behind the lamps", corrupt: "The books behind the lamps", answer: " is", distractor: " are"}
  - {clean: "The books behind the lamp", corrupt: "The book behind the lamp", answer: " are", distractor: " is"}
  - {clean: "The teacher beside the cars", corrupt: "The teachers beside the cars", answer: " is", distractor: " are"}
  - {clean: "The doctors near the bridge", corrupt: "The doctor near the bridge", answer: " are", distractor: " is"}
  - {clean: "The dog under the tables", corrupt: "The dogs under the tables", answer: " is", distractor: " are"}
  - {clean: "The cats by the window", corrupt: "The cat by the window", answer: " are", distractor: " is"}
  - {clean: "The bird above the trees", corrupt: "The birds above the trees", answer: " is", distractor: " are"}
  - {clean: "The boats near the river", corrupt: "The boat near the river", answer: " are", distractor: " is"}
  - {clean: "The singer behind the doors", corrupt: "The singers behind the doors", answer: " is", distractor: " are"}
  - {clean: "The pictures beside the bed", corrupt: "The picture beside the bed", answer: " are", distractor: " is"}
  - {clean: "The pilot by the planes", corrupt: "The pilots by the planes", answer: " is", distractor: " are"}
  - {clean: "The farmers near the school", corrupt: "The farmer near the school", answer: " are", distractor: " is"}
  - {clean: "The cup under the chairs", corrupt: "The cups under the chairs", answer: " is", distractor: " are"}
  - {clean: "The letters behind the phone", corrupt: "The letter behind the phone", answer: " are", distractor: " is"}

# (optional) Edge cases: the behaviour in another surface, for which the circuit is tried too. At least 2 prompts each.
variations:
  a longer beginning:
    about: Other words come before the subject.
    prompts:
      - {clean: "I think that the keys near the door", corrupt: "I think that the key near the door", answer: " are",
         distractor: " is"}
      - {clean: "I think that the cup by the lamps", corrupt: "I think that the cups by the lamps", answer: " is",
         distractor: " are"}
""")


def load_behaviour_file(path: str | Path) -> Task:
    """Return the task that a behaviour file describes.

    Raises: BadBehaviourFile with every mistake in the file and in its table of prompts.
    """
    path = Path(path)
    problems: list[PromptProblem] = []
    record = read_yaml(path, problems)
    if record is None:
        raise BadBehaviourFile(*problems)
    problems += wrong_in(BehaviourForm, record)
    name, model, about = (_text(record, key) for key in ("name", "model", "about"))
    slots = read_slots(record.fields.get("slots"), problems)
    measured, answers_as = _text(record, "metric"), _answers_as(record)
    if not problems:
        _check_metric(measured, answers_as, record.fields["metric"].place, problems)
    prompts = _prompts(record.fields.get("prompts"), path, slots, 4, problems)
    variations = _variations(record.fields.get("variations"), path, slots, problems)
    spans = _spans(record.fields.get("spans"), slots, problems)
    if problems:
        raise BadBehaviourFile(*sorted(problems, key=lambda problem: _reading_order(problem, path)))
    chat = ChatTemplate(record.fields["template"].place) if _text(record, "template") == "chat" else None
    if answers_as != "one-token" or chat is not None or spans is not None:
        prompts = _measured(prompts, answers_as, chat, spans)
        variations = tuple(
            replace(each, prompts=_measured(each.prompts, answers_as, chat, spans)) for each in variations
        )
    sentence = about or f"The behaviour described in {path.name}."
    return Task(name, About(sentence), _beside(model, path), measured, prompts, variations=variations)


def wrong_in(form: type[AbstractForm], record: Record, *, keys: bool = True) -> list[PromptProblem]:
    """Everything in a record that a form does not allow, with its line; without `keys` not which keys there are."""
    try:
        form.model_validate(plain(record))
    except ValidationError as error:
        return wrong_by_form(form, record, error, keys=keys)
    return []


def _answers_as(record: Record) -> AnswersAs:
    match _text(record, "answers"):
        case "first-token" | "first-difference" | "whole" as known:
            return known
        case _:
            return "one-token"


def _check_metric(name: str, answers_as: AnswersAs, place: str, problems: list[PromptProblem]) -> None:
    """Add a problem where the metric does not measure such answers."""
    from acdc.tasks.metrics import metric  # it loads torch, which most of what reads behaviour files does without

    try:
        metric(name).require(whole=answers_as == "whole")
    except BadPrompts as error:
        problems += [replace(problem, place=place) for problem in error.problems]


def _spans(field: Field | None, slots: FileSlots, problems: list[PromptProblem]) -> tuple[str, ...] | None:
    """The slots that are spans, None where the file does not choose; a problem is added for what is no slot."""
    if field is None or not isinstance(field.value, list):
        return None
    for item in field.value:
        if isinstance(item.value, str) and item.value not in slots.names:
            remedy = nearest(item.value, slots.names) if slots else "leave out `spans`, or give the prompts `slots`"
            wanted = "the name of a slot"
            problems.append(PromptProblem("a span is no slot", repr(item.value), wanted, remedy, item.place))
    return tuple(item.value for item in field.value if isinstance(item.value, str))


def _measured(
    prompts: AbstractPromptSource, answers_as: AnswersAs, chat: ChatTemplate | None, spans: tuple[str, ...] | None
) -> AbstractPromptSource:
    """The same prompts, put into this template, their answers and distractors measured so, with these spans."""

    def measured(pair: TextPair) -> TextPair:
        scoring = replace(pair.scoring, answers_as=answers_as)
        return replace(pair, scoring=scoring, wording=replace(pair.wording, chat=chat, spans=spans))

    match prompts:
        case ListedPrompts(texts, places):
            return ListedPrompts(tuple(map(measured, texts)), places)
        case TemplatePrompts(_, Slots(choices, write)):

            def written(words: Mapping[str, str]) -> TextPair | None:
                pair = write(words)
                return None if pair is None else measured(pair)

            return TemplatePrompts.of(Slots(choices, written))
        case _:
            raise AssertionError(f"a behaviour file made {type(prompts).__name__}")


def example(name: str, model: str = "everyday-4l") -> str:
    """Return a commented behaviour file which runs as it is; what a task cannot be called is left out of its name."""
    return _EXAMPLE.substitute(name=re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "my_behaviour", model=model)


def _beside(model: str, file: Path) -> str:
    """The model's name, or the path of its directory where one of that name is beside the file."""
    directory = file.parent / os.path.expanduser(model)
    return str(directory.resolve()) if model and directory.is_dir() else model


def _reading_order(problem: PromptProblem, path: Path) -> tuple[bool, int]:
    """Return what sorts problems by line, those of the behaviour file before those of its table."""
    file, _, line = problem.place.rpartition(":")
    return file != str(path), int(line) if line.isdecimal() else 0


def _variations(
    field: Field | None, path: Path, slots: FileSlots, problems: list[PromptProblem]
) -> tuple[Variation, ...]:
    """The edge cases that a file names, as far as they are written as they must be."""
    if field is None or not isinstance(field.value, Record):
        return ()
    named = [(name, each.value) for name, each in field.value.fields.items() if isinstance(each.value, Record)]
    return tuple(
        Variation(name, _text(record, "about"), _prompts(record.fields.get("prompts"), path, slots, 2, problems))
        for name, record in named
    )


def _prompts(
    field: Field | None, path: Path, slots: FileSlots, fewest: int, problems: list[PromptProblem]
) -> AbstractPromptSource:
    """The usable prompts of a list or a table; a problem is added for each of the others.

    With slots they are templates, of which one is enough.
    """
    before = len(problems)
    match field:
        case Field(str(table), place) if table:
            rows = read_table(path.parent / os.path.expanduser(table), _COLUMNS, problems)
            in_header = table.lower().endswith(".csv")
            problems += [each for row in rows for each in wrong_in(PromptForm, row, keys=not in_header)]
        case Field(list(items), place):
            rows = [item.value for item in items if isinstance(item.value, Record)]
        case _:  # which the form has told
            return ListedPrompts((), ())
    pairs = [(pair, row.place) for row in rows if (pair := _pair(row, problems))]
    first: dict[str, str] = {}
    for pair, here in pairs:
        if pair.clean in first:
            got = f"the clean prompt of {first[pair.clean]} again"
            problems.append(
                PromptProblem("this prompt is given twice", got, "every clean prompt once", "remove one", here)
            )
        first.setdefault(pair.clean, here)
    if slots and rows:
        return filled(pairs, slots, problems)
    if len(rows) < fewest and len(problems) == before:
        wanted = "at least 4: 2 for discovery and 2 for judgement" if fewest == 4 else f"at least {fewest}"
        problems.append(PromptProblem("there are too few prompts", str(len(rows)), wanted, "write more", place))
    return ListedPrompts(tuple(pair for pair, _ in pairs), tuple(here for _, here in pairs))


def _pair(row: Record, problems: list[PromptProblem]) -> TextPair | None:
    """The prompt that a row describes, None where it describes none; its texts are checked against each other."""
    before = len(problems)
    clean, corrupt = _text(row, "clean"), _text(row, "corrupt")
    if clean and clean == corrupt:
        wanted, remedy = "prompts that differ", "change what the behaviour depends on in the corrupt prompt"
        problems.append(PromptProblem("clean and corrupt prompt are identical", repr(clean), wanted, remedy, row.place))
    answers, distractors = _words(row, "answer"), _words(row, "distractor")
    if both := sorted(set(answers) & set(distractors)):
        wanted, remedy = "answers that differ from the distractors", "remove it from one of the two"
        problems.append(PromptProblem("an answer is a distractor too", f"{both} in both", wanted, remedy, row.place))
    try:
        form = PromptForm.model_validate(plain(row))
    except ValidationError:  # what is wrong has been told
        return None
    if len(problems) > before:
        return None
    return TextPair(clean, corrupt, answers, distractors, Scoring(form.position), Wording(form.template or ""))


def _text(record: Record, key: str) -> str:
    """A field's text; "" where it is none."""
    field = record.fields.get(key)
    return field.value if field is not None and isinstance(field.value, str) else ""


def _words(record: Record, key: str) -> tuple[str, ...]:
    """The texts of a field that holds one or a list of them."""
    field = record.fields.get(key)
    values = (
        [] if field is None else [one.value for one in field.value] if isinstance(field.value, list) else [field.value]
    )
    return tuple(value for value in values if isinstance(value, str) and value)
