"""Contrastive prompts: drawn from templates or listed by a user."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np

from acdc.tasks.drawn import DrawnPrompts, more_than_fillings
from acdc.tasks.errors import BadPrompts, PromptProblem, TaskError
from acdc.tasks.pairs import TextPair as TextPair
from acdc.tasks.pairs import Tokenizer as Tokenizer
from acdc.tasks.pairs import TokenPair
from acdc.tasks.slots import Slots
from acdc.tasks.tokenisation import tokenise

if TYPE_CHECKING:
    from acdc.tasks.batches import PromptBatch

_PADDING = 1.3
"""How many times as many tokens as there are a batch may hold for the sake of fewer batches."""


@final
@dataclass(frozen=True)
class PromptPairs:
    """Tokenised prompt pairs of any lengths, in a fixed order."""

    pairs: tuple[TokenPair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        lengths = sorted({len(pair.clean) for pair in self.pairs})
        of = f" of {lengths[0]} to {lengths[-1]} tokens" if lengths else ""
        return f"<PromptPairs: {len(self.pairs):,} prompts{of}>"

    def texts(self) -> tuple[TextPair, ...]:
        """Return the prompts as they were written."""
        return tuple(pair.text for pair in self.pairs)

    def select(self, indices: Iterable[int]) -> PromptPairs:
        """Return the prompts at these indices, in this order; an index may come more than once."""
        return PromptPairs(tuple(self.pairs[index] for index in indices))

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what model and metric see: tokens, positions, answers, distractors."""
        seen: list[list[object]] = [
            [p.clean, p.corrupt] + [part for at in p.scored for part in (at.position, at.answers, at.distractors)]
            for p in self.pairs
        ]
        return hashlib.sha256(json.dumps(seen, separators=(",", ":")).encode()).hexdigest()

    @property
    def whole(self) -> bool:
        """Whether answers are measured whole."""
        return any(pair.whole for pair in self.pairs)

    def once(self) -> PromptPairs:
        """Return the prompts with only the first scored position of each, so that each is one row of a batch.

        Where answers are measured whole, a prompt is there with each of its answers and distractors but the last token.
        """
        return PromptPairs(tuple(one for pair in self.pairs for one in _once(pair)))

    def batches(self, size: int | None = None, *, padded: bool = False) -> tuple[PromptBatch, ...]:
        """Return the prompts in batches of equal length of at most `size` prompts, shortest prompts first.

        With `padded`, prompts of nearly the same length share a batch, and shorter ones repeat their last token at the
        end: for models which read from left to right, where nothing scored can see that.

        Raises: TaskError if `size` is less than 1.
        """
        from acdc.tasks.batches import PromptBatch  # it needs torch, which prompts that are not run do not

        if size is not None and size < 1:
            raise TaskError(f"a batch cannot be that small: got {size}, wanted at least 1; leave it out for no limit.")
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, pair in enumerate(self.pairs):
            by_length[pair.length].append(index)
        groups = [group for _, group in sorted(by_length.items())]
        if padded:
            groups = self._joined(groups)
        return tuple(
            PromptBatch.of((index, self.pairs[index]) for index in group[start : start + (size or len(group))])
            for group in groups
            for start in range(0, len(group), size or len(group))
        )

    def _joined(self, groups: list[list[int]]) -> list[list[int]]:
        """Neighbouring groups together, as long as padding makes them no longer than `_PADDING` times in all."""
        joined: list[list[int]] = []
        for group in groups:
            both = [*joined[-1], *group] if joined else group
            lengths = [self.pairs[index].length for index in both]
            if joined and max(lengths) * len(both) <= _PADDING * sum(lengths):
                joined[-1] = both
            else:
                joined.append(group)
        return joined


class AbstractPromptSource(ABC):
    """Where a task's prompts come from."""

    @abstractmethod
    def pairs(self, tokenizer: Tokenizer | None, count: int, rng: np.random.Generator) -> PromptPairs:
        """Return up to `count` usable prompts in random order, no two with the same clean tokens.

        Only prompts as token ids can be had without a tokenizer (None).

        Raises: BadPrompts if the tokenizer cannot express them.
        """


@final
@dataclass(frozen=True)
class TemplatePrompts(AbstractPromptSource):
    """Prompts drawn at random from templates until enough are found that the tokenizer can express.

    `slots` tells what else may fill the slots of what is drawn (None: nothing is known of them).
    """

    draw: Callable[[np.random.Generator], TextPair]
    slots: Slots | None = None

    @staticmethod
    def of(slots: Slots) -> TemplatePrompts:
        """Prompts with random words in these slots."""
        return TemplatePrompts(slots.draw, slots)

    def where(self, admits: Callable[[Mapping[str, str]], bool]) -> TemplatePrompts:
        """Those of the prompts whose filling is admitted, drawn as likely as before."""

        def drawn(rng: np.random.Generator) -> TextPair:
            while True:
                pair = self.draw(rng)
                if admits(dict(pair.wording.filling)):
                    return pair

        return TemplatePrompts(drawn, self.slots.where(admits) if self.slots else None)

    def pairs(self, tokenizer: Tokenizer | None, count: int, rng: np.random.Generator) -> PromptPairs:
        """Return `count` prompts, skipping draws that the tokenizer cannot express.

        Where these are nearly all, because of words of several tokens, the others are drawn without such words.
        """
        if self.slots and self.draw == self.slots.draw and self.slots.fillings < count:
            raise more_than_fillings(self.slots.fillings, count)
        drawn = DrawnPrompts(count, tokenizer)
        drawn.go_on(self.draw, rng)
        if len(drawn.found) < count and self.slots and tokenizer and drawn.words_in_the_way:
            with suppress(TaskError):  # where no prompt is left without such words
                drawn.go_on(self.slots.of_one_token(tokenizer).draw, rng)
        if len(drawn.found) < count:
            raise drawn.exhausted()
        return PromptPairs(tuple(drawn.found.values()))


@final
@dataclass(frozen=True)
class ListedPrompts(AbstractPromptSource):
    """Prompts that a user wrote down, each with its place (`file:line`) for messages."""

    texts: tuple[TextPair, ...]
    places: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.places):
            raise TaskError(
                f"prompts and their places do not align: got {len(self.texts)} prompts and "
                f"{len(self.places)} places, wanted one place per prompt; give each prompt its place."
            )

    def __repr__(self) -> str:
        return f"<ListedPrompts: {len(self.texts):,} prompts>"

    def pairs(self, tokenizer: Tokenizer | None, count: int, rng: np.random.Generator) -> PromptPairs:
        """Return at most `count` of the prompts, or raise with everything wrong with any of them."""
        found: dict[tuple[int, ...], TokenPair] = {}
        first: dict[tuple[int, ...], str] = {}
        problems: list[PromptProblem] = []
        for text, place in zip(self.texts, self.places, strict=True):
            pair, wrong = tokenise(text, tokenizer)
            problems.extend(replace(problem, place=place) for problem in wrong)
            if pair is None:
                continue
            if pair.clean in found:
                problems.append(
                    PromptProblem(
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


def _once(pair: TokenPair) -> tuple[TokenPair, ...]:
    if not pair.whole:
        return (replace(pair, scored=pair.scored[:1]),)
    following = (*pair.scored[1:], None)
    ends = [one for one, after in zip(pair.scored, following, strict=True) if after is None or not after.before]
    return tuple(
        replace(pair, clean=pair.clean + end.before, corrupt=pair.corrupt + end.before, scored=pair.scored[:1])
        for end in ends
    )
