"""What a command does many times over, each time independently: the same function of a piece, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

Piece = TypeVar("Piece")
Made = TypeVar("Made")


class AbstractWork(ABC, Generic[Piece, Made]):
    """Pieces that do not depend on each other; a value that other processes can be given, and so is each piece."""

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that a piece runs on, in the process that makes it."""

    @abstractmethod
    def opened(self) -> Callable[[Piece], Made]:
        """What makes a piece, after what all of them share is there (a model, say); called once in each process."""
