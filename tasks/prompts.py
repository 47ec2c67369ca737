"""Contrastive prompts: from text pairs to checked tokens in batches of equal length."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tasks.errors import BadPrompts, Problem, TaskError

_PATIENCE = 2000
"""Rejected draws in a row after which a template is taken to have no more prompts for this tokenizer."""


class Tokenizer(Protocol):
    """What is needed of a tokenizer; any Hugging Face tokenizer fits."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]: ...


@final
@dataclass(frozen=True)
class TextPair:
    """A clean prompt which calls for the behaviour and a corrupt twin which does not.

    Answers and distractors continue the clean prompt, so they carry their own leading space (`" Mary"`).
    `position` counts the prompt's own tokens (special tokens such as BOS are not counted): the next token is
    predicted there; -1 is the last. `template` names the wording a pair was drawn from.

    Raises: BadPrompts if answers or distractors are not non-empty tuples of non-empty strings.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    distractors: tuple[str, ...]
    position: int = -1
    template: str = ""

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


@final
@dataclass(frozen=True)
class TokenPair:
    """A text pair in one tokenizer's tokens, checked; `position` counts from 0, special tokens included."""

    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    position: int
    answers: tuple[int, ...]
    distractors: tuple[int, ...]
    text: TextPair


@final
@dataclass(frozen=True)
class AnswerColumns:
    """The only vocabulary columns that a prompt's answers and distractors look at.

    `tokens[i, c]` is the token of column c of row i; `answers` and `distractors` are column numbers (-1 pads).
    """

    tokens: Int[Tensor, "batch column"]
    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]


@final
@dataclass(frozen=True)
class PromptBatch:
    """Prompt pairs of one length, ready for a model; -1 pads ragged answers, `index` is the row's place in its PromptPairs."""

    clean: Int[Tensor, "batch pos"]
    corrupt: Int[Tensor, "batch pos"]
    positions: Int[Tensor, " batch"]
    answers: Int[Tensor, "batch answer"]
    distractors: Int[Tensor, "batch distractor"]
    index: Int[Tensor, " batch"]

    def __post_init__(self) -> None:
        rows = {len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(rows) != 1 or self.clean.shape != self.corrupt.shape:
            raise TaskError(
                f"a batch's tensors do not align: got {sorted(rows)} rows and prompts of shape "
                f"{tuple(self.clean.shape)} and {tuple(self.corrupt.shape)}, wanted one row per prompt in all of "
                f"them; build batches with PromptPairs.batches()."
            )

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> PromptBatch:
        """Return the same batch on `device`."""
        return replace(self, **{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})

    def columns(self) -> AnswerColumns:
        """Return the vocabulary columns that answers and distractors need, and where each is among them."""
        tokens = torch.cat([self.answers, self.distractors], dim=1)
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        places = places.masked_fill(tokens < 0, -1)
        width = self.answers.shape[1]
        # A padded column must still name some token to be read; nothing refers to it.
        return AnswerColumns(tokens.clamp(min=0), places[:, :width], places[:, width:])


@final
@dataclass(frozen=True)
class PromptPairs:
    """Tokenised prompt pairs of any lengths, in a fixed order."""

    pairs: tuple[TokenPair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def templates(self) -> tuple[str, ...]:
        """The template each prompt was drawn from, one per prompt: the clusters of a cluster bootstrap."""
        return tuple(pair.text.template for pair in self.pairs)

    def texts(self) -> tuple[TextPair, ...]:
        """Return the prompts as they were written."""
        return tuple(pair.text for pair in self.pairs)

    def select(self, indices: Iterable[int]) -> PromptPairs:
        """Return the prompts at these places, in this order; a place may come more than once."""
        return PromptPairs(tuple(self.pairs[index] for index in indices))

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of everything a model and a metric see: tokens, positions, answers, distractors."""
        seen = [[p.clean, p.corrupt, p.position, p.answers, p.distractors] for p in self.pairs]
        return hashlib.sha256(json.dumps(seen, separators=(",", ":")).encode()).hexdigest()

    def batches(self, size: int | None = None) -> tuple[PromptBatch, ...]:
        """Return the prompts in batches of equal length (never padded) of at most `size`, shortest prompts first.

        Raises: TaskError if `size` is less than 1.
        """
        if size is not None and size < 1:
            raise TaskError(
                f"a batch cannot be that small: got {size}, wanted at least 1; leave size out for no limit."
            )
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, pair in enumerate(self.pairs):
            by_length[len(pair.clean)].append(index)
        return tuple(
            self._batch(group[start : start + (size or len(group))])
            for _, group in sorted(by_length.items())
            for start in range(0, len(group), size or len(group))
        )

    def _batch(self, indices: list[int]) -> PromptBatch:
        pairs = [self.pairs[index] for index in indices]
        return PromptBatch(
            clean=torch.tensor([pair.clean for pair in pairs]),
            corrupt=torch.tensor([pair.corrupt for pair in pairs]),
            positions=torch.tensor([pair.position for pair in pairs]),
            answers=_rectangle([pair.answers for pair in pairs]),
            distractors=_rectangle([pair.distractors for pair in pairs]),
            index=torch.tensor(indices),
        )


class AbstractPromptSource(ABC):
    """Where a task's prompts come from."""

    @abstractmethod
    def pairs(self, tokenizer: Tokenizer, count: int, rng: np.random.Generator) -> PromptPairs:
        """Return up to `count` usable prompts in random order, no two with the same clean tokens.

        Raises: BadPrompts if the tokenizer cannot express them.
        """


@final
@dataclass(frozen=True)
class TemplatePrompts(AbstractPromptSource):
    """Prompts drawn at random from templates until enough are found that the tokenizer can express."""

    draw: Callable[[np.random.Generator], TextPair]

    def pairs(self, tokenizer: Tokenizer, count: int, rng: np.random.Generator) -> PromptPairs:
        found: dict[tuple[int, ...], TokenPair] = {}
        tried: set[str] = set()
        reasons: Counter[str] = Counter()
        examples: dict[str, Problem] = {}
        in_a_row = 0
        while len(found) < count:
            text = self.draw(rng)
            pair: TokenPair | None = None
            problems: tuple[Problem, ...] = ()
            if text.clean not in tried:
                tried.add(text.clean)
                pair, problems = tokenise(text, tokenizer)
            if pair is not None and pair.clean not in found:
                found[pair.clean] = pair
                in_a_row = 0
                continue
            in_a_row += 1
            reasons[problems[0].what if problems else "a prompt drawn before"] += 1
            if problems:
                examples.setdefault(problems[0].what, problems[0])
            if in_a_row == _PATIENCE:
                raise _exhausted(len(found), count, reasons, examples)
        return PromptPairs(tuple(found.values()))


@final
@dataclass(frozen=True)
class ListedPrompts(AbstractPromptSource):
    """Prompts that a user wrote down, each with its place (`file:line`) for messages."""

    texts: tuple[TextPair, ...]
    places: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.places):
            raise TaskError(
                f"prompts and their places do not align: got {len(self.texts)} prompts and {len(self.places)} places, "
                f"wanted one place per prompt; give each prompt its place."
            )

    def pairs(self, tokenizer: Tokenizer, count: int, rng: np.random.Generator) -> PromptPairs:
        found: dict[tuple[int, ...], TokenPair] = {}
        first: dict[tuple[int, ...], str] = {}
        problems: list[Problem] = []
        for text, place in zip(self.texts, self.places, strict=True):
            pair, wrong = tokenise(text, tokenizer)
            problems.extend(replace(problem, place=place) for problem in wrong)
            if pair is None:
                continue
            if pair.clean in found:
                problems.append(
                    Problem(
                        "this clean prompt has been given before",
                        f"the tokens of {first[pair.clean]} again",
                        "every clean prompt once",
                        "remove one of the two",
                        place,
                    )
                )
            found.setdefault(pair.clean, pair)
            first.setdefault(pair.clean, place)
        if problems:
            raise BadPrompts(*problems)
        order = rng.permutation(len(found))[:count].tolist()
        return PromptPairs(tuple(found.values())).select(order)


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
                    f"{tokenizer.convert_ids_to_tokens(list(whole))} and "
                    f"{tokenizer.convert_ids_to_tokens(list(own))}",
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
        if (
            unknown in self.ids[self.start :]
            and tokenizer.convert_ids_to_tokens([unknown])[0] not in self.text
        ):
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
    """Return the one token by which each word continues the clean prompt; add a problem for each that is not one."""
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
        elif added[0] == unknown and tokenizer.convert_ids_to_tokens(added)[0] not in word:
            what = f"the {role} is a word that the tokenizer does not know"
            remedy = "use a word of the model's vocabulary"
        elif added[0] in known:
            what = f"a {role} is given twice"
            remedy = "name each once"
        else:
            known.append(added[0])
            continue
        problems.append(Problem(what, got, "one token of its own after the clean prompt", remedy))
    return tuple(known)


def _exhausted(found: int, count: int, reasons: Counter[str], examples: dict[str, Problem]) -> BadPrompts:
    causes = [
        f"{times} x {what}" + (f" ({examples[what].got})" if what in examples else "")
        for what, times in reasons.most_common(3)
    ]
    return BadPrompts(
        Problem(
            "too few different prompts can be drawn for this tokenizer",
            f"{found} of {count} before {_PATIENCE} draws in a row were rejected: {', '.join(causes)}",
            f"{count // 2} for discovery and as many others for judgement",
            f"ask for at most {found // 2} prompts"
            if found >= 4
            else "use a model whose tokenizer writes them",
        )
    )


def _rectangle(rows: Sequence[Sequence[int]]) -> Int[Tensor, "row column"]:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows])
