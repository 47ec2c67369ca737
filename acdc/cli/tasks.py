"""`acdc tasks`: the behaviours that can be asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from acdc.cli import terminal
from acdc.cli.options import AsJson
from acdc.tasks.errors import BrokenPlugin
from acdc.tasks.registry import get, names

if TYPE_CHECKING:
    from acdc.tasks.task import Task


def tasks(json: AsJson = False) -> None:
    """List the behaviours that can be asked for by name."""
    from acdc.report.catalogue import behaviours

    known = _usable()
    if json:
        terminal.write_json([_row(task) for task in known])
        return
    terminal.results().print(behaviours(known))
    terminal.results().print(
        "\nFind the circuit of one: acdc discover TASK\nWrite one of your own:   acdc init FILE.yaml"
    )


def _usable() -> list[Task]:
    """The tasks that load; a broken plugin is told of and does not hide the others."""
    found = []
    for name in names():
        try:
            found.append(get(name))
        except BrokenPlugin as error:
            terminal.warn(str(error))
    return found


def _row(task: Task) -> dict[str, Any]:
    about = task.about
    return {
        "name": task.name,
        "model": task.model,
        "metric": task.metric,
        "about": about.sentence,
        "source": about.source,
        "variations": {variation.name: variation.about for variation in task.variations},
    }
