"""Shape checks in the tests: of the first calls of every test, since thousands more of the same would find nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import beartype
import jaxtyping

FIRST = 1_000
"""How many checks each test makes; one call of a function makes two, of its arguments and of what it returns."""

_left = [FIRST]


def first_calls(function: Callable[..., Any]) -> Callable[..., Any]:
    """The type checker that the import hook is given: beartype, until a test has made its checks."""
    checked: Callable[..., Any] | None = None

    @wraps(function)
    def check(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:  # made when first called, which most functions never are in one process
            checked = beartype.beartype(function)
        _left[0] -= 1
        if _left[0] <= 0:
            jaxtyping.config.update("jaxtyping_disable", True)
        return checked(*args, **kwargs)

    return check


def start_again() -> None:
    """Check the next test's calls."""
    _left[0] = FIRST
    jaxtyping.config.update("jaxtyping_disable", False)
