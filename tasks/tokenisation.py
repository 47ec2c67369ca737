"""From a contrastive pair of texts to checked tokens, for any tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import AnswersAs
from acdc.tasks.pairs import TextPair as TextPair
from acdc.tasks.pairs import Tokenizer as Tokenizer
from acdc.tasks.pairs import TokenPair as TokenPair
from acdc.tasks.token_ids import is_token_ids, read
from acdc.tasks.whole import of_whole, overlaps

_OTHER_WORDS = (
    "use a word that this tokenizer writes as one token, or measure first tokens (answers: first-token) or whole "
    "answers (answers: whole)"
)


def tokenise(text: TextPair, tokenizer: Tokenizer | None) -> tuple[TokenPair | None, tuple[PromptProblem, ...]]:
    """Return the pair in tokens, or None and every reason why this tokenizer cannot express it.

    Special tokens are those the tokenizer itself puts before a text, once; what it puts after a text (EOS) is
    left out, as the answer goes there. Where answers are measured by their first tokens, the text of what is returned
    has just these for answers, so that it says what is measured. A pair of token ids is what it says, whatever the
    tokenizer.

    Raises: BadPrompts when there is no tokenizer for a text, or none that writes it in one way.
    """
    if is_token_ids(text):
        return read(text)
    if tokenizer is None:
        raise BadPrompts(
            PromptProblem(
                "a prompt of text needs a tokenizer",
                "a model that has none",
                "prompts as token ids",
                "use a task whose prompts are `tasks.TokenPrompts`, or give the model a tokenizer",
            )
        )
    clean = _Encoded.of(text.clean, tokenizer)
    corrupt = _Encoded.of(text.corrupt, tokenizer)
    problems = [*clean.problems("clean", tokenizer), *corrupt.problems("corrupt", tokenizer)]

    problems += [*_unlike(clean, corrupt, tokenizer), *_misplaced(text, clean, tokenizer)]
    measured = text
    if text.answers_as == "first-token":
        cut = [_first_tokens(words, clean, tokenizer, problems) for words in (text.answers, text.distractors)]
        measured = replace(text, answers=cut[0], distractors=cut[1])
    continuing = _Continuing(clean, tokenizer, text.answers_as, problems)
    answers = continuing.each("answer", measured.answers)
    distractors = continuing.each("distractor", measured.distractors)
    kind = " as first token" if text.answers_as == "first-token" else ""
    problems += overlaps(answers, distractors, lambda ids: f"{tokenizer.convert_ids_to_tokens(ids)}", kind)
    if problems:
        return None, tuple(problems)
    if text.answers_as == "whole":
        return of_whole(text, clean.ids, corrupt.ids, answers, distractors), ()
    right, wrong = (tuple(token for (token,) in words) for words in (answers, distractors))
    return TokenPair(clean.ids, corrupt.ids, clean.start + text.position % clean.own, right, wrong, measured), ()


def _unlike(clean: _Encoded, corrupt: _Encoded, tokenizer: Tokenizer) -> Iterator[PromptProblem]:
    """Why two prompts do not make a pair."""
    if clean.ids == corrupt.ids:
        yield PromptProblem(
            "clean and corrupt prompt are identical",
            f"{_shown(clean.ids, tokenizer)} for both",
            "prompts that differ",
            "change what the behaviour depends on in the corrupt prompt",
        )
    elif len(clean.ids) != len(corrupt.ids):
        yield PromptProblem(
            "clean and corrupt prompt differ in length",
            f"{_shown(clean.ids, tokenizer)} and {_shown(corrupt.ids, tokenizer)}",
            "as many tokens in both",
            "replace words only by words of as many tokens",
        )


def _misplaced(text: TextPair, clean: _Encoded, tokenizer: Tokenizer) -> Iterator[PromptProblem]:
    """Why a prompt cannot be scored where it is to be."""
    own = clean.own
    if not -own <= text.position < own:
        yield PromptProblem(
            "the scored position is outside the prompt",
            f"{text.position} in {_shown(clean.ids[clean.start :], tokenizer)}",
            f"{-own} to {own - 1}" if own else "a prompt with tokens",
            "use -1 for the last token",
        )
    elif text.answers_as == "whole" and text.position % own != own - 1:
        wanted, remedy = "-1, the last", "end the prompt where its answer begins"
        yield PromptProblem("a whole answer can only follow the end of its prompt", str(text.position), wanted, remedy)


def _shown(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    return f"{len(ids)} tokens {tokenizer.convert_ids_to_tokens(list(ids))}"


@final
@dataclass(frozen=True)
class _Encoded:
    """A text's tokens: special tokens first, then from `start` its own; `tail` tokens after it were cut off."""

    text: str
    ids: tuple[int, ...]
    start: int
    tail: int

    @property
    def own(self) -> int:
        """How many tokens are the text's own."""
        return len(self.ids) - self.start

    @staticmethod
    def of(text: str, tokenizer: Tokenizer) -> _Encoded:
        whole = tuple(tokenizer.encode(text, add_special_tokens=True))
        own = tuple(tokenizer.encode(text, add_special_tokens=False))
        starts = (start for start in range(len(whole) - len(own) + 1) if whole[start:][: len(own)] == own)
        start = next(starts, None)
        if start is None:
            raise BadPrompts(
                PromptProblem(
                    "this tokenizer writes a text differently with and without special tokens",
                    f"{tokenizer.convert_ids_to_tokens(list(whole))} and {tokenizer.convert_ids_to_tokens(list(own))}",
                    "special tokens only before or after the text's own tokens",
                    "use another tokenizer",
                )
            )
        end = start + len(own)
        return _Encoded(text, whole[:end], start, len(whole) - end)

    def problems(self, side: str, tokenizer: Tokenizer) -> list[PromptProblem]:
        tokens = tokenizer.convert_ids_to_tokens(list(self.ids))
        found = []
        if 0 < self.start < len(self.ids) and self.ids[self.start] == self.ids[self.start - 1]:
            found.append(
                PromptProblem(
                    f"the {side} prompt starts with a special token twice",
                    f"{tokens[: self.start + 1]}",
                    "it once, as the tokenizer adds it",
                    f"remove {tokens[self.start]!r} from the prompt's text",
                )
            )
        unknown: int | None = getattr(tokenizer, "unk_token_id", None)
        # GPT-2 calls its end-of-text token "unknown" too, so a text that spells it out has none.
        if unknown in self.ids[self.start :] and tokenizer.convert_ids_to_tokens([unknown])[0] not in self.text:
            found.append(
                PromptProblem(
                    f"the {side} prompt has a word that the tokenizer does not know",
                    f"{self.text!r} -> {tokens}",
                    "known words only",
                    "use words of the model's vocabulary",
                )
            )
        return found


def _first_tokens(
    words: tuple[str, ...], clean: _Encoded, tokenizer: Tokenizer, problems: list[PromptProblem]
) -> tuple[str, ...]:
    """Return what of each word its first token writes after the clean prompt; a word of one token is left as it is."""

    def joined(word: str) -> tuple[int, ...]:
        whole = tuple(tokenizer.encode(clean.text + word, add_special_tokens=True))
        return whole[: len(whole) - clean.tail]

    cut = []
    for word in words:
        whole, length = joined(word), len(clean.ids)
        if whole[:length] != clean.ids or len(whole) <= length + 1:
            cut.append(word)
            continue
        beginnings = (word[:end] for end in range(len(word) - 1, 0, -1))
        first = next((text for text in beginnings if joined(text) == whole[: length + 1]), None)
        if first is None:
            got = f"{word!r} -> {tokenizer.convert_ids_to_tokens(list(whole[length:]))}"
            wanted, remedy = "a first token that is a text by itself", "use a word that begins otherwise"
            problems.append(PromptProblem("a word cannot be measured by its first token", got, wanted, remedy))
        cut.append(first or word)
    return tuple(cut)


@final
@dataclass(frozen=True)
class _Continuing:
    """What continues a clean prompt: each word as the tokens by which it does, or a problem that it does not."""

    clean: _Encoded
    tokenizer: Tokenizer
    answers_as: AnswersAs
    problems: list[PromptProblem]

    def each(self, role: str, words: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """The tokens of each word that can be measured: one token, unless words are measured whole."""
        unknown: int | None = getattr(self.tokenizer, "unk_token_id", None)
        known: list[tuple[int, ...]] = []
        for word in words:
            whole = tuple(self.tokenizer.encode(self.clean.text + word, add_special_tokens=True))
            joined = whole[: len(whole) - self.clean.tail]
            added = joined[len(self.clean.ids) :]
            got = f"{word!r} -> {self.tokenizer.convert_ids_to_tokens(list(added))}"
            if joined[: len(self.clean.ids)] != self.clean.ids:
                what = f"the {role} changes the tokens of the prompt before it"
                got = f"{word!r} -> {self.tokenizer.convert_ids_to_tokens(list(joined))}"
                remedy = "start it with a space and let the prompt end without one"
            elif not added or (self.answers_as != "whole" and len(added) > 1):
                what, remedy = f"the {role} is not one token", _OTHER_WORDS
                if not word.startswith(" "):
                    remedy = f"start it with a space or {remedy}"
            elif unknown in added and self.tokenizer.convert_ids_to_tokens([unknown])[0] not in word:
                what = f"the {role} is a word that the tokenizer does not know"
                remedy = "use a word of the model's vocabulary"
            elif added in known:
                what, remedy = f"the {role} is given twice", "name each once"
            else:
                known.append(added)
                continue
            wanted = "tokens" if self.answers_as == "whole" else "one token"
            self.problems.append(PromptProblem(what, got, f"{wanted} of its own after the clean prompt", remedy))
        return tuple(known)
