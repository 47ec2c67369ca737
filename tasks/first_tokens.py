"""Answers of several tokens that are measured by one of them: their first, or the first at which they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from acdc.tasks.encoding import Encoded
from acdc.tasks.errors import PromptProblem
from acdc.tasks.pairs import AnswersAs, TextPair, Tokenizer

_Parts = TypeVar("_Parts", str, tuple[int, ...])


def first_tokens(
    words: tuple[str, ...], clean: Encoded, tokenizer: Tokenizer, problems: list[PromptProblem]
) -> tuple[str, ...]:
    """Return what of each word its first token writes after the clean prompt; a word of one token is left as it is."""
    cut = []
    for word in words:
        whole, length = clean.joined(word, tokenizer), len(clean.ids)
        if whole[:length] != clean.ids or len(whole) <= length + 1:
            cut.append(word)
            continue
        beginnings = (word[:end] for end in range(len(word) - 1, 0, -1))
        first = next((text for text in beginnings if clean.joined(text, tokenizer) == whole[: length + 1]), None)
        if first is None:
            got = f"{word!r} -> {tokenizer.convert_ids_to_tokens(list(whole[length:]))}"
            wanted, remedy = "a first token that is a text by itself", "use a word that begins otherwise"
            problems.append(
                PromptProblem("a word cannot be measured by its first token", got, wanted, remedy, words=(word,))
            )
        cut.append(first or word)
    return tuple(cut)


def at_first_difference(text: TextPair, clean: Encoded, tokenizer: Tokenizer) -> TextPair:
    """The pair whose prompts go on to where its answers and distractors differ, to be measured by their next token.

    What all of them begin with is put at the end of both prompts, as far as it leaves a token of each and is written
    there as it is in the words: ` 14` and ` 17`, if written ` `, `1`, `4` and ` `, `1`, `7`, become `4` and `7` after
    `... 1`. Words that begin alike after that count once, among the answers or the distractors; of an answer and a
    distractor that do, none else is left to tell. Words of one token are left as they are.
    """
    written: dict[str, tuple[int, ...]] = {}
    shared: tuple[int, ...] | None = None
    for word in _in_turns(text):
        ids = written[word] = clean.joined(word, tokenizer)
        if ids[: len(clean.ids)] != clean.ids or not clean.own:
            return _measured(text, "one-token")  # which is refused, and told why
        shared = ids if shared is None else _shared(shared, ids)
        if len(shared) == len(clean.ids) and (alike := _alike(text, written, len(shared))):
            return _measured(replace(text, answers=alike[:1], distractors=alike[1:]), "first-token")
    if {len(ids) - len(clean.ids) for ids in written.values()} == {1}:
        return _measured(text, "one-token")
    at, beginning = len(clean.ids), ""
    if text.scoring.position % clean.own == clean.own - 1:
        at, beginning = _longest_beginning(clean, written, tokenizer)
    sides = [
        tuple({written[word][at : at + 1]: word for word in reversed(side)}.values())[::-1]
        for side in (text.answers, text.distractors)
    ]
    answers, distractors = (tuple(word[len(beginning) :] for word in side) for side in sides)
    moved = replace(text, clean=text.clean + beginning, corrupt=text.corrupt + beginning)
    is_one = all(len(written[word]) == at + 1 for side in sides for word in side)
    moved = replace(moved, answers=answers, distractors=distractors)
    return _measured(moved, "one-token" if is_one else "first-token")


def _measured(text: TextPair, answers_as: AnswersAs) -> TextPair:
    return replace(text, scoring=replace(text.scoring, answers_as=answers_as))


def _in_turns(text: TextPair) -> tuple[str, ...]:
    """The words, the first and the last of each side before the others: if numbers are in order, these are nearest."""
    ends = (text.answers[0], text.distractors[0], text.answers[-1], text.distractors[-1])
    return tuple(dict.fromkeys((*ends, *text.answers, *text.distractors)))


def _alike(text: TextPair, written: Mapping[str, tuple[int, ...]], at: int) -> tuple[str, ...]:
    """An answer and a distractor that go on with the same token, if there are."""
    answers, distractors = (
        {written[word][at : at + 1]: word for word in side if word in written}
        for side in (text.answers, text.distractors)
    )
    return next(((answers[ids], distractors[ids]) for ids in answers if ids in distractors), ())


def _longest_beginning(clean: Encoded, written: Mapping[str, tuple[int, ...]], tokenizer: Tokenizer) -> tuple[int, str]:
    """Up to where all the words are written alike and go on, and the text that is written just so after the prompt."""
    first, last = min(written), max(written)  # which differ the soonest
    shared = _shared(first, last)[: min(map(len, written)) - 1]
    alike = min(written.values()), max(written.values())
    most = min(len(_shared(*alike)), min(map(len, written.values())) - 1)
    for at in range(most, len(clean.ids), -1):
        for end in range(len(shared), 0, -1):
            if clean.joined(shared[:end], tokenizer) == written[first][:at]:
                return at, shared[:end]
    return len(clean.ids), ""


def _shared(one: _Parts, other: _Parts) -> _Parts:
    """What both begin with."""
    return one[: next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))]
