"""How far a discovery is, as it is told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from acdc.graphs.nodes import Edge

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class CurvePoint:
    """One circuit met on the way: its threshold, its size, and what it keeps of the model on the discovery prompts.

    `tested` counts the candidate removals that led to it, 0 for circuits chosen by scores. `kl` is its mean KL from the
    model in nats, `accuracy` how often its most likely token is an answer; None in a file that does not say.
    """

    threshold: float
    edges: int
    faithfulness: float
    tested: int
    kl: float | None = None
    accuracy: float | None = None


class CurvePoints(tuple[CurvePoint, ...]):
    """The circuits met on the way, a tuple that a notebook shows as a table."""

    __slots__ = ()

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each circuit, in their order; what a file does not say of it is missing (NaN)."""
        import pandas

        names = [each.name for each in fields(CurvePoint)]
        table = pandas.DataFrame([asdict(point) for point in self], columns=names)
        return table.astype({"kl": float, "accuracy": float})

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html())


@dataclass(frozen=True)
class Progress:
    """A piece of work done: of which stage, how many of how many, and how many edges the stage has kept so far.

    None done announces a stage that may take long.
    `state` is plain JSON data from which the discovery can be taken up again; None where it cannot.
    """

    stage: str
    done: int
    total: int
    kept: int | None = None
    state: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SearchSummary:
    """What a search says of the circuit it found: the point chosen, all points, and the search's own figures.

    `joining` are all edges that it knows of, in the order in which they join a circuit that grows, with their scores;
    None for those that only estimates put in their order, where the method's scores are measured.
    """

    chosen: CurvePoint
    curve: tuple[CurvePoint, ...]
    figures: Mapping[str, Any]
    joining: Mapping[Edge, float | None] = field(default_factory=dict, repr=False)
