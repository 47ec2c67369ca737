"""A circuit of another size from a search that is done: no edge is searched for again, and all is measured anew."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace

from acdc.discovery.discover import Result
from acdc.discovery.scored_search import sized
from acdc.discovery.selection import Selection
from acdc.errors import UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import faithfulness
from acdc.problem import Problem
from acdc.progress import CurvePoints, Progress
from acdc.settings import Edges, KeptFaithfulness

_SAME = ("created", "model", "features", "task", "prompts", "ablation", "constants", "metric", "versions", "notes")
_OF_THE_SEARCH = ("name", "settings", "score", "score_kind", "selection", "steps_taken", "missed")


@dataclass(frozen=True)
class Resizing:
    """Take as many of the edges of a search, in the order in which they join, as a goal asks for.

    The order begins with what the search kept at its highest threshold and ends with what attribution scores lowest, so
    circuits larger than those it met are the estimates' work; what has no score of the search's kind has none here.
    """

    goal: Edges | KeptFaithfulness

    def walk(
        self,
        circuit: Circuit,
        joining: Mapping[Edge, float | None],
        discovery: Problem,
        judgement: Problem,
        seed: int = 0,
    ) -> Generator[Progress, None, Result]:
        """The circuit of that size, measured on the prompts it was found with and judged on the others.

        Its record says of model, task, prompts and method what that of `circuit` does, and whose cut it is.
        Raises: UnreachableGoal; UnmeasurableBehaviour.
        """
        scores = {edge: score for edge, score in joining.items() if score is not None}
        known = Circuit(discovery.graph, frozenset(joining), scores)
        selection = Selection(known, tuple(joining))
        if isinstance(self.goal, Edges) and self.goal.count > len(selection.order):
            raise UnreachableGoal(
                f"the search knows of {len(selection.order):,} edges: got --edges {self.goal.count:,}, wanted at most "
                "as many; discover with a lower --threshold, or with a method that scores all edges"
            )
        _ = discovery.bounds
        chosen, met = yield from sized(discovery, selection, self.goal, exactly=True)
        found = met[chosen.edges][1]
        yield Progress(f"judging the circuit on {len(judgement.pairs):,} prompts", 0, 1)
        judged = faithfulness(judgement, found, seed)
        curve = CurvePoints(met[size][0] for size in sorted(met))
        provenance = {key: circuit.provenance[key] for key in _SAME if key in circuit.provenance}
        before = circuit.provenance.get("algorithm", {})
        provenance |= {
            "algorithm": {
                **{key: before[key] for key in _OF_THE_SEARCH if key in before},
                "goal": {"kind": type(self.goal).__name__, **asdict(self.goal)},
                "threshold": chosen.threshold,
                "cut_from": {"goal": before.get("goal"), "edges": len(circuit)},
            },
            "curve": [asdict(point) for point in curve],
            "faithfulness": judged.to_json(),
        }
        return Result(replace(found, provenance=provenance), judged, curve, joining)
