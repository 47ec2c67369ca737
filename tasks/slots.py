"""Prompts with slots: which words may fill each slot of a wording, and the prompt pair that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from math import prod
from typing import TypeVar, final

import numpy as np

from acdc.tasks.errors import TaskError
from acdc.tasks.pairs import TextPair, Tokenizer

_JOINT = ", "
"""What the words of a row stand between in a slot."""
_PATIENCE = 10_000
"""Random fillings in a row that make no prompt after which slots are taken to make none."""


@final
@dataclass(frozen=True)
class Slots:
    """What may fill each slot, and how a filling is written.

    `write` turns a word for every slot into a prompt pair whose `wording.filling` is just these words, or into None
    where they make none: where two people have the same name, say. What is not a word of the prompt, such as an order
    or the wording itself, can be a slot too.
    """

    choices: Mapping[str, tuple[str, ...]]
    write: Callable[[Mapping[str, str]], TextPair | None]

    @property
    def fillings(self) -> int:
        """How many fillings there are; no more prompts than these can be drawn."""
        return prod(len(words) for words in self.choices.values())

    def __repr__(self) -> str:
        return f"<Slots: {', '.join(f'{slot} ({len(words)})' for slot, words in self.choices.items())}>"

    def rewrite(self, pair: TextPair, slot: str, word: str) -> TextPair | None:
        """The pair with another word in one slot, wherever it stands in it; None where that makes no prompt.

        Raises: TaskError if the pair has no such slot or the slot does not take this word.
        """
        filling = dict(pair.wording.filling)
        if slot not in filling or word not in self.choices.get(slot, ()):
            raise TaskError(
                f"a slot cannot be filled so: got {slot!r} with {word!r}, wanted one of {sorted(filling)} with a word "
                "that its task lists for it; correct the slot or the word."
            )
        return self.write(filling | {slot: word})

    def draw(self, rng: np.random.Generator) -> TextPair:
        """A prompt pair with a random word in every slot, every choice as likely as the others.

        Raises: TaskError if 10,000 fillings in a row make no prompt.
        """
        for _ in range(_PATIENCE):
            pair = self.write({slot: words[rng.integers(len(words))] for slot, words in self.choices.items()})
            if pair is not None:
                return pair
        raise TaskError(
            f"these slots make no prompt: got {_PATIENCE:,} random fillings without one, wanted fillings that can be "
            f"written; give the slots {', '.join(map(repr, self.choices))} words that go together."
        )

    def where(self, admits: Callable[[Mapping[str, str]], bool]) -> Slots:
        """These slots without the fillings that are not admitted."""
        return Slots(self.choices, lambda words: self.write(words) if admits(words) else None)

    def of_one_token(self, tokenizer: Tokenizer) -> Slots:
        """These slots without words of several tokens, where a slot has two of one token at least.

        A row counts by its words, each of which is taken to follow a space.
        """

        unknown: int | None = getattr(tokenizer, "unk_token_id", None)

        def is_one(choice: str) -> bool:
            written = (tokenizer.encode(f" {word}", add_special_tokens=False) for word in choice.split(_JOINT))
            return all(len(ids) == 1 and ids != [unknown] for ids in written)

        short = {slot: tuple(filter(is_one, words)) for slot, words in self.choices.items()}
        return Slots({slot: short[slot] if len(short[slot]) > 1 else self.choices[slot] for slot in short}, self.write)


@final
@dataclass(frozen=True)
class Rows:
    """Words that go together, row by row, as a country and its capital do.

    A row as a whole fills one slot, which is called `name`; so no word ever stands beside one of another row. A prompt
    may have a second slot of the same rows, `other NAME`, for what stands in the corrupt prompt.

    Raises: TaskError unless there are two different rows at least, each with a word for every one of `columns`.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if min(len(set(self.choices)), 2) < 2 or len(set(self.choices)) < len(self.rows):
            raise TaskError(
                f"these rows cannot fill a slot: got {len(self.rows)}, of which {len(set(self.choices))} are "
                f"different, wanted at least two, each of them once; give the slot {self.name!r} other rows."
            )
        if any(len(row) != len(self.columns) for row in self.rows):
            raise TaskError(
                f"a row does not have a word for every column: got rows of {sorted({len(row) for row in self.rows})} "
                f"words, wanted {len(self.columns)} in each; complete the rows of the slot {self.name!r}."
            )

    @property
    def choices(self) -> tuple[str, ...]:
        """The rows as a slot's words: each row's own words, after each other."""
        return tuple(_JOINT.join(row) for row in self.rows)

    def two(self, templates: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The slots of a prompt pair about two of the rows, and of the number of its template."""
        which = tuple(str(number) for number in range(len(templates)))
        return {self.name: self.choices, f"other {self.name}": self.choices, "template": which}

    def words(self, choice: str) -> dict[str, str]:
        """The words of a row, by column."""
        return dict(zip(self.columns, self.rows[self.choices.index(choice)], strict=True))


_Word = TypeVar("_Word")


def numbered(slot: str, words: Sequence[_Word]) -> dict[str, _Word]:
    """The words, or what may stand for each, by the names of slots: `symbol 1`, `symbol 2` and so on."""
    return {f"{slot} {number}": word for number, word in enumerate(words, start=1)}


def listed(slot: str, words: Mapping[str, str]) -> list[str]:
    """What fills the slots that `numbered` names so, in their order, as many as there are."""
    return [words[name] for name in takewhile(words.__contains__, (f"{slot} {number}" for number in count(1)))]
