"""A behaviour file: the YAML in which a user describes a task, with its prompts inside or in a table beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from string import Template

from tasks.errors import BadBehaviourFile, BadPrompts, PromptProblem, nearest
from tasks.files.behaviour_slots import FileSlots, filled, read_slots
from tasks.files.records import Field, Keys, Record, describe, read_table, read_yaml
from tasks.known_metrics import METRICS, metric_names
from tasks.pairs import AnswersAs
from tasks.prompts import AbstractPromptSource, ListedPrompts, TemplatePrompts
from tasks.slots import Slots
from tasks.task import NAME, About, Task, Variation
from tasks.tokenisation import TextPair

_FILE_KEYS = Keys(required=("name", "model", "metric", "prompts"), optional=("about", "answers", "slots", "variations"))
_VARIATION_KEYS = Keys(required=("about", "prompts"))
_PROMPT_KEYS = Keys(required=("clean", "corrupt", "answer", "distractor"), optional=("position", "template"))


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
#              beside `prompts`, words of several tokens are measured by their first token; `answers: whole`: by all)
# distractor   the token that must not come next; or a list of them
# position     (optional) counts the prompt's tokens; the token after it is predicted; -1, the last, if left out
# template     (optional) a name for prompts of the same wording
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
    problems.extend(_FILE_KEYS.check(record))
    name = _text(record, "name", problems)
    if name and not re.fullmatch(NAME, name):
        wanted = "letters, digits, '_', '-' and '.', the first a letter or digit"
        place = record.fields["name"].place
        problems.append(
            PromptProblem("this name cannot be part of a folder's name", repr(name), wanted, "rename it", place)
        )
    model = _beside(_text(record, "model", problems), path)
    measured = _text(record, "metric", problems)
    if measured and not any(measured == own or measured in entry.aliases for own, entry in METRICS.items()):
        place = record.fields["metric"].place
        remedy = nearest(measured, metric_names())
        problems.append(PromptProblem("unknown metric", repr(measured), "a metric's name", remedy, place))
    sentence = _text(record, "about", problems) or f"The behaviour described in {path.name}."
    slots = read_slots(record.fields.get("slots"), problems)
    answers_as = _answers_as(record.fields.get("answers"), problems)
    if measured and not problems:
        _check_metric(measured, answers_as, record.fields["metric"].place, problems)
    prompts = _prompts(record.fields.get("prompts"), path, slots, 4, problems)
    variations = _variations(record.fields.get("variations"), path, slots, problems)
    if problems:
        raise BadBehaviourFile(*sorted(problems, key=lambda problem: _reading_order(problem, path)))
    if answers_as != "one-token":
        prompts = _measured(prompts, answers_as)
        variations = tuple(replace(each, prompts=_measured(each.prompts, answers_as)) for each in variations)
    return Task(name, About(sentence), model, measured, prompts, variations=variations)


def _answers_as(field: Field | None, problems: list[PromptProblem]) -> AnswersAs:
    match field:
        case None:
            return "one-token"
        case Field("one-token" | "first-token" | "whole" as known):
            return known
    wanted = (
        "one-token (each is one token), first-token (of several tokens the first is measured) or whole (by the log "
        "probability of all their tokens)"
    )
    what, remedy = "'answers' says nothing known", "leave it out where every answer is one token"
    problems.append(PromptProblem(what, describe(field.value), wanted, remedy, field.place))
    return "one-token"


def _check_metric(name: str, answers_as: AnswersAs, place: str, problems: list[PromptProblem]) -> None:
    """Add a problem where the metric does not measure such answers."""
    from tasks.metrics import metric  # it loads torch, which most of what reads behaviour files does without

    try:
        metric(name).require(whole=answers_as == "whole")
    except BadPrompts as error:
        problems += [replace(problem, place=place) for problem in error.problems]


def _measured(prompts: AbstractPromptSource, answers_as: AnswersAs) -> AbstractPromptSource:
    """The same prompts, their answers and distractors measured in this way."""
    match prompts:
        case ListedPrompts(texts, places):
            return ListedPrompts(tuple(replace(text, answers_as=answers_as) for text in texts), places)
        case TemplatePrompts(_, Slots(choices, write)):

            def written(words: Mapping[str, str]) -> TextPair | None:
                pair = write(words)
                return None if pair is None else replace(pair, answers_as=answers_as)

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
    """Return the edge cases that a file names."""
    match field:
        case None:
            return ()
        case Field(Record(fields)):
            return tuple(_variation(name, each, path, slots, problems) for name, each in fields.items())
        case Field(value, place):
            wanted, remedy = "a mapping of names to edge cases", "write `NAME: {about: ..., prompts: [...]}`"
            problems.append(PromptProblem("'variations' is of the wrong kind", describe(value), wanted, remedy, place))
            return ()


def _variation(name: str, field: Field, path: Path, slots: FileSlots, problems: list[PromptProblem]) -> Variation:
    record = field.value
    if not isinstance(record, Record):
        what, wanted = f"the variation {name!r} is of the wrong kind", "a mapping with about, prompts"
        problems.append(PromptProblem(what, describe(record), wanted, "name its fields", field.place))
        return Variation(name, "", ListedPrompts((), ()))
    problems.extend(_VARIATION_KEYS.check(record))
    about = _text(record, "about", problems)
    return Variation(name, about, _prompts(record.fields.get("prompts"), path, slots, 2, problems))


def _prompts(
    field: Field | None, path: Path, slots: FileSlots, fewest: int, problems: list[PromptProblem]
) -> AbstractPromptSource:
    """Return the usable prompts of a list or a table, and add a problem for each of the others.

    With slots they are templates, of which one is enough.
    """
    told = len(problems)
    match field:
        case None:
            return ListedPrompts((), ())
        case Field(str(table), place) if table:
            rows = read_table(path.parent / os.path.expanduser(table), _PROMPT_KEYS, problems)
        case Field(list(items), place):
            rows = [row for item in items if (row := _inline(item, problems))]
        case Field(value, place):
            wanted = "a list of prompts or the path of a .jsonl or .csv file"
            problems.append(
                PromptProblem(
                    "'prompts' is of the wrong kind", describe(value), wanted, f"list at least {fewest}", place
                )
            )
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
    if len(rows) < fewest and len(problems) == told:
        wanted = "at least 4: 2 for discovery and 2 for judgement" if fewest == 4 else f"at least {fewest}"
        problems.append(PromptProblem("there are too few prompts", str(len(rows)), wanted, "write more", place))
    return ListedPrompts(tuple(pair for pair, _ in pairs), tuple(here for _, here in pairs))


def _inline(item: Field, problems: list[PromptProblem]) -> Record | None:
    if isinstance(item.value, Record):
        problems.extend(_PROMPT_KEYS.check(item.value))
        return item.value
    wanted = "a mapping with " + ", ".join(_PROMPT_KEYS.required)
    problems.append(
        PromptProblem("this prompt is of the wrong kind", describe(item.value), wanted, "name its fields", item.place)
    )
    return None


def _pair(row: Record, problems: list[PromptProblem]) -> TextPair | None:
    """Return the prompt that a row describes, or None and add every problem that needs no tokenizer to be seen."""
    told = len(problems)
    clean, corrupt = _text(row, "clean", problems), _text(row, "corrupt", problems)
    answers, distractors = _words(row, "answer", problems), _words(row, "distractor", problems)
    position = _position(row, problems)
    template = _text(row, "template", problems)
    if clean and clean == corrupt:
        wanted, remedy = "prompts that differ", "change what the behaviour depends on in the corrupt prompt"
        problems.append(PromptProblem("clean and corrupt prompt are identical", repr(clean), wanted, remedy, row.place))
    if both := sorted(set(answers) & set(distractors)):
        wanted, remedy = "answers that differ from the distractors", "remove it from one of the two"
        problems.append(PromptProblem("an answer is a distractor too", f"{both} in both", wanted, remedy, row.place))
    if len(problems) > told or not (clean and corrupt and answers and distractors):
        return None
    return TextPair(clean, corrupt, answers, distractors, position, template)


def _text(record: Record, key: str, problems: list[PromptProblem]) -> str:
    """Return a field's text; "" where it is not given (which the keys' check tells) or is no text (told here)."""
    field = record.fields.get(key)
    if field is None:
        return ""
    return _checked_text(key, field, problems)


def _words(record: Record, key: str, problems: list[PromptProblem]) -> tuple[str, ...]:
    """Return a field that holds one text or a list of texts."""
    match record.fields.get(key):
        case None:
            return ()
        case Field(list(items), place) if not items:
            problems.append(
                PromptProblem(f"{key!r} holds nothing", "an empty list", "at least one text", "write one", place)
            )
            return ()
        case Field(list(items)):
            return tuple(_checked_text(key, item, problems) for item in items)
        case field:
            return (_checked_text(key, field, problems),)


def _checked_text(key: str, field: Field, problems: list[PromptProblem]) -> str:
    if isinstance(field.value, str) and field.value:
        return field.value
    got = describe(field.value)
    problems.append(
        PromptProblem(
            f"{key!r} is not a text", got, "a text of at least one character", "write it in quotes", field.place
        )
    )
    return ""


def _position(record: Record, problems: list[PromptProblem]) -> int:
    match record.fields.get("position"):
        case None:
            return -1
        case Field(int(number)) if not isinstance(number, bool):
            return number
        case Field(str(text)) if re.fullmatch(r"-?\d{1,9}", text):
            return int(text)
        case Field(value, place):
            remedy = "write -1 for the last token or leave it out"
            problems.append(
                PromptProblem("'position' is not a place", describe(value), "a whole number", remedy, place)
            )
            return -1
