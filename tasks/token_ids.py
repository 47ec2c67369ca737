"""Prompts as token ids: written as text, so that they go wherever texts go, and read back without a tokenizer.

`token ids: 17 4 9` is a prompt and `5` the answer at its scored position; where a prompt is scored at several, `5 at 2`
is one at position 2, counted from 0. Answers that are measured whole are `5 6`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from acdc.tasks.errors import PromptProblem
from acdc.tasks.pairs import ScoredPosition, Scoring, TextPair, TokenPair, Wording
from acdc.tasks.whole import of_whole, overlaps

_MARK = "token ids: "
_IDS = re.compile(re.escape(_MARK) + r"\d{1,9}( \d{1,9})*")
_WORD = re.compile(r"(\d{1,9})(?: at (\d{1,9}))?")


def is_token_ids(text: TextPair) -> bool:
    """Whether a pair is written in token ids."""
    return text.clean.startswith(_MARK)


def write(
    clean: Sequence[int], corrupt: Sequence[int], scored: Sequence[ScoredPosition], template: str = ""
) -> TextPair:
    """The pair of these tokens as text."""
    several = len(scored) > 1

    def words(one: ScoredPosition, ids: Sequence[int]) -> list[str]:
        return [f"{token} at {one.position}" if several else str(token) for token in ids]

    return TextPair(
        clean=_MARK + " ".join(map(str, clean)),
        corrupt=_MARK + " ".join(map(str, corrupt)),
        answers=tuple(word for one in scored for word in words(one, one.answers)),
        distractors=tuple(word for one in scored for word in words(one, one.distractors)),
        scoring=Scoring(scored[-1].position),
        wording=Wording(template),
    )


def read(text: TextPair) -> tuple[TokenPair | None, tuple[PromptProblem, ...]]:
    """Return the tokens that a text of token ids stands for, or None and every reason why it stands for none."""
    sides = [text.clean, text.corrupt]
    if bad := [side for side in sides if not _IDS.fullmatch(side)]:
        return None, (_unreadable(bad[0], f"{_MARK}17 4 9"),)
    if text.scoring.answers_as == "whole":
        return _read_whole(text)
    words = (*text.answers, *text.distractors)
    if bad := [word for word in words if not _WORD.fullmatch(word)]:
        return None, (_unreadable(bad[0], "an answer such as 5, or 5 at 2 where several positions are scored"),)
    clean, corrupt = map(_ids, sides)
    problems = _of_ids(clean, corrupt)
    by_position: dict[int, tuple[list[int], list[int]]] = {}
    for role, part in enumerate((text.answers, text.distractors)):
        for word in part:
            token, at = word.partition(" at ")[::2]
            position = int(at) if at else text.scoring.position
            if not -len(clean) <= position < len(clean):
                problems.append(_outside(position, len(clean)))
            by_position.setdefault(position % len(clean), ([], []))[role].append(int(token))
    scored = tuple(ScoredPosition(at, tuple(right), tuple(wrong)) for at, (right, wrong) in sorted(by_position.items()))
    problems += [problem for one in scored for problem in _of_words(one)]
    return (None, tuple(problems)) if problems else (TokenPair(clean, corrupt, scored, text), ())


def _read_whole(text: TextPair) -> tuple[TokenPair | None, tuple[PromptProblem, ...]]:
    """The same where answers and distractors, of any number of ids each, follow the prompt."""
    if bad := [word for word in (*text.answers, *text.distractors) if not _IDS.fullmatch(_MARK + word)]:
        return None, (_unreadable(bad[0], "a whole answer such as 5 6"),)
    clean, corrupt = _ids(text.clean), _ids(text.corrupt)
    answers, distractors = (tuple(map(_ids, words)) for words in (text.answers, text.distractors))
    problems = [*_of_ids(clean, corrupt), *overlaps(answers, distractors)]
    if text.scoring.position not in (-1, len(clean) - 1):
        what, got = "a whole answer can only follow the end of its prompt", str(text.scoring.position)
        problems.append(PromptProblem(what, got, "-1, the last", "end the prompt where its answer begins"))
    for words in (answers, distractors):
        if twice := [list(word) for word in words if words.count(word) > 1]:
            problems.append(
                PromptProblem("an answer is given twice", str(twice[0]), "each once", "remove one of the two")
            )
    return (None, tuple(problems)) if problems else (of_whole(text, clean, corrupt, answers, distractors), ())


def _ids(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.removeprefix(_MARK).split()))


def _of_ids(clean: tuple[int, ...], corrupt: tuple[int, ...]) -> list[PromptProblem]:
    if clean == corrupt:
        wanted, remedy = "prompts that differ", "change what the behaviour depends on in the corrupt prompt"
        return [PromptProblem("clean and corrupt prompt are identical", f"{list(clean)} for both", wanted, remedy)]
    if len(clean) != len(corrupt):
        got, remedy = f"{len(clean)} and {len(corrupt)} tokens", "replace tokens only by as many tokens"
        return [PromptProblem("clean and corrupt prompt differ in length", got, "as many tokens in both", remedy)]
    return []


def _of_words(scored: ScoredPosition) -> list[PromptProblem]:
    here = f"at position {scored.position}"
    if not scored.answers or not scored.distractors:
        got = f"{len(scored.answers)} answers and {len(scored.distractors)} distractors {here}"
        wanted, remedy = "at least one of each at every scored position", "add what is missing"
        return [PromptProblem("a scored position cannot be measured", got, wanted, remedy)]
    ids = (*scored.answers, *scored.distractors)
    if twice := sorted({token for token in ids if ids.count(token) > 1}):
        got, wanted = f"{twice} twice {here}", "every answer and distractor once"
        return [PromptProblem("an answer is given twice or is a distractor too", got, wanted, "remove one of the two")]
    return []


def _outside(position: int, length: int) -> PromptProblem:
    wanted = f"{-length} to {length - 1}"
    return PromptProblem(
        "the scored position is outside the prompt", str(position), wanted, "use -1 for the last token"
    )


def _unreadable(text: str, wanted: str) -> PromptProblem:
    return PromptProblem(
        "these are no token ids", repr(text), wanted, "write whole numbers from 0, with spaces between"
    )
