"""Two circuits of one model beside each other: edges gained and lost, score changes, faithfulness of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from acdc.errors import WrongModel
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import BadCircuitFile, DifferentGraphs
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.judges.evaluation import subject
from acdc.judges.faithfulness import Faithfulness, faithfulness
from acdc.judges.same_subject import Tell
from acdc.judges.stability import jaccard
from acdc.problems import problems
from acdc.provenance import Provenance
from acdc.settings import Setup
from acdc.tasks.task import Task

Whose = Literal["A", "B", "A and B"]


@dataclass(frozen=True)
class MeasuredBoth:
    """Both circuits on the judgement prompts of one, or of both where these are the same, by that one's setup."""

    prompts: Whose
    task: str
    setup: Setup
    a: Faithfulness
    b: Faithfulness

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        by = {"metric": self.setup.metric, "ablation": Ablation(self.setup.ablation).value}
        return {"prompts": self.prompts, "task": self.task, **by, "a": self.a.to_json(), "b": self.b.to_json()}


@dataclass(frozen=True)
class Difference:
    """Circuit B against circuit A; `unmeasured` says why no faithfulness was measured, where none was."""

    a: Circuit
    b: Circuit
    measured: tuple[MeasuredBoth, ...]
    unmeasured: str = ""

    @property
    def lost(self) -> tuple[Edge, ...]:
        """The edges that are in A only, the strongest there first."""
        return _by_strength(self.a - self.b)

    @property
    def gained(self) -> tuple[Edge, ...]:
        """The edges that are in B only, the strongest there first."""
        return _by_strength(self.b - self.a)

    @property
    def kept(self) -> tuple[Edge, ...]:
        """The edges in both, the one whose score changes most first, those without a score last."""
        return tuple(sorted((self.a & self.b).ordered(), key=lambda edge: -abs(self.change(edge) or 0.0)))

    @cached_property
    def same_scores(self) -> bool:
        """Whether scores mean the same in both, as far as the records say: one metric, and one kind of score."""
        return _units(self.a) == _units(self.b)

    @property
    def jaccard(self) -> float:
        """The edges in both as a fraction of those in either."""
        return jaccard(self.a, self.b)

    def change(self, edge: Edge) -> float | None:
        """What an edge scores in B less what it scores in A; None where one has no score of it, or of another kind."""
        if not self.same_scores:
            return None
        before, after = self.a.scores.get(edge), self.b.scores.get(edge)
        return None if before is None or after is None else after - before

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        kept = [
            {"edge": edge.name, "a": self.a.scores.get(edge), "b": self.b.scores.get(edge), "change": self.change(edge)}
            for edge in self.kept
        ]
        lost, gained = (
            [{"edge": edge.name, "score": circuit.scores.get(edge)} for edge in edges]
            for circuit, edges in ((self.a, self.lost), (self.b, self.gained))
        )
        return {
            "jaccard": self.jaccard,
            "edges": {"lost": lost, "gained": gained, "kept": kept},
            "faithfulness": [one.to_json() for one in self.measured],
            **({"unmeasured": self.unmeasured} if self.unmeasured else {}),
        }


def compare(
    a: Circuit,
    b: Circuit,
    *,
    task: Task | None = None,
    model: str | Model | None = None,
    device: str = "cpu",
    anyway: bool = False,
    tell: Tell | None = None,
) -> Difference:
    """Compare two circuits of one model, each by its own record's task, prompts, metric and ablation.

    With a `model` or a `task` both are measured on that one. A circuit whose record does not say how it is measured
    brings no prompts. Weights, tokenizer or prompts that have changed since are refused, unless `anyway`; `tell` is as
    for `acdc.judges.evaluation.subject`.

    Raises: DifferentGraphs; WrongModel when the graphs are the same but the models not and no `model` is given;
    UnmeasurableBehaviour; ChangedSubject; and as `acdc.judges.evaluation.subject`.
    """
    if a.graph != b.graph:
        raise DifferentGraphs(
            f"A and B are circuits of different models and cannot be compared: A of one with {a.graph.describe()} and "
            f"width {a.graph.d_model}, B of one with {b.graph.describe()} and width {b.graph.d_model}; "
            "give two circuits of the same model"
        )
    first, second = (_model(circuit) for circuit in (a, b))
    if model is None and first and second and first != second:
        raise WrongModel(
            f"A and B are circuits of different models: A of {first}, B of {second}; give two circuits of the same "
            "model, or say on which one both are to be measured (--model)"
        )
    measurements = [Provenance.of(circuit).measurement() for circuit in (a, b)]
    if measurements[0] == measurements[1] and measurements[0]:
        sides: tuple[tuple[Whose, Circuit], ...] = (("A and B", a),)
    else:
        sides = (("A", a), ("B", b))
    measured, reasons = [], []
    for whose, circuit in sides:
        try:
            setup = Provenance.of(circuit).setup().on(device)
            of, on = subject(circuit, task=task, model=model, setup=setup, anyway=anyway, tell=tell)
        except BadCircuitFile as error:
            reasons.append(f"{whose} has no prompts to measure on: {error}")
            continue
        _, judgement = problems(of, on, setup)
        judged = (faithfulness(judgement, one, setup.seed) for one in (a, b))
        measured.append(MeasuredBoth(whose, of.name, setup, *judged))
    return Difference(a, b, tuple(measured), "; ".join(reasons))


def _model(circuit: Circuit) -> str:
    """The model by its name and, as two may have the same name, its weights; empty where the record does not say."""
    model = Provenance.of(circuit).model
    return f"{model.name} ({str(model.weights)[:19]})" if model else ""


def _units(circuit: Circuit) -> tuple[object, object]:
    """The metric and the meaning of a circuit's scores."""
    origin = Provenance.of(circuit)
    return origin.metric and origin.metric.name, origin.algorithm and origin.algorithm.score


def _by_strength(circuit: Circuit) -> tuple[Edge, ...]:
    return tuple(sorted(circuit.ordered(), key=lambda edge: -abs(circuit.scores.get(edge, 0.0))))
