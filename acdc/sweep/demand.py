"""What each cell of a grid would take, by the forecast from configurations alone; seeds are forecast together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from acdc import tasks
from acdc.cost.prediction import CostPrediction, predict
from acdc.discovery.defaults import Defaults
from acdc.errors import AcdcError
from acdc.graphs.errors import GraphsError
from acdc.sweep.cell import SweepCell
from acdc.tasks.errors import TaskError


@dataclass(frozen=True)
class CellDemand:
    """The forecast of a cell's discovery; None where it cannot be told before the model is loaded, and then why.

    What is done with the circuit afterwards is not in it.
    """

    cell: SweepCell
    cost: CostPrediction | None
    why: str = ""

    @property
    def bytes(self) -> int:
        """The memory of all of it, 0 where it is not known."""
        return self.cost.holding.whole if self.cost else 0

    @property
    def gpus(self) -> int:
        """How many GPUs it runs on."""
        return self.cell.setup.compute.gpus

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        told = self.cost.to_json() if self.cost else {"unknown": self.why}
        return {"cell": self.cell.hash, "words": self.cell.words, **told}


def demands(cells: Sequence[SweepCell]) -> Iterator[CellDemand]:
    """What each cell takes."""
    known: dict[object, tuple[CostPrediction | None, str]] = {}
    for cell in cells:
        setup = cell.setup
        key = cell.task, cell.model, cell.search, setup.metric, setup.ablation, setup.prompts, setup.compute
        if key not in known:
            known[key] = _predicted(cell)
        yield CellDemand(cell, *known[key])


def _predicted(cell: SweepCell) -> tuple[CostPrediction | None, str]:
    chosen = Defaults(cell.search.method, cell.search.goal, cell.setup.prompts)
    try:
        cost = predict(tasks.get(cell.task.found_by), cell.model.found_by, chosen, cell.setup)
    except (AcdcError, GraphsError, TaskError) as error:  # and so will the cell itself end
        return None, str(error)
    return cost, "" if cost else "the model's files do not tell before it is loaded"
