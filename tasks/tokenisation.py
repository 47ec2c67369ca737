"""From a contrastive pair of texts to checked tokens, for any tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from tasks.errors import BadPrompts, Problem, halves_of_characters, lone_surrogates


@runtime_checkable
class Tokenizer(Protocol):
    """What is needed of a tokenizer; any Hugging Face tokenizer fits."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the text's tokens, with the tokenizer's own special tokens around them if asked."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return the tokens as the vocabulary writes them."""
        ...


@final
@dataclass(frozen=True)
class TextPair:
    """A clean prompt which calls for the behaviour and a corrupt twin which does not.

    Answers and distractors continue the clean prompt, so they carry their own leading space (`" Mary"`).
    `position` counts the prompt's own tokens (special tokens such as BOS are not counted): the next token is
    predicted there; -1 is the last. `template` names the wording a pair was drawn from, `filling` what stands in each
    of its slots, by name.

    Raises: BadPrompts if answers or distractors are not non-empty tuples of non-empty strings, or a text holds half of
    a character (a lone surrogate).
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    distractors: tuple[str, ...]
    position: int = -1
    template: str = ""
    filling: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name, words in (("answers", self.answers), ("distractors", self.distractors)):
            if not isinstance(words, tuple) or not words or not all(isinstance(w, str) and w for w in words):
                raise BadPrompts(
                    Problem(
                        f"the {name} of a prompt cannot be read",
                        repr(words),
                        "a tuple of at least one non-empty string",
                        f'write {name}=(" word",)',
                    )
                )
        if halves := lone_surrogates("".join((self.clean, self.corrupt, *self.answers, *self.distractors))):
            raise BadPrompts(halves_of_characters(halves))


@final
@dataclass(frozen=True)
class TokenPair:
    """A checked text pair in a tokenizer's tokens; `position` counts from 0, special tokens included."""

    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    position: int
    answers: tuple[int, ...]
    distractors: tuple[int, ...]
    text: TextPair


def tokenise(text: TextPair, tokenizer: Tokenizer) -> tuple[TokenPair | None, tuple[Problem, ...]]:
    """Return the pair in tokens, or None and every reason why this tokenizer cannot express it.

    Special tokens are those the tokenizer itself puts before a text, once; what it puts after a text (EOS) is
    left out, as the answer goes there.
    """
    clean = _Encoded.of(text.clean, tokenizer)
    corrupt = _Encoded.of(text.corrupt, tokenizer)
    problems = [*clean.problems("clean", tokenizer), *corrupt.problems("corrupt", tokenizer)]

    def shown(ids: Sequence[int]) -> str:
        return f"{len(ids)} tokens {tokenizer.convert_ids_to_tokens(list(ids))}"

    if clean.ids == corrupt.ids:
        problems.append(
            Problem(
                "clean and corrupt prompt are identical",
                f"{shown(clean.ids)} for both",
                "prompts that differ",
                "change what the behaviour depends on in the corrupt prompt",
            )
        )
    elif len(clean.ids) != len(corrupt.ids):
        problems.append(
            Problem(
                "clean and corrupt prompt differ in length",
                f"{shown(clean.ids)} and {shown(corrupt.ids)}",
                "as many tokens in both",
                "replace words only by words of as many tokens",
            )
        )
    own = len(clean.ids) - clean.start
    if not -own <= text.position < own:
        problems.append(
            Problem(
                "the scored position is outside the prompt",
                f"{text.position} in {shown(clean.ids[clean.start :])}",
                f"{-own} to {own - 1}" if own else "a prompt with tokens",
                "use -1 for the last token",
            )
        )
    answers = _continuations("answer", text.answers, clean, tokenizer, problems)
    distractors = _continuations("distractor", text.distractors, clean, tokenizer, problems)
    if both := sorted(set(answers) & set(distractors)):
        problems.append(
            Problem(
                "an answer is a distractor too",
                f"{tokenizer.convert_ids_to_tokens(both)} in both",
                "answers that differ from the distractors",
                "remove it from one of the two",
            )
        )
    if problems:
        return None, tuple(problems)
    position = clean.start + text.position % own
    return TokenPair(clean.ids, corrupt.ids, position, answers, distractors, text), ()


@final
@dataclass(frozen=True)
class _Encoded:
    """A text's tokens: special tokens first, then from `start` its own; `tail` tokens after it were cut off."""

    text: str
    ids: tuple[int, ...]
    start: int
    tail: int

    @staticmethod
    def of(text: str, tokenizer: Tokenizer) -> _Encoded:
        whole = tuple(tokenizer.encode(text, add_special_tokens=True))
        own = tuple(tokenizer.encode(text, add_special_tokens=False))
        starts = (start for start in range(len(whole) - len(own) + 1) if whole[start:][: len(own)] == own)
        start = next(starts, None)
        if start is None:
            raise BadPrompts(
                Problem(
                    "this tokenizer writes a text differently with and without special tokens",
                    f"{tokenizer.convert_ids_to_tokens(list(whole))} and {tokenizer.convert_ids_to_tokens(list(own))}",
                    "special tokens only before or after the text's own tokens",
                    "use another tokenizer",
                )
            )
        end = start + len(own)
        return _Encoded(text, whole[:end], start, len(whole) - end)

    def problems(self, side: str, tokenizer: Tokenizer) -> list[Problem]:
        tokens = tokenizer.convert_ids_to_tokens(list(self.ids))
        found = []
        if 0 < self.start < len(self.ids) and self.ids[self.start] == self.ids[self.start - 1]:
            found.append(
                Problem(
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
                Problem(
                    f"the {side} prompt has a word that the tokenizer does not know",
                    f"{self.text!r} -> {tokens}",
                    "known words only",
                    "use words of the model's vocabulary",
                )
            )
        return found


def _continuations(
    role: str, words: tuple[str, ...], clean: _Encoded, tokenizer: Tokenizer, problems: list[Problem]
) -> tuple[int, ...]:
    """Return each word as the one token by which it continues the clean prompt; tell of those that are not."""
    unknown: int | None = getattr(tokenizer, "unk_token_id", None)
    known = []
    for word in words:
        whole = tuple(tokenizer.encode(clean.text + word, add_special_tokens=True))
        joined = whole[: len(whole) - clean.tail]
        added = list(joined[len(clean.ids) :])
        got = f"{word!r} -> {tokenizer.convert_ids_to_tokens(added)}"
        if joined[: len(clean.ids)] != clean.ids:
            what = f"the {role} changes the tokens of the prompt before it"
            got = f"{word!r} -> {tokenizer.convert_ids_to_tokens(list(joined))}"
            remedy = "start it with a space and let the prompt end without one"
        elif len(added) != 1:
            what = f"the {role} is not one token"
            remedy = "use a word that this tokenizer writes as one token"
            if not word.startswith(" "):
                remedy = f"start it with a space or {remedy}"
        elif added[0] == unknown and tokenizer.convert_ids_to_tokens(added)[0] not in word:
            what = f"the {role} is a word that the tokenizer does not know"
            remedy = "use a word of the model's vocabulary"
        elif added[0] in known:
            what = f"the {role} is given twice"
            remedy = "name each once"
        else:
            known.append(added[0])
            continue
        problems.append(Problem(what, got, "one token of its own after the clean prompt", remedy))
    return tuple(known)
