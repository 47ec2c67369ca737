"""Following letters twice: after `So A c C b B d D a A` comes ` b`, since A leads to c, and C to b.

Pairs of a capital and a small letter stand in any order; the last capital asks. The corrupt prompt asks for another
capital and pairs other letters. Models with a planted circuit do this: `planted:0` and other seeds.
"""

from __future__ import annotations

import numpy as np

from tasks.prompts import TemplatePrompts
from tasks.task import About, Task
from tasks.tokenisation import TextPair

LETTERS = ("A", "B", "C", "D", "E", "F", "G", "H")
PAIRS = 4


def draw(rng: np.random.Generator) -> TextPair:
    """Two prompts whose questions and answers differ."""
    capitals, following, asked = _prompt(rng)
    answer = following[following[asked]]
    while True:
        other_capitals, other, other_asked = _prompt(rng)
        if other_asked != asked and other[other[other_asked]] != answer:
            break
    return TextPair(
        clean=_text(capitals, following, asked),
        corrupt=_text(other_capitals, other, other_asked),
        answers=(" " + answer.lower(),),
        distractors=(" " + other[other[other_asked]].lower(),),
        template=f"pair {capitals.index(asked) + 1} is asked for",
    )


def _prompt(rng: np.random.Generator) -> tuple[list[str], dict[str, str], str]:
    """Capitals in their order, the capital each leads to (all in one round), and the one asked for."""
    capitals = [str(letter) for letter in rng.permutation(LETTERS)[:PAIRS]]
    round_trip = [capitals[place] for place in rng.permutation(PAIRS)]
    following = dict(zip(round_trip, [*round_trip[1:], round_trip[0]], strict=True))
    return capitals, following, capitals[rng.integers(PAIRS)]


def _text(capitals: list[str], following: dict[str, str], asked: str) -> str:
    pairs = (f"{capital} {following[capital].lower()}" for capital in capitals)
    return f"So {' '.join(pairs)} {asked}"


def task() -> Task:
    """The task `planted_hops`."""
    return Task(
        name="planted_hops",
        about=About("Follows letters twice: So A c C b B d D a A -> b.", "made up here in 2026"),
        model="planted:0",
        metric="logit_difference",
        prompts=TemplatePrompts(draw),
    )
