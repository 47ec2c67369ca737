"""Models and prompts that claims are measured on, each loaded and run once for all claims that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from acdc.graphs.circuit import Circuit
from acdc.judges.same_subject import differences
from acdc.models import load_named, name_of
from acdc.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from acdc.graphs.model import Model
    from acdc.graphs.nodes import Edge, Node
    from acdc.graphs.roles import NodeRole
    from acdc.hypotheses.hypothesis import ClaimSubject, Hypothesis
    from acdc.judges.same_subject import Differences, Tell
    from acdc.problem import Problem
    from acdc.settings import Compute, Setup


@final
class ModelCache:
    """What has been loaded so far; one for a whole session of tests."""

    def __init__(self, model: Model | None = None) -> None:
        """One where nothing is loaded yet but that model, if it is given, which stands for its name."""
        self._given = {} if model is None else {name_of(model): model}
        self._models: dict[tuple[str, Compute], Model] = {}
        self._problems: dict[tuple[object, ...], tuple[Problem, Problem]] = {}
        self._roles: dict[tuple[str, str, Setup, frozenset[Edge]], Mapping[Node, NodeRole]] = {}
        self._compared: dict[tuple[Path, str, Setup], Differences] = {}

    def check(self, hypothesis: Hypothesis, *, anyway: bool = False, tell: Tell | None = None) -> None:
        """Compare what the hypothesis is measured on with the record of its circuit, and tell of differences once.

        Raises: ChangedSubject when they are none that file or user ask about, and not `anyway`; as `problem`.
        """
        circuit, subject = hypothesis.circuit, hypothesis.subject
        if not isinstance(circuit, Circuit):
            return
        model = self.problem(subject).model
        hypothesis.circuit_in(model.graph)
        key = hypothesis.path, subject.model, subject.setup
        if key in self._compared:
            self._compared[key].refuse_or_tell(anyway=anyway, tell=lambda line: None)
            return
        self._compared[key] = differences(circuit, subject.task, model, subject.setup, subject.given)
        self._compared[key].refuse_or_tell(anyway=anyway, tell=tell)

    def problem(self, subject: ClaimSubject) -> Problem:
        """The judgement problem of that subject: the prompts that nothing is found on.

        Raises: what loading the model and expressing the prompts in its tokens raises.
        """
        return self._both(subject)[1]

    def roles(self, subject: ClaimSubject, circuit: Circuit) -> Mapping[Node, NodeRole]:
        """The roles of a circuit's heads on that subject, as `acdc explain` finds them.

        Raises: UnmeasurableBehaviour; as `problem`.
        """
        from acdc.explain.labelling import explained_on, label

        key = (subject.key, subject.model, subject.setup, circuit.edges)
        if key not in self._roles:
            choosing, keeping = explained_on(*self._both(subject))
            self._roles[key] = label(circuit, choosing, keeping, seed=subject.setup.seed).roles
        return self._roles[key]

    def _both(self, subject: ClaimSubject) -> tuple[Problem, Problem]:
        """The discovery and the judgement problem."""
        from acdc.features.split import in_graph_of
        from acdc.problems import problems

        circuit = subject.fine_as
        finely = None if circuit is None else (circuit.graph, repr(Provenance.of(circuit).model))
        key = (subject.key, subject.model, subject.setup, finely)
        if key not in self._problems:
            model = self._model(subject.model, subject.setup)
            if circuit is not None:
                model = in_graph_of(circuit, model)
                model = model.by_position(()) if subject.setup.positions == "none" else model
            self._problems[key] = problems(subject.task, model, subject.setup)
        return self._problems[key]

    def _model(self, name: str, setup: Setup) -> Model:
        if name in self._given:
            return self._given[name]
        key = (name, setup.compute)
        if key not in self._models:
            self._models[key] = load_named(name, setup)
        return self._models[key]
