"""The random numbers of one seed: a stream of their own for everything that draws beside a task's prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Streams:
    """The streams of a seed; none of them draws what another one does.

    The seed alone is the stream that a task's own prompts are drawn with.
    """

    seed: int

    def search(self) -> np.random.Generator:
        """What an attack searches with."""
        return self._stream(1)

    def variations(self, draw: int = 0) -> np.random.Generator:
        """What the prompts of variations are drawn with; those of other draws are others."""
        return self._stream(2 + draw)

    def _stream(self, number: int) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng((self.seed, number))


def resample(seed: int, run: int, count: int) -> list[int]:
    """The places of a bootstrap resample of so many prompts; of a run the same every time."""
    import numpy as np

    drawn: list[int] = np.random.default_rng((seed, run)).integers(count, size=count).tolist()
    return drawn
