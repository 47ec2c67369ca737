"""Models that many tests read, each made once and again when a test has changed the one before."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acdc.graphs.model import Model


@dataclass(frozen=True)
class SharedModels:
    """What was made so far, by what it was made of."""

    _made: dict[Hashable, Model] = field(default_factory=dict)

    def get(self, key: Hashable, make: Callable[[], Model]) -> Model:
        """The model of that key, and what `make` makes where there is none that is still as it was made."""
        if key not in self._made or not _untouched(self._made[key]):
            self._made[key] = make()
        return self._made[key]


def _untouched(model: Model) -> bool:
    """Whether nobody has edited its weights, hooked it or switched dropout on."""
    from acdc.graphs.errors import ModelChanged

    try:
        return model.check_unchanged() == 0
    except ModelChanged:
        return False
