"""A model whose circuit is known: what every method should find in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acdc.errors import AcdcError
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.tasks.task import Task


@dataclass(frozen=True)
class Known:
    """A task, a model that does it, and the true edges, by the ablation under which they are true.

    What an edge carries, and so whether it matters, depends on what stands in for it when it is missing; a truth may be
    known under some ablations only.

    Raises: AcdcError when no truth is given.
    """

    name: str
    task: Task
    model: Model
    truths: Mapping[Ablation, frozenset[Edge]]

    def __post_init__(self) -> None:
        if not self.truths:
            raise AcdcError(f"no true edges of {self.name} were given; give them for one ablation at least")

    def truth(self, ablation: Ablation) -> tuple[frozenset[Edge], Ablation]:
        """The true edges under this ablation, or else those under the first known one; and under which they are."""
        made_under = ablation if ablation in self.truths else next(iter(self.truths))
        return self.truths[made_under], made_under
