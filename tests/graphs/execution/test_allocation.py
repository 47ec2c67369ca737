"""Freed memory stays at hand inside, and what goes wrong there changes nothing."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from acdc.graphs.execution.allocation import freed_memory_kept


class Library:
    """A C library that writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked.append((parameter, value))
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.asked.append((pad,))
        return 1


def test_the_system_gets_memory_back_afterwards_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    inside: dict[int, int] = {}

    @freed_memory_kept()
    def fails() -> None:
        inside.update(library.asked)  # type: ignore[arg-type]  # pairs so far
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert inside[-4] == 0, "no block comes from the system page by page"
    assert inside[-1] > 1 << 30, "none goes back to it"
    after: dict[int, int] = dict(library.asked[:-1])  # type: ignore[arg-type]
    assert after[-1] == after[-3] == 128 * 1024
    assert after[-4] > 0
    assert library.asked[-1] == (0,)


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_without_the_gnu_library_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def missing(name: Any) -> Any:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    ran = []
    with freed_memory_kept():
        ran.append(1)
    assert ran == [1]
