"""Search for prompts on which the model succeeds and the circuit fails, substituting words within the task's slots.

A population grows from prompts of the task. Time and again the worst prompts met so far are taken up, a few of each
start at most; the gradient proposes substitutions, and what it proposes is measured exactly. One in a few is a word
that was tried least so far, whatever the gradient says: it is blind where nothing has happened yet. Where no start has
anything worse to offer, others are drawn.

Source: Ebrahimi et al. 2018 (HotFlip, arXiv:1712.06751), sections 2 and 3, with a beam over exactly measured prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from numpy.random import Generator

from acdc.attacks.candidates import Substitution, ranked
from acdc.attacks.case import Case
from acdc.attacks.measuring import cases
from acdc.attacks.word_tokenizer import WordTokenizer
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.progress import Progress
from acdc.settings import Setup
from acdc.streams import Streams
from acdc.tasks.errors import BadPrompts
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.slots import Slots
from acdc.tasks.task import Task
from acdc.tasks.tokenisation import TextPair, TokenPair, as_measured, tokenise

SEARCH = "search"
"""What its cases are found by."""
_STARTS = 64
_PARENTS = 16
"""How many prompts are taken up at a time."""
_CHILDREN = 4
"""How many substitutions of each are measured, the last of them one that was tried least."""
_WORDS = 16
"""How many words of each slot the gradient ranks for a prompt; to write them all would take longer than to measure."""
_PER_START = 2
"""How many cases of one start are reported; one more of it is taken up."""
_PATIENCE = 20
"""Drawings in a row without any new prompt after which there are taken to be no more."""
KEPT = 20
"""How many of the worst cases are reported."""
_DIGITS = 4
"""To how many decimals KLs are told apart, so that rounding does not decide what is taken up."""


@dataclass(frozen=True)
class Search:
    """The worst prompts found, worst first, and what it took to find them.

    The model is right on all `cases`; `failures` counts all prompts met on which the circuit is not. `tested` prompts
    were measured exactly: as many as the `budget` says, unless there are no more. Seed and budget give the same cases.
    """

    cases: tuple[Case, ...]
    failures: int
    tested: int
    seconds: float
    budget: int
    seed: int

    @property
    def per_second(self) -> float:
        """How many prompts were tested per second."""
        return self.tested / self.seconds

    def to_json(self) -> dict[str, Any]:
        """All of it but the time, which another run does not give again, as plain JSON data."""
        return {
            "cases": [case.to_json() for case in self.cases],
            "failures": self.failures,
            "tested": self.tested,
            "budget": self.budget,
            "seed": self.seed,
        }


def search(
    task: Task,
    model: Model,
    circuit: Circuit,
    setup: Setup,
    *,
    budget: int,
    seed: int,
    keep: int = KEPT,
    shard: int = 0,
    without: Collection[tuple[int, ...]] = (),
    max_bytes: int = 1 << 28,
    watch: Callable[[Progress], None] | None = None,
) -> Search:
    """The worst `keep` prompts met when `budget` prompts are tested, none of them a discovery prompt of the setup
    or, by its clean tokens, among those to do `without`. Every `shard` of a seed begins with other prompts.

    They are ranked by KL(model || circuit), those aside on which the model is wrong. `max_bytes` is about how much the
    runs of the prompts measured together may take; it changes no result.

    Raises: BadSetting when the task has no slots, or budget or seed are out of range; BadPrompts; DifferentGraphs.
    """
    slots = searchable(task)
    if budget < 1 or keep < 1 or seed < 0:
        raise BadSetting(
            f"a search with a budget of {budget}, seed {seed} and {keep} cases to keep is none; "
            "wanted a budget and cases of at least 1 and a seed of at least 0"
        )
    before = perf_counter()
    discovery, judgement = problems(task, model, setup, max_bytes)
    taken = {pair.clean for pair in discovery.pairs.pairs} | set(without)
    hunt = _Hunt(
        task,
        slots,
        replace(judgement, carried_from=judgement.carried_from or judgement.pairs),
        circuit,
        taken,
        Streams(seed).search(shard),
    )
    while hunt.tested < budget and hunt.go_on(budget):
        if watch is not None:
            watch(Progress("search", hunt.tested, budget))
    found, failures = hunt.worst(keep), sum(met.case.fails for met in hunt.pool)
    return Search(found, failures, hunt.tested, perf_counter() - before, budget, seed)


def rank(case: Case) -> float:
    """What puts the worst case first."""
    return -round(case.kl, _DIGITS)


def searchable(task: Task) -> Slots:
    """What may fill the slots of a task's prompts.

    Raises: BadSetting when nothing is known of that.
    """
    if task.slots is None:
        raise BadSetting(
            f"nothing is known of what may fill the slots of the prompts of {task.name!r}, so there is nothing to "
            "search; its variations and the crossing of its prompts need no slots"
        )
    return task.slots


@dataclass(frozen=True)
class _Met:
    """A prompt that was tested, and the number of the start that it descends from."""

    pair: TokenPair
    case: Case
    start: int

    @property
    def rank(self) -> float:
        """What puts the worst prompt first."""
        return rank(self.case)


class _Hunt:
    """A search under way."""

    def __init__(
        self, task: Task, slots: Slots, problem: Problem, circuit: Circuit, taken: set[tuple[int, ...]], rng: Generator
    ) -> None:
        self._task, self._slots, self._problem, self._circuit, self._taken = task, slots, problem, circuit, taken
        self._rng = rng
        texts = problem.pairs.texts()[:_STARTS]
        every = [part for text in texts for part in (text.clean, text.corrupt, text.clean + text.answers[0])]
        self._pieces = WordTokenizer(problem.model.tokenizer, every)
        self.pool: list[_Met] = []
        self._met: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        self._taken_up: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        self._tried: Counter[tuple[str, str]] = Counter()
        self._starts = 0

    @property
    def tested(self) -> int:
        """How many prompts have been tested."""
        return len(self.pool)

    def go_on(self, budget: int) -> bool:
        """Test some more prompts, up to the budget; False if there are none left."""
        parents = self._parents()
        new = self._children(parents)
        if not self.pool:
            new = self._draw(min(_STARTS, max(1, budget // 4)))
        elif len(parents) < _PARENTS:
            new += self._draw(_PARENTS - len(parents))
        self._test(new[: budget - self.tested])
        return bool(new or parents)

    def worst(self, keep: int) -> tuple[Case, ...]:
        """The worst cases, a few of each start at most, if the tokenizer itself writes them as they were measured."""
        per_start: Counter[int] = Counter()
        kept: list[Case] = []
        for met in self._ordered():
            if per_start[met.start] == _PER_START or len(kept) == keep:
                continue
            if self._pieces.by_word and tokenise(met.pair.text, self._problem.model.tokenizer)[0] != met.pair:
                continue
            per_start[met.start] += 1
            kept.append(met.case)
        return tuple(kept)

    def _ordered(self) -> list[_Met]:
        """The prompts that the model is right on, worst first."""
        return sorted((met for met in self.pool if met.case.model.right), key=lambda met: met.rank)

    def _parents(self) -> list[_Met]:
        """The worst prompts not taken up yet, where they are among the worst of their start."""
        per_start: Counter[int] = Counter()
        chosen = []
        for met in self._ordered():
            per_start[met.start] += 1
            if per_start[met.start] <= _PER_START + 1 and _key(met.pair) not in self._taken_up:
                chosen.append(met)
                if len(chosen) == _PARENTS:
                    break
        self._taken_up |= {_key(met.pair) for met in chosen}
        return chosen

    def _children(self, parents: list[_Met]) -> list[tuple[TokenPair, int]]:
        """Substitutions in these prompts that were not met yet, each with its start."""
        if not parents:
            return []
        pairs = [met.pair for met in parents]
        sampled = [self._sample(pair.text) for pair in pairs]
        proposed = ranked(self._problem, self._circuit, self._pieces, pairs, sampled)
        new: list[tuple[TokenPair, int]] = []
        for met, best in zip(parents, proposed, strict=True):
            chosen = self._first(iter(best), _CHILDREN - 1)
            chosen += self._first(self._least_tried(met.pair.text), _CHILDREN - len(chosen))
            new += [(pair, met.start) for pair in chosen]
        return new

    def _sample(self, text: TextPair) -> list[Substitution]:
        """Some substitutions in every slot."""
        some = [
            (slot, self._slots.choices[slot][index])
            for slot, _ in text.wording.filling
            for index in self._rng.permutation(len(self._slots.choices[slot]))[:_WORDS]
        ]
        return list(self._written(text, some))

    def _least_tried(self, text: TextPair) -> Iterator[Substitution]:
        """All substitutions, words that were put into their slot least often first, else at random."""
        every = [(slot, word) for slot, _ in text.wording.filling for word in self._slots.choices[slot]]
        shuffled = [every[index] for index in self._rng.permutation(len(every))]
        return self._written(text, sorted(shuffled, key=self._tried.__getitem__))

    def _written(self, text: TextPair, words: Iterable[tuple[str, str]]) -> Iterator[Substitution]:
        now = dict(text.wording.filling)
        for slot, word in words:
            if now[slot] != word and (changed := self._slots.rewrite(text, slot, word)) is not None:
                with suppress(BadPrompts):  # a text that cannot be a prompt is left for `_first` to refuse
                    changed = as_measured(changed, self._pieces)
                yield Substitution(slot, word, changed)

    def _first(self, ordered: Iterator[Substitution], count: int) -> list[TokenPair]:
        """The first of these that are prompts for this tokenizer and have not been met."""
        chosen: list[TokenPair] = []
        while len(chosen) < count and (each := next(ordered, None)) is not None:
            self._tried[each.slot, each.word] += 1
            try:
                pair, _ = tokenise(each.text, self._pieces)
            except BadPrompts:
                continue
            if pair is not None and self._claim(pair):
                chosen.append(pair)
        return chosen

    def _claim(self, pair: TokenPair) -> bool:
        """Whether a prompt is neither a discovery prompt nor met before; from now on it is met."""
        known = pair.clean in self._taken or _key(pair) in self._met or not self._problem.fits(pair.length)
        self._met.add(_key(pair))
        return not known

    def _draw(self, count: int) -> list[tuple[TokenPair, int]]:
        """Prompts of the task not met yet, each a start; fewer where there are no more."""
        new: list[TokenPair] = []
        vain = 0
        while len(new) < count and vain < _PATIENCE:
            drawn = self._task.prompts.pairs(self._pieces, 1, self._rng).pairs
            fresh = [pair for pair in drawn if self._claim(pair)]
            vain = 0 if fresh else vain + 1
            new += fresh
        first = self._starts
        self._starts += len(new)
        return [(pair, first + index) for index, pair in enumerate(new)]

    def _test(self, new: list[tuple[TokenPair, int]]) -> None:
        if not new:
            return
        measured = cases(self._problem.on(PromptPairs(tuple(pair for pair, _ in new))), self._circuit, SEARCH)
        self.pool += [_Met(pair, case, start) for (pair, start), case in zip(new, measured, strict=True)]


def _key(pair: TokenPair) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return pair.clean, pair.corrupt
