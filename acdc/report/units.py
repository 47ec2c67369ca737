"""What `acdc features` shows: how features fit the model, and for each its effect, tokens and strongest examples."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from acdc.attacks.measuring import written
from acdc.explain.unit_examples import UnitExample
from acdc.explain.units import UnitReading, UnitReadings
from acdc.graphs.feature_names import Names, with_names
from acdc.graphs.features.fit import Fit
from acdc.graphs.model import Model
from acdc.report.columns import plain_table
from acdc.report.phrases import nearer

_NAMED = 24
"""Longer names of features go on in another line of the table."""
_BEFORE, _AFTER = 9, 3
"""How many tokens of an example are shown before and after the one where the unit is strongest."""


def unit_tables(found: UnitReadings, model: Model) -> Iterator[RenderableType]:
    """The fit, a table of all units, and what each does."""
    if found.fit is not None:
        yield Text(fit_sentence(found.fit))
    table = plain_table()
    for index, column in enumerate(("unit", "effect", "on", "without", "added", "random")):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index > 0, max_width=_NAMED)
    table.add_column("promotes", overflow="fold")
    for each in found.readings:
        table.add_row(*_row(each, found.names))
    about = (
        f"{len(found.readings)} of {found.count:,} units; the {found.metric} is {found.whole:.2f}. effect: by how much "
        "it falls with the unit as on the corrupt prompts, to first order. on: at which part of the tokens. without: "
        "how it changes without the unit. added: how it changes with the unit's strongest activation added at the "
        "scored position; random: with a random direction of that length."
    )
    yield Group(table, Text(about, style="dim"))
    for each in found.readings:
        yield Group(*_details(each, found.names, model))


def fit_sentence(fit: Fit) -> str:
    """How well features fit, in one sentence."""
    recovered = nearer(None if math.isnan(fit.recovered) else fit.recovered)
    return (
        f"The features explain {fit.explained:.1%} of the variance of {fit.tokens:,} tokens{recovered}; "
        f"{fit.active:.1f} are on at a token, {fit.ever:,} at any."
    )


def _row(each: UnitReading, names: Names) -> tuple[RenderableType, ...]:
    steering = each.steering
    dose = steering.doses.index(1.0)
    numbers = (steering.without.value[0], steering.added.value[dose], steering.random.value[dose])
    tokens = " ".join(map(repr, each.tokens[0][:4]))
    named = Text(with_names(each.name, names))  # in which brackets mean nothing
    return (named, f"{each.effect:+.3f}", f"{each.often:.1%}", *(f"{value:+.2f}" for value in numbers), tokens)


def _details(each: UnitReading, names: Names, model: Model) -> Iterator[RenderableType]:
    yield Text(with_names(each.name, names), style="bold")
    yield Text(f"  lowers {' '.join(map(repr, each.tokens[1]))}")
    then = ", ".join(f"{written(model, token)!r} {part:.0%}" for token, part in each.steering.then)
    yield Text(f"  with {each.steering.doses[-1]:g} times its strongest activation the likeliest token is {then}")
    for title, side in zip(("strongest in the prompts", "strongest in the texts"), each.examples, strict=True):
        if side:
            yield Text(f"  {title}")
        for example in side:
            yield Text.assemble(f"{example.strength:10.2f}  ", _marked(example), no_wrap=True, overflow="ellipsis")
    if not any(each.examples):
        yield Text("  never on, in the prompts or the texts")


def _marked(example: UnitExample) -> Text:
    """The text around the strongest token, which stands in brackets."""
    # of a vocabulary of words, which no space joins
    space = "" if any(token != token.strip() for token in example.tokens) else " "
    start = max(0, example.at - _BEFORE)
    before = space.join((*(("...",) if start else ()), *example.tokens[start : example.at], ""))
    after = space.join(("", *example.tokens[example.at + 1 : example.at + 1 + _AFTER]))
    middle = example.tokens[example.at]
    inside = middle.lstrip()
    gap = middle[: len(middle) - len(inside)]
    return Text.assemble(f"{before}{gap}".replace("\n", " "), (f"[{inside}]", "bold"), after.replace("\n", " "))
