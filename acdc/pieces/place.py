"""Where pieces of work are made: in this process, one after another, or wherever else there is room for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from acdc.pieces.work import AbstractWork, Made, Piece


class AbstractPlace(ABC):
    """Makes pieces of work; what is made of them is the same at every place, to the last bit."""

    @abstractmethod
    def each(self, work: AbstractWork[Piece, Made], pieces: Iterable[Piece]) -> Iterator[Made]:
        """What is made of each piece, in their order; those that nobody waits for any more are given up.

        Raises: what the work raises, for the first piece that it cannot make.
        """

    @abstractmethod
    def at_once(self, work: AbstractWork[Piece, Made]) -> int:
        """How many pieces are made at the same time."""


@final
@dataclass(frozen=True)
class Here(AbstractPlace):
    """This process, one piece after another, each when it is asked for."""

    def each(self, work: AbstractWork[Piece, Made], pieces: Iterable[Piece]) -> Iterator[Made]:
        """What is made of each piece."""
        make = work.opened()
        for piece in pieces:
            yield make(piece)

    def at_once(self, work: AbstractWork[Piece, Made]) -> int:
        """One."""
        return 1


HERE = Here()
