"""The slots of a behaviour file: words for the names in braces, which make templates of its prompts.

A slot takes any word of a list, or a whole row of words that go together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

from acdc.tasks.errors import PromptProblem, nearest
from acdc.tasks.files.records import Field, Record, describe
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Rows, Slots

_SLOT = re.compile(r"{([^{}]*)}")
_TEMPLATE = "template"
_OTHER = "other "
"""What the names of a row begin with where those of another row of the same slot are meant."""
_KINDS = "a mapping of names to lists of words, or a list of rows of words that go together"


@final
@dataclass(frozen=True)
class FileSlots:
    """The slots that a file names: the words of each, by its name, and those that whole rows fill."""

    free: Mapping[str, tuple[str, ...]]
    linked: tuple[Rows, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.free or self.linked)

    @property
    def names(self) -> tuple[str, ...]:
        """What may stand in braces."""
        columns = [column for rows in self.linked for column in rows.columns]
        return (*self.free, *columns, *(_OTHER + column for column in columns))

    def choices(self, used: set[str]) -> dict[str, tuple[str, ...]]:
        """What may fill each slot; that of another row is left out where none of its names is used."""
        found = dict(self.free)
        for rows in self.linked:
            found[rows.name] = rows.choices
            if used & {_OTHER + column for column in rows.columns}:
                found[_OTHER + rows.name] = rows.choices
        return found

    def spread(self, filling: Mapping[str, str], used: set[str]) -> list[dict[str, str]] | None:
        """The words that stand for the names used, those of each slot together; None where two slots share a word."""
        groups = [{name: filling[name]} for name in self.free]
        for rows in self.linked:
            groups.append(rows.words(filling[rows.name]))
            if (other := filling.get(_OTHER + rows.name)) is not None:
                groups.append({_OTHER + column: word for column, word in rows.words(other).items()})
        shown = [{name: word for name, word in group.items() if name in used} for group in groups]
        if any(set(one.values()) & set(two.values()) for one, two in combinations(shown, 2)):
            return None
        return shown


def read_slots(field: Field | None, problems: list[PromptProblem]) -> FileSlots:
    """Return the slots that a file names, and add a problem for each that cannot be used."""
    free: dict[str, tuple[str, ...]] = {}
    linked: list[Rows] = []
    match field:
        case None:
            pass
        case Field(Record(fields)):
            for name, each in fields.items():
                if name == _TEMPLATE:
                    problems.append(_reserved(each.place))
                if isinstance(each.value, list) and any(isinstance(item.value, Record) for item in each.value):
                    _read_rows(name, each.value, each.place, problems, free, linked)
                else:
                    free[name] = _choices(name, each, problems)
        case Field(list(items), place):
            _read_rows("", items, place, problems, free, linked)
        case Field(value, place):
            remedy = "write `NAME: [WORD, WORD]` or `- {NAME: WORD, NAME: WORD}`"
            problems.append(PromptProblem("'slots' is of the wrong kind", describe(value), _KINDS, remedy, place))
    slots = FileSlots(free, tuple(linked))
    names = [*slots.names, *(rows.name for rows in linked if rows.name not in rows.columns)]
    if field is not None and (twice := sorted({name for name in names if names.count(name) > 1})):
        wanted, remedy = "every name once", "rename one of the two"
        problems.append(
            PromptProblem("two slots have one name", ", ".join(map(repr, twice)), wanted, remedy, field.place)
        )
    return slots


def _choices(name: str, field: Field, problems: list[PromptProblem]) -> tuple[str, ...]:
    words = [item.value for item in field.value] if isinstance(field.value, list) else []
    texts = [word for word in words if isinstance(word, str) and word]
    if len(set(texts)) < 2 or len(texts) < len(words):
        got = describe(field.value) if len(texts) == len(words) else "a word that is no text"
        wanted, remedy = "a list of at least two different words", "write `[WORD, WORD]`"
        problems.append(PromptProblem(f"the slot {name!r} cannot be filled", got, wanted, remedy, field.place))
    return tuple(dict.fromkeys(texts))


def _read_rows(
    name: str,
    items: Sequence[Field],
    place: str,
    problems: list[PromptProblem],
    free: dict[str, tuple[str, ...]],
    linked: list[Rows],
) -> None:
    """Add the slot that these rows fill; where they cannot, names without words, so that prompts may use them."""
    before = len(problems)
    columns = next((tuple(item.value.fields) for item in items if isinstance(item.value, Record)), ())
    first: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    for item in items:
        row = _row(item, columns, problems)
        written = ", ".join(row)
        if row and written in first:
            wanted, remedy = "every row once", "remove one of the two"
            problems.append(
                PromptProblem(
                    "a row of words is given twice", f"that of {first[written]} again", wanted, remedy, item.place
                )
            )
        first.setdefault(written, item.place)
        rows.append(row)
    if len(items) < 2:
        what, wanted, remedy = "too few rows of words", "at least two rows", "write `- {NAME: WORD, NAME: WORD}`"
        problems.append(PromptProblem(what, str(len(items)), wanted, remedy, place))
    if _TEMPLATE in columns:
        problems.append(_reserved(items[0].place))
    if len(problems) > before:
        free.update({prefix + column: () for prefix in ("", _OTHER) for column in columns})
    else:
        linked.append(Rows(name or ", ".join(columns), columns, tuple(rows)))


def _row(item: Field, columns: tuple[str, ...], problems: list[PromptProblem]) -> tuple[str, ...]:
    """The words of a row by column; none where it lacks some."""
    record = item.value
    if not isinstance(record, Record) or set(record.fields) != set(columns) or not columns:
        got = f"a row with {', '.join(record.fields) or 'nothing'}" if isinstance(record, Record) else describe(record)
        wanted = f"a word for each of {', '.join(columns) or 'some names'}, as in the first row"
        remedy = "give every row the same names"
        problems.append(PromptProblem("a row of words differs from the others", got, wanted, remedy, item.place))
        return ()
    words = tuple(record.fields[column].value for column in columns)
    texts = tuple(word for word in words if isinstance(word, str) and word)
    if len(texts) < len(words):
        wanted = "a text of at least one character for each name"
        problems.append(
            PromptProblem("a row has a word that is no text", "a row with another kind", wanted, "write it", item.place)
        )
        return ()
    return texts


def _reserved(place: str) -> PromptProblem:
    return PromptProblem(
        "a slot is called like the choice of a prompt", repr(_TEMPLATE), "another name", "rename it", place
    )


def filled(
    templates: Sequence[tuple[TextPair, str]], slots: FileSlots, problems: list[PromptProblem]
) -> TemplatePrompts:
    """Prompts made of any template, with a word or a row in every slot and no word in two slots of a prompt.

    A problem is added, with the template's place, for every name in braces that is no slot.
    """
    for pair, place in templates:
        for name in sorted(_names(pair) - set(slots.names)):
            remedy = nearest(name, slots.names)
            problems.append(
                PromptProblem("a prompt has an unknown slot", repr(name), "the name of a slot", remedy, place)
            )

    def write(filling: Mapping[str, str]) -> TextPair | None:
        template = templates[int(filling[_TEMPLATE]) - 1][0]
        groups = slots.spread(filling, _names(template))
        if groups is None:
            return None
        words = {name: word for group in groups for name, word in group.items()}

        def fill(text: str) -> str:
            return _SLOT.sub(lambda slot: words[slot[1]], text)

        return replace(
            template,
            clean=fill(template.clean),
            corrupt=fill(template.corrupt),
            answers=tuple(map(fill, template.answers)),
            distractors=tuple(map(fill, template.distractors)),
            wording=Wording.of(filling, template.wording.template or filling[_TEMPLATE]),
        )

    used = set().union(*(_names(pair) for pair, _ in templates))
    which = tuple(str(number) for number in range(1, len(templates) + 1))
    return TemplatePrompts.of(Slots({**slots.choices(used), _TEMPLATE: which}, write))


def _names(pair: TextPair) -> set[str]:
    """The names in braces of a template."""
    return {
        name for text in (pair.clean, pair.corrupt, *pair.answers, *pair.distractors) for name in _SLOT.findall(text)
    }
