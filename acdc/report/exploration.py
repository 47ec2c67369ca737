"""The tables of `acdc explore`: pure functions from what was found to what a terminal shows."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from acdc.explain.attention_table import AttentionTable
from acdc.explain.direct_logits import DirectLogits
from acdc.explain.estimates import Estimates
from acdc.explain.exploration import Exploration
from acdc.explain.logit_lens import LogitLens
from acdc.explain.patching import PatchingMap
from acdc.explain.probes import Probes
from acdc.explain.steering import Steering
from acdc.report.columns import plain_table

_SHOWN = 8
_BRIEF = 3
_TOP = 2
_NOTHING = 0.005
"""What is below this in both directions is left out of a table of patching."""


def tables(found: Exploration, *, brief: bool = False) -> Iterator[RenderableType]:
    """What was explored, a table for every part, and what was left out; `brief` shows the first rows only."""
    rows, parts, of = _BRIEF if brief else _SHOWN, found.parts, found.of
    clean, corrupt = found.bounds
    yield Text(
        f"{of.task} on {of.model}: {of.prompts} prompts, of which the model gets {found.right:.0%} right; "
        f"{of.metric} {clean:.2f} clean, {corrupt:.2f} corrupt"
    )
    if parts.lens:
        yield _titled("Logit lens, at the scored position", _lens(parts.lens))
    if parts.direct:
        yield _titled("Direct effect on answers less distractors, in logits", _direct(parts.direct, rows))
    for one in parts.patching:
        yield _titled(f"Patching: {one.title}, the strongest", _patching(one, rows))
    yield _titled("Attention from the scored position, the sharpest", _attention(parts.attention, rows))
    if parts.probes:
        yield _titled("Probes of the residual stream before a layer", _probes(parts.probes))
    if parts.steering:
        yield _titled("Steering at the scored position, the best dose of each layer", _steering(parts.steering))
    for note in found.notes:
        yield Text(f"Note: {note}")


def _titled(title: str, table: Table) -> Group:
    return Group(Text(title, style="bold"), table)


def _table(*columns: str) -> Table:
    table = plain_table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _lens(lens: LogitLens) -> Table:
    table = _table("after", "difference", "95%", "control", "right")
    table.add_column("top tokens", overflow="fold")
    for index, stage in enumerate(lens.stages):
        top = ", ".join(f"{token!r} {share:.0%}" for token, share in lens.top[index][:_TOP])
        numbers = (*_estimate(lens.difference, index), _two(lens.others.value[index]), _two(lens.right.value[index]))
        table.add_row(stage, *numbers, top)
    return table


def _direct(direct: DirectLogits, rows: int) -> Table:
    table = _table("node", "effect", "95%", "control")
    for index in direct.strongest(rows):
        table.add_row(direct.nodes[index], *_estimate(direct.effects, index), _two(direct.others.value[index]))
    return table


def _patching(one: PatchingMap, rows: int) -> Table:
    table = _table("layer", "where", "restored", "95%", "lost", "95%", "control")
    for rank, (layer, column) in enumerate(one.strongest(rows)):
        if rank and max(abs(one.denoising.value[layer, column]), abs(one.noising.value[layer, column])) < _NOTHING:
            continue
        numbers = (*_estimate(one.denoising, layer, column), *_estimate(one.noising, layer, column))
        table.add_row(str(layer), one.columns[column], *numbers, _two(one.others.value[layer, column]))
    return table


def _attention(attention: AttentionTable, rows: int) -> Table:
    table = _table("head", "looks", "attention", "other heads")
    for head, back, value, others in attention.sharpest(rows):
        table.add_row(head, back, _two(value), _two(others))
    return table


def _probes(probes: Probes) -> Table:
    table = _table("target", "words", "layer", "accuracy", "control", "lost", "control")
    for column, target in enumerate(probes.targets):
        for row, layer in enumerate(probes.layers):
            numbers = (probes.accuracy, probes.control, probes.lost, probes.lost_at_random)
            table.add_row(target.name, str(target.words), str(layer), *(_two(each[row, column]) for each in numbers))
    return table


def _steering(steering: Steering) -> Table:
    table = _table("layer", "dose", "restored", "95%", "control", "right")
    for row, layer in enumerate(steering.layers):
        best = max(range(len(steering.doses)), key=lambda dose: steering.effect.value[row, dose])
        numbers = (*_estimate(steering.effect, row, best), _two(steering.random.value[row, best]))
        table.add_row(str(layer), f"{steering.doses[best]:g}", *numbers, _two(steering.right.value[row, best]))
    return table


def _estimate(estimates: Estimates, *index: int) -> tuple[str, str]:
    one = estimates.interval(*index)
    return _two(one.value), "-" if math.isnan(one.low) else f"[{_two(one.low)}, {_two(one.high)}]"


def _two(value: float) -> str:
    # adding 0.0 takes the sign off a rounded -0.0
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
