"""Which tasks have a default model that is always there, and which have one that must be got first."""

from __future__ import annotations

from acdc import tasks
from acdc.tasks.registry import BUILTIN


def comes_with_the_package(model: str) -> bool:
    """Whether a model is shipped, or made when it is asked for as compiled and planted ones are (`tracr:reverse`)."""
    return model in tasks.shipped_models() or ":" in model


WITH_MODEL = tuple(name for name in BUILTIN if comes_with_the_package(tasks.get(name).model))
"""The built-in tasks that can be run on their default model without getting one."""
