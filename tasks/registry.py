"""Tasks by name: the built-in ones, those of installed plugins, and behaviour files."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.tasks.errors import BrokenPlugin, TaskError, UnknownTask, halves_of_characters, lone_surrogates

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from acdc.tasks.task import Task

BUILTIN = (
    "periodic",
    "induction",
    "ioi",
    "greater_than",
    "docstring",
    "agreement",
    "addition",
    "capitals",
    "gender",
    "antonyms",
    "colours",
    "succession",
    "tracr_reverse",
    "tracr_proportion",
    "planted_hops",
    "planted_sum",
    "planted_copy",
    "planted_detour",
    "siit_lookup",
    "siit_pick",
)
GROUP = "acdc.tasks"
"""Entry-point group in which other packages offer a Task, or a function without arguments that returns one."""


def names() -> tuple[str, ...]:
    """Return the names of all tasks: the built-in ones, then those of plugins, which cannot replace a built-in one."""
    return (*BUILTIN, *sorted({offer.name for offer in _offers()} - set(BUILTIN)))


def get(name_or_path: str | Path) -> Task:
    """Return the task of this name, or the one that this behaviour file describes.

    Raises: UnknownTask, BadBehaviourFile, BrokenPlugin; TaskError when the name holds half of a character.
    """
    if halves := lone_surrogates(str(name_or_path)):
        raise TaskError(str(halves_of_characters(halves, "the task's name")))
    if _is_path(name_or_path):
        from acdc.tasks.files.behaviour_file import load_behaviour_file

        return load_behaviour_file(os.path.expanduser(name_or_path))
    name = str(name_or_path)
    if name in BUILTIN:
        task: Task = import_module(f"acdc.tasks.builtin.{name}").task()
        return task
    match [offer for offer in _offers() if offer.name == name]:
        case []:
            raise UnknownTask(name, names())
        case [offer]:
            return _load(offer)
        case offers:
            givers = sorted(_distribution(offer) for offer in offers)
            raise BrokenPlugin(name, givers[0], f"tasks of that name from {' and '.join(givers)}")


def _is_path(name_or_path: str | Path) -> bool:
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text


def _offers() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def _distribution(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist is not None else offer.module


def _load(offer: EntryPoint) -> Task:
    from acdc.tasks.task import Task

    def broken(got: str) -> BrokenPlugin:
        return BrokenPlugin(offer.name, _distribution(offer), got)

    try:
        found = offer.load()
        if not isinstance(found, Task) and callable(found):
            found = found()
    except Exception as error:  # a plugin is somebody else's code: whatever it raises is its own fault
        raise broken(f"{type(error).__name__} from {offer.value!r} ({error})") from error
    if not isinstance(found, Task):
        raise broken(f"a {type(found).__name__} from {offer.value!r}")
    if found.name != offer.name:
        raise broken(f"a task named {found.name!r} from {offer.value!r}")
    return found
