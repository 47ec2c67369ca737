"""Which positions of prompts go by one name: those of slots or, where there are none, so many before the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from acdc.explain.positions import END, FIRST, OTHER, position_names
from acdc.problem import Problem
from acdc.tasks.batches import PromptBatch

_BACK = 15
"""How many positions before the end have a name of their own in prompts without slots."""
EARLIER = "earlier"
"""All positions before those."""


@dataclass(frozen=True)
class NamedPositions:
    """The names of the positions of a problem's prompts, in the order in which they stand, `END` last.

    Where no prompt has a slot they are `END-1`, `END-2`, and so on: so many positions before the scored one.
    """

    problem: Problem
    names: tuple[str, ...]
    by_slot: bool

    @classmethod
    def of(cls, problem: Problem) -> NamedPositions:
        """Those of a problem's prompts."""
        places: dict[str, list[float]] = {}
        for pair in problem.pairs.pairs:
            named = position_names(pair, problem.model.tokenizer)
            for position, name in enumerate(named):
                places.setdefault(name, []).append(position / len(named))
        slots = {name: sum(at) / len(at) for name, at in places.items() if name not in (END, FIRST, OTHER)}
        if slots:
            first, other = ([name] if name in places else [] for name in (FIRST, OTHER))
            return cls(problem, (*other, *first, *sorted(slots, key=lambda name: slots[name]), END), True)
        far = max(scored.position for pair in problem.pairs.pairs for scored in pair.scored)
        back = [f"{END}-{number}" for number in range(min(far, _BACK), 0, -1)]
        return cls(problem, (*([EARLIER] if far > _BACK else []), *back, END), False)

    def having(self) -> Bool[Tensor, "name prompt"]:
        """Which prompts have a position of each name, up to where they are scored first."""
        found = [set(self._of_row(number, pair.position)) for number, pair in enumerate(self.problem.pairs.pairs)]
        return torch.tensor([[name in one for one in found] for name in self.names]).view(len(self.names), -1)

    def where(self, batch: PromptBatch, length: int) -> Bool[Tensor, "name row pos"]:
        """Where each name stands in every row of a batch, up to that length; nothing after the scored position."""
        found = torch.zeros(len(self.names), len(batch.index), length, dtype=torch.bool)
        rows = zip(batch.index.tolist(), batch.scored_positions.tolist(), strict=True)
        for row, (number, scored) in enumerate(rows):
            for position, name in enumerate(self._of_row(number, scored)):
                found[self.names.index(name), row, position] = True
        return found.to(batch.index.device)

    def _of_row(self, number: int, scored: int) -> Sequence[str]:
        if not self.by_slot:
            back = [scored - position for position in range(scored)]
            return [*(f"{END}-{far}" if far <= _BACK else EARLIER for far in back), END]
        pair = self.problem.pairs.pairs[number]
        # what follows the prompt are tokens of a whole answer
        named = [*position_names(pair, self.problem.model.tokenizer), *[OTHER] * pair.length][: scored + 1]
        return [*(OTHER if name == END else name for name in named[:-1]), END]
