"""Shape checks in the tests: of the first calls of every test, since thousands more of the same would find nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from types import CodeType, FunctionType
from typing import Any

import beartype
import jaxtyping

FIRST = 1_000
"""How many checks each test makes; one call of a function makes two, of its arguments and of what it returns."""

_left = [FIRST]
_checked_in_this_test: set[CodeType] = set()


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


def functions_within_functions_once() -> None:
    """Have the import hook wrap a function within a function once in every test, and not at every call of the outer.

    Wrapping one takes a thousand times as long as the call that makes it, also where nothing is checked any more.
    """
    wrap = jaxtyping.jaxtyped

    @wraps(wrap)
    def jaxtyped(*given: Any, **settings: Any) -> Any:
        if not given:
            return partial(jaxtyped, **settings)
        (function,) = given
        if isinstance(function, FunctionType) and "<locals>" in function.__qualname__:
            if jaxtyping.config.jaxtyping_disable or function.__code__ in _checked_in_this_test:
                return function
            _checked_in_this_test.add(function.__code__)
        return wrap(function, **settings)

    jaxtyping.jaxtyped = jaxtyped


def start_again() -> None:
    """Check the next test's calls."""
    _left[0] = FIRST
    _checked_in_this_test.clear()
    jaxtyping.config.update("jaxtyping_disable", False)
