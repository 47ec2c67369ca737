"""The slots of a behaviour file: words for the names in braces, which make templates of its prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from tasks.errors import Problem, nearest
from tasks.prompts import TemplatePrompts
from tasks.records import Field, Record, describe
from tasks.slots import Slots
from tasks.tokenisation import TextPair

Choices: TypeAlias = Mapping[str, tuple[str, ...]]
"""The words of each slot, by its name; none where a file has no slots."""

_SLOT = re.compile(r"{([^{}]*)}")
_TEMPLATE = "template"


def read_slots(field: Field | None, problems: list[Problem]) -> Choices:
    """Return the words of every slot that a file names, and add a problem for each that cannot be used."""
    match field:
        case None:
            return {}
        case Field(Record(fields)):
            return {name: _choices(name, each, problems) for name, each in fields.items()}
        case Field(value, place):
            wanted, remedy = "a mapping of names to lists of words", "write `NAME: [WORD, WORD]`"
            problems.append(Problem("'slots' is of the wrong kind", describe(value), wanted, remedy, place))
            return {}


def _choices(name: str, field: Field, problems: list[Problem]) -> tuple[str, ...]:
    if name == _TEMPLATE:
        wanted, remedy = "another name", "rename it"
        problems.append(
            Problem("a slot is called like the choice of a prompt", repr(name), wanted, remedy, field.place)
        )
    words = [item.value for item in field.value] if isinstance(field.value, list) else []
    texts = [word for word in words if isinstance(word, str) and word]
    if len(set(texts)) < 2 or len(texts) < len(words):
        got = describe(field.value) if len(texts) == len(words) else "a word that is no text"
        wanted, remedy = "a list of at least two different words", "write `[WORD, WORD]`"
        problems.append(Problem(f"the slot {name!r} cannot be filled", got, wanted, remedy, field.place))
    return tuple(dict.fromkeys(texts))


def filled(templates: Sequence[tuple[TextPair, str]], slots: Choices, problems: list[Problem]) -> TemplatePrompts:
    """Prompts made of any template, with a word in every slot and no word in two slots of a prompt.

    A problem is added, with the template's place, for every name in braces that is no slot.
    """
    for pair, place in templates:
        for name in sorted(_names(pair) - set(slots)):
            remedy = nearest(name, tuple(slots))
            problems.append(Problem("a prompt has an unknown slot", repr(name), "the name of a slot", remedy, place))

    def write(words: Mapping[str, str]) -> TextPair | None:
        template = templates[int(words[_TEMPLATE]) - 1][0]
        used = [words[name] for name in _names(template)]
        if len(set(used)) < len(used):
            return None

        def fill(text: str) -> str:
            return _SLOT.sub(lambda slot: words[slot[1]], text)

        return replace(
            template,
            clean=fill(template.clean),
            corrupt=fill(template.corrupt),
            answers=tuple(map(fill, template.answers)),
            distractors=tuple(map(fill, template.distractors)),
            template=template.template or words[_TEMPLATE],
            filling=tuple(words.items()),
        )

    which = tuple(str(place) for place in range(1, len(templates) + 1))
    return TemplatePrompts.of(Slots({**slots, _TEMPLATE: which}, write))


def _names(pair: TextPair) -> set[str]:
    """The names in braces of a template."""
    return {
        name for text in (pair.clean, pair.corrupt, *pair.answers, *pair.distractors) for name in _SLOT.findall(text)
    }
