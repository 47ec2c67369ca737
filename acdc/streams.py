"""The random numbers of one seed: a stream of their own for everything that draws beside a task's prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Streams:
    """The streams of a seed; no two of them draw the same prompts.

    The seed alone is the stream that a task's own prompts are drawn with.
    """

    seed: int

    def search(self, shard: int = 0) -> np.random.Generator:
        """What an attack searches with; every `shard` of a search has a stream of its own."""
        return self._stream(1, *([shard] if shard else []))

    def variations(self, draw: int = 0) -> np.random.Generator:
        """What the prompts of variations are drawn with; another `draw` gives other prompts."""
        return self._stream(2 + draw)

    def constants(self) -> np.random.Generator:
        """What the prompts are drawn with that constants are learned on, beside those to discover with."""
        return self._stream(0, 1)

    def resample(self, run: int, count: int) -> list[int]:
        """The indices of the prompts in a bootstrap resample of so many: they choose prompts and draw none."""
        drawn: list[int] = self._stream(run).integers(count, size=count).tolist()
        return drawn

    def _stream(self, *numbers: int) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng((self.seed, *numbers))
