"""Pieces of work that load no model; what was done of them is read from a folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acdc.pieces.work import AbstractWork


@dataclass(frozen=True)
class Squares(AbstractWork[int, int]):
    """Numbers squared; a worker is killed by 1 the first time, and 7 is refused."""

    folder: str
    device: str = "cpu"  # type: ignore[assignment]  # a field instead of a property

    def opened(self) -> Callable[[int], int]:
        with (Path(self.folder) / "opened").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self._squared

    def _squared(self, number: int) -> int:
        begun = Path(self.folder) / f"begun-{number}"
        with begun.open("a") as file:
            file.write("x")
        if number == 1 and begun.read_text() == "x":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 7:
            raise ValueError("7 is refused")
        return number * number
