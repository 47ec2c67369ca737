"""Tables without lines, and numbers under each other in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.table import Table


def plain_table(*, header: bool = True) -> Table:
    """A table whose columns only stand apart, those of a header dim."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=header)


def fact_table(rows: Mapping[str, str]) -> Table:
    """Facts under each other, each with its name; those that are not known are left out."""
    table = plain_table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, fact in rows.items():
        if fact:
            table.add_row(name, fact)
    return table


def aligned(values: Sequence[float | None], *, signed: bool = False) -> list[str]:
    """Numbers with as many decimals each as show three digits of the largest, and two at least; "-" for None."""
    largest = max((abs(value) for value in values if value), default=1.0)
    decimals = max(2, 2 - math.floor(math.log10(largest)))
    sign = "+" if signed else ""
    # adding 0.0 takes the sign off a rounded -0.0
    return ["-" if value is None else f"{round(value, decimals) + 0.0:{sign},.{decimals}f}" for value in values]
