"""A contrastive pair of prompts, as text and as tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, final, runtime_checkable

from acdc.tasks.errors import BadPrompts, PromptProblem, halves_of_characters, lone_surrogates

AnswersAs: TypeAlias = Literal["one-token", "first-token", "first-difference", "whole"]
"""How answers and distractors are measured: each is one token; by the first of several; by the first at which they
differ, after what all of them begin with; or whole, by all of them.
"""


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
class ChatTemplate:
    """That prompts are put to the model in its tokenizer's chat template; `place` is where this is asked for.

    `applied` says that the texts of a pair have been put into it.
    """

    index: str = ""
    applied: bool = False


@final
@dataclass(frozen=True)
class Scoring:
    """At which token of a prompt it is scored, and by which tokens of its answers and distractors.

    `position` counts the prompt's own tokens (special tokens such as BOS are not counted): the next token is
    predicted there; -1 is the last. `answers_as` says how answers and distractors are measured: each must be one token,
    or those of several tokens are measured by their first one, or by the first one at which they differ, or all are
    measured whole, each token after those before it.
    """

    position: int = -1
    answers_as: AnswersAs = "one-token"


@final
@dataclass(frozen=True)
class Wording:
    """What a pair of prompts was made from: `template` names its wording, `filling` has the word in each slot, by name.

    With `chat`, the prompts are what a user says to a chat model, and the answer is what the model says first. `spans`
    are the slots at which edges may be kept or dropped by position (None: at all of them).
    """

    template: str = ""
    filling: tuple[tuple[str, str], ...] = ()
    chat: ChatTemplate | None = field(default=None, compare=False)
    spans: tuple[str, ...] | None = field(default=None, compare=False)

    @staticmethod
    def of(words: Mapping[str, str], template: str = "") -> Wording:
        """The wording with these words in its slots."""
        return Wording(template, tuple(words.items()))


@final
@dataclass(frozen=True)
class TextPair:
    """A clean prompt which calls for the behaviour and a corrupt twin which does not.

    Answers and distractors continue the clean prompt, so they carry their own leading space (`" Mary"`).

    Raises: BadPrompts if answers or distractors are not non-empty tuples of non-empty strings, or a text holds half of
    a character (a lone surrogate).
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    distractors: tuple[str, ...]
    scoring: Scoring = Scoring()
    wording: Wording = Wording()

    def __post_init__(self) -> None:
        for name, words in (("answers", self.answers), ("distractors", self.distractors)):
            if not isinstance(words, tuple) or not words or not all(isinstance(w, str) and w for w in words):
                raise BadPrompts(
                    PromptProblem(
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
class ScoredPosition:
    """A position at which the next token is predicted, counted from 0, and the tokens that should and must not come.

    Where answers are measured whole, it is of one token of an answer or a distractor, and has that alone; `before` are
    the tokens of it that come before, which follow the prompt.
    """

    position: int
    answers: tuple[int, ...]
    distractors: tuple[int, ...]
    before: tuple[int, ...] = ()


@final
@dataclass(frozen=True)
class TokenPair:
    """A checked pair of prompts in tokens, special tokens included, and where it is scored: at one position at least.

    What is measured of a prompt that is scored at several is the mean over all. One whose answers are measured whole
    is scored at every token of its answers, then of its distractors.
    """

    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    scored: tuple[ScoredPosition, ...]
    text: TextPair

    @property
    def position(self) -> int:
        """The first scored position, which is the only one of most prompts."""
        return self.scored[0].position

    @property
    def answers(self) -> tuple[int, ...]:
        """The tokens that should come at the first scored position."""
        return self.scored[0].answers

    @property
    def distractors(self) -> tuple[int, ...]:
        """The tokens that should not come at the first scored position."""
        return self.scored[0].distractors

    @property
    def whole(self) -> bool:
        """Whether answers are measured whole."""
        return any(not scored.answers for scored in self.scored[1:])

    @property
    def length(self) -> int:
        """How many tokens are run at most: the prompt's, and those of an answer but the last."""
        return len(self.clean) + max(len(scored.before) for scored in self.scored)

    @property
    def answer_rows(self) -> tuple[tuple[int, ...], ...]:
        """The indices in `scored` of each whole answer; all of them, in one, where answers are not whole."""
        if not self.whole:
            return (tuple(range(len(self.scored))),)
        found: list[list[int]] = []
        for index, scored in enumerate(self.scored):
            if scored.answers:
                found += [[]] if not scored.before else []
                found[-1].append(index)
        return tuple(map(tuple, found))
