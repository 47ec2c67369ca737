"""Adding letters: after `So the B of d by` comes ` 4`: B is 1 and d is 3, and above 5 it starts again at 0.

The corrupt prompt has two other letters, either of which makes another sum with the letter it does not replace. Models
with a planted circuit do this: `planted-and:0` and other seeds.
"""

from __future__ import annotations

import numpy as np

from tasks.builtin.planted_copy import FILLERS
from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

CAPITALS = ("A", "B", "C", "D", "E", "F")
SIZE = len(CAPITALS)


def draw(rng: np.random.Generator) -> TextPair:
    """Two letters and two others, of another sum."""
    first, second = (int(letter) for letter in rng.integers(SIZE, size=2))
    while True:
        third, fourth = (int(letter) for letter in rng.integers(SIZE, size=2))
        if third != first and fourth != second and (third + fourth - first - second) % SIZE:
            break
    return TextPair(
        clean=_text(rng, first, second),
        corrupt=_text(rng, third, fourth),
        answers=(f" {(first + second) % SIZE}",),
        distractors=(f" {(third + fourth) % SIZE}",),
        template=f"the first letter is {CAPITALS[first]}",
    )


def _text(rng: np.random.Generator, first: int, second: int) -> str:
    before, between, after = (FILLERS[place] for place in rng.integers(len(FILLERS), size=3))
    return f"So {before} {CAPITALS[first]} {between} {CAPITALS[second].lower()} {after}"


def task() -> Task:
    """The task `planted_sum`."""
    return Task(
        name="planted_sum",
        about=About("Adds two letters, A being 0, and F followed by A: So the B of d by -> 4.", "made up here in 2026"),
        model="planted-and:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
