"""Succession of days, months and numbers: `They counted: Monday, Tuesday, Wednesday,` -> ` Thursday`.

The corrupt prompt has other days, months or numbers, as many and as near to each other, which another one follows; it
keeps every other word. The distractor is what follows there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from acdc.tasks.builtin.vocabulary import LETTERS, words
from acdc.tasks.pairs import Scoring, TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task, Variation

DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("January February March April May June July August September October November December")
NUMBERS = words("one two three four five six seven eight nine ten eleven twelve")
KINDS = (DAYS, MONTHS, NUMBERS)
TEMPLATES = (
    "They counted: {0}, {1}, {2},",
    "First {0}, then {1}, then {2}, and then",
    "From {0} to {1}, from {1} to {2}, from {2} to",
    "From {0} to {1}, then to {2}, then to",
    "After {0} comes {1}, after {1} comes {2}, and after {2} comes",
    "They said {0}, then {1}, then {2}, then",
)
Chosen = Sequence[Sequence[str]]


def draw(rng: np.random.Generator) -> TextPair:
    """Three successive days, months or numbers, and three others of the same kind."""
    return SLOTS.draw(rng)


def write(
    words: Mapping[str, str],
    kinds: Chosen = KINDS,
    templates: Sequence[str] = TEMPLATES,
    step: int = 1,
    shown: int = 3,
) -> TextPair | None:
    """The prompt pair that begins with these words, `shown` of them each `step` after another, if both are of one kind.

    Days and months begin again after the last one.
    """
    sides = [_shown(words[slot], kinds, step, shown) for slot in ("first", "other first")]
    if not all(sides) or words["first"] == words["other first"]:
        return None
    (kind, clean), (other_kind, corrupt) = sides  # type: ignore[misc]  # both are there
    if kind != other_kind:
        return None
    template = templates[int(words["template"])]
    return TextPair(
        clean=template.format(*clean),
        corrupt=template.format(*corrupt),
        answers=(" " + clean[shown],),
        distractors=(" " + corrupt[shown],),
        wording=Wording.of(words, words["template"]),
        scoring=Scoring(answers_as="first-difference"),
    )


def _shown(first: str, kinds: Chosen, step: int, shown: int) -> tuple[Sequence[str], list[str]] | None:
    """The kind of a word, and the word with those that come after it up to the answer; None where there are too few."""
    kind = next(kind for kind in kinds if first in kind)
    indices = [kind.index(first) + step * at for at in range(shown + 1)]
    if kind not in (DAYS, MONTHS) and not 0 <= indices[-1] < len(kind):
        return None
    return kind, [kind[at % len(kind)] for at in indices]


def _choices(kinds: Chosen, templates: Sequence[str]) -> dict[str, tuple[str, ...]]:
    firsts = tuple(word for kind in kinds for word in kind)
    return {"first": firsts, "other first": firsts, "template": tuple(str(at) for at in range(len(templates)))}


SLOTS = Slots(_choices(KINDS, TEMPLATES), write)


ONE_SHOWN = ("The one that comes after {0} is", "{0} is followed by", "First comes {0}, then")
TWO_SHOWN = ("They counted: {0}, {1},", "First {0}, then {1}, and then", "From {0} to {1}, from {1} to")
SENTENCES = (
    "They said that it was {0}, then that it was {1}, then that it was {2}, and then that it was",
    "The first is called {0}, the second is called {1}, the third is called {2}, and the next is called",
)
LARGE = words("twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")
ORDINALS = words("first second third fourth fifth sixth seventh eighth ninth tenth")
SHORT_MONTHS = words("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
FIGURES = tuple(str(number) for number in range(10))
WRAPPING = {"Thursday", "Friday", "Saturday", "Sunday", "September", "October", "November", "December"}
"""From which three days or months and the one after them go over the end of the week or the year."""


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    wrapping = TemplatePrompts.of(SLOTS).where(lambda words: words["first"] in WRAPPING)
    return (
        Variation("one shown", "Only the word before is shown.", _successions(templates=ONE_SHOWN, shown=1)),
        Variation("two shown", "Two words are shown.", _successions(templates=TWO_SHOWN, shown=2)),
        Variation("in a sentence", "The words stand in a sentence.", _successions(templates=SENTENCES)),
        Variation("over the end", "A week or a year ends in between.", wrapping),
        Variation("backwards", "Each word comes before the last one.", _successions(step=-1)),
        Variation("every other", "One word is left out each time.", _successions(step=2)),
        Variation("large numbers", "The numbers are twelve to twenty.", _successions((LARGE,))),
        Variation("ordinals", "The words are first, second and so on.", _successions((ORDINALS,))),
        Variation("letters", "The words are letters.", _successions((LETTERS,))),
        Variation("short months", "The names of the months are cut short.", _successions((SHORT_MONTHS,))),
        Variation("figures", "The numbers are digits.", _successions((FIGURES,))),
    )


def _successions(
    kinds: Chosen = KINDS, templates: Sequence[str] = TEMPLATES, step: int = 1, shown: int = 3
) -> TemplatePrompts:
    writing = partial(write, kinds=kinds, templates=templates, step=step, shown=shown)
    return TemplatePrompts.of(Slots(_choices(kinds, templates), writing))


def task() -> Task:
    """The task `succession`."""
    return Task(
        name="succession",
        about=About(
            "Says which day, month or number comes next: They counted: one, two, three, -> four.",
            "Gould et al. 2023, Successor Heads, arXiv:2312.09230",
        ),
        model="smollm2-135m",
        metric="logit_difference",
        prompts=TemplatePrompts.of(SLOTS),
        variations=variations(),
    )
