"""What there is to ask for: tasks and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from acdc.report.columns import plain_table

if TYPE_CHECKING:
    from acdc.models import Shipped
    from acdc.pretrained.registry import Pretrained
    from acdc.tasks.task import Task


def behaviours(known: Sequence[Task]) -> Table:
    """The tasks: what each is, and below it the default model and metric, and its variations."""
    table = plain_table()
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column("what it is; its default model and metric; its edge cases")
    for task in known:
        defaults = Text(f"{task.model}, {task.metric}", style="dim")
        cases = (
            [Text(f"edge cases: {', '.join(v.name for v in task.variations)}", style="dim")] if task.variations else []
        )
        table.add_row(task.name, Group(task.about.sentence, defaults, *cases))
    return table


def models(shipped: Sequence[Shipped]) -> Table:
    """The models that come with the package."""
    table = plain_table()
    table.add_column("model", style="bold", no_wrap=True)
    for name in ("layers", "heads", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it does")
    for model in shipped:
        table.add_row(model.name, str(model.layers), str(model.heads), f"{model.megabytes:.1f}", model.about)
    return table


def pretrained(gettable: Mapping[Pretrained, Path | None]) -> Table:
    """The pretrained models that can be got, and whether they have been."""
    table = plain_table()
    table.add_column("model", style="bold", no_wrap=True)
    for name in ("layers", "heads", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it is")
    for model, path in gettable.items():
        size = model.size
        is_ = Text(f"{model.about} Licence: {model.licence}.\n")
        is_.append("here" if path else f"not here, {size.download} MB to download by", style="dim")
        is_.append("" if path else f"\nacdc models get {model.name}")
        table.add_row(model.name, str(size.layers), str(size.heads), str(size.megabytes), is_)
    return table
