"""Prompts that are drawn until there are enough that a tokenizer can express, and why the others were rejected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import final

import numpy as np

from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import TextPair, Tokenizer, TokenPair
from acdc.tasks.tokenisation import tokenise

_PATIENCE = 1000
"""Rejected draws in a row after which there are taken to be no more prompts for this tokenizer."""
_AT_FIRST = 300
"""The same where no prompt has been found at all."""
_RARE = 20
"""How many draws there are at most, beyond those, for every prompt that is found."""
_NAMED = 8
"""How many of the words that are in the way of prompts a message names."""


@final
class DrawnPrompts:
    """The prompts found so far, by their clean tokens, and how often draws were rejected for each reason."""

    def __init__(self, count: int, tokenizer: Tokenizer | None) -> None:
        self.found: dict[tuple[int, ...], TokenPair] = {}
        self._count, self._tokenizer = count, tokenizer
        self._accepted: set[str] = set()
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, PromptProblem] = {}
        self._words: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def go_on(self, draw: Callable[[np.random.Generator], TextPair], rng: np.random.Generator) -> None:
        """Draw until there are enough, or hardly any draw is a new prompt that the tokenizer can express."""
        in_a_row = vain = 0
        while (
            len(self.found) < self._count
            and in_a_row < (_PATIENCE if self.found else _AT_FIRST)
            and vain < _PATIENCE + _RARE * len(self.found)
        ):
            if self._take(draw(rng)):
                in_a_row = 0
            else:
                in_a_row, vain = in_a_row + 1, vain + 1

    def _take(self, text: TextPair) -> bool:
        """Whether this is a new prompt that the tokenizer can express; if not, it is taken down why."""
        pair: TokenPair | None = None
        problems: tuple[PromptProblem, ...] = ()
        if text.clean not in self._accepted:  # spares the tokenizer the work where few prompts are left to find
            pair, problems = tokenise(text, self._tokenizer)
        if pair is not None and pair.clean not in self.found:
            self.found[pair.clean] = pair
            self._accepted.add(text.clean)
            return True
        self._reject(problems)
        return False

    def _reject(self, problems: Sequence[PromptProblem]) -> None:
        """Count a draw with these problems; without any, it was drawn before."""
        what = problems[0].what if problems else "a prompt drawn before"
        self._reasons[what] += 1
        for problem in problems[:1]:
            self._examples.setdefault(what, problem)
        self._words[what].update(word for problem in problems if problem.what == what for word in problem.words)

    @property
    def words_in_the_way(self) -> bool:
        """Whether draws were rejected because of some of their words."""
        return any(self._words.values())

    def exhausted(self) -> BadPrompts:
        """The error that there are no more prompts than were found."""
        found, drawn = len(self.found), len(self.found) + self._reasons.total()
        causes = [f"{times:,} x {what}{self._obstacle(what)}" for what, times in self._reasons.most_common(3)]
        return BadPrompts(
            PromptProblem(
                "too few different prompts can be drawn for this tokenizer",
                f"{found:,} of {self._count:,} in {drawn:,} draws, the others of which were rejected: "
                + ", ".join(causes),
                f"{self._count // 2:,} for discovery and as many others for judgement",
                f"ask for at most {found // 2:,} prompts" if found >= 4 else "use a model whose tokenizer writes them",
            )
        )

    def _obstacle(self, what: str) -> str:
        """The words that were most often in the way, and an example."""
        if what not in self._examples:
            return ""
        words = [repr(word) for word, _ in self._words[what].most_common()]
        others = [f"{len(words) - _NAMED:,} others"] if len(words) > _NAMED else []
        named = f"because of {', '.join([*words[:_NAMED], *others])}; such as " if words else ""
        return f" ({named}{self._examples[what].got})"


def more_than_fillings(fillings: int, count: int) -> BadPrompts:
    """The error that more prompts are wanted than slots can be filled in ways."""
    return BadPrompts(
        PromptProblem(
            "the slots cannot be filled in so many ways",
            f"{count:,} asked for",
            f"at most {fillings:,}",
            f"ask for at most {fillings // 2:,} (--prompts), since as many others judge, or give the slots more words",
        )
    )
