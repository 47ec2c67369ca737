"""The adversary: everything that is tried against a circuit, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_never

import tasks
from acdc.attacks.case import Case
from acdc.attacks.crossing import Crossing, crossing
from acdc.attacks.diagnosis import Diagnosis, diagnosis
from acdc.attacks.file import SCHEMA, circuit_hash
from acdc.attacks.plan import PARTS, Part, Plan
from acdc.attacks.search import Search, search
from acdc.attacks.specificity import Elsewhere, specificity
from acdc.attacks.variations import Varied, variations
from acdc.discovery import problems
from acdc.errors import UnmeasurableBehaviour
from acdc.evaluation import subject
from acdc.hashes import Tell
from acdc.judges.necessity import Necessity, necessity
from acdc.progress import Progress
from acdc.record import Asked, record
from acdc.recorded import recorded_setup
from graphs.ablation import Ablation
from graphs.circuit import Circuit
from tasks.errors import BrokenPlugin
from tasks.prompts import PromptPairs
from tasks.task import Task
from tasks.tokenisation import tokenise

if TYPE_CHECKING:
    from acdc.problem import Problem
    from acdc.setup import Setup
    from graphs.model import Model

Watcher = Callable[[Progress], None]


@dataclass(frozen=True)
class Found:
    """What each part of an attack found; None where it was not tried."""

    variations: tuple[Varied, ...] | None = None
    crossing: Crossing | None = None
    search: Search | None = None
    diagnosis: tuple[Diagnosis, ...] | None = None
    necessity: Necessity | None = None
    specificity: tuple[Elsewhere, ...] | None = None

    @property
    def worst(self) -> tuple[Case, ...]:
        """The worst prompts of all parts that the model is right on, worst first, each once.

        Variations that the model does not do, or its tokenizer cannot express, do not count.
        """
        cases = [*(self.crossing.worst if self.crossing else ()), *(self.search.cases if self.search else ())]
        for varied in self.variations or ():
            cases += varied.worst if varied.verdict in ("holds", "breaks") else ()
        ordered = sorted((case for case in cases if case.model_right), key=lambda case: (-case.kl, case.pair.clean))
        once: dict[tuple[str, str, int], Case] = {}
        for case in ordered:
            once.setdefault((case.pair.clean, case.pair.corrupt, case.pair.position), case)
        return tuple(once.values())

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: _json(part) for name, part in found.items() if part is not None}


@dataclass(frozen=True)
class Attack:
    """An attack on a circuit: what it was run with (`origin`), what was found, and why what was skipped was.

    `seconds` is what each part took: the only figures that another run does not give again.
    """

    circuit: Circuit
    origin: Mapping[str, Any]
    plan: Plan
    found: Found
    skipped: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def repaired(self) -> Circuit:
        """The circuit with all edges that repair a diagnosed case."""
        edges = {one.edge for case in self.found.diagnosis or () if case.repaired for one in case.together}
        return replace(self.circuit, edges=self.circuit.edges | edges)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        of = {"edges": len(self.circuit), "hash": circuit_hash(self.circuit)}
        timings: dict[str, Any] = {"seconds": dict(self.seconds)}
        if self.found.search:
            timings["prompts_per_second"] = self.found.search.per_second
        return {
            "schema": SCHEMA,
            "circuit": of,
            **self.origin,
            "plan": self.plan.to_json(),
            "worst": [case.to_json() for case in self.found.worst],
            **self.found.to_json(),
            "skipped": dict(self.skipped),
            "timings": timings,
        }


def attack(
    task: Task,
    model: Model,
    circuit: Circuit,
    setup: Setup,
    plan: Plan = Plan(),  # noqa: B008  # a frozen value
    *,
    asked: Asked | None = None,
    watch: Watcher = lambda progress: None,
) -> Attack:
    """Look for prompts on which the model does the task and the circuit does not.

    `asked` says how task and model are called (None: by their own names); `watch` hears of every part.

    Raises: BadPrompts when the tokenizer cannot express enough prompts; DifferentGraphs.
    """
    discovery, judgement = problems(task, model, setup)
    about = record(asked or Asked.of(task, model), discovery, judgement, setup)
    del about["created"]  # the same attack gives the same file
    run = _Run(task, circuit, setup, plan, judgement, watch)
    found = Found()
    skipped: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for part in PARTS:
        if part not in plan.parts:
            continue
        watch(Progress(part, 0, 1))
        before = perf_counter()
        try:
            found = run.part(part, found)
            seconds[part] = perf_counter() - before
        except (_Skipped, UnmeasurableBehaviour) as why:
            skipped[part] = str(why)
        watch(Progress(part, 1, 1))
    return Attack(circuit, about, plan, found, skipped, seconds)


def attack_circuit(
    circuit: str | Path | Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    setup: Setup | None = None,
    plan: Plan = Plan(),  # noqa: B008  # a frozen value
    anyway: bool = False,
    watch: Watcher = lambda progress: None,
    tell: Tell | None = None,
) -> Attack:
    """Attack a circuit as `attack` does; what is left out is what the circuit's own record says.

    Weights, tokenizer or prompts that have changed since are refused, unless `anyway`; `tell` is as for
    `acdc.evaluation.subject`.

    Raises: as `attack` and `judgement`.
    """
    circuit = circuit if isinstance(circuit, Circuit) else Circuit.load(circuit)
    setup = recorded_setup(circuit) if setup is None else setup
    of, on = subject(circuit, task=task, model=model, setup=setup, anyway=anyway, tell=tell)
    recorded = circuit.provenance.get("task", {})
    asked = Asked.of(task or recorded.get("file") or recorded["name"], on if model is None else model)
    return attack(of, on, circuit, setup, plan, asked=asked, watch=watch)


class _Skipped(Exception):
    """A part is not tried; the message says why."""


@dataclass(frozen=True)
class _Run:
    task: Task
    circuit: Circuit
    setup: Setup
    plan: Plan
    judgement: Problem
    watch: Watcher

    def part(self, part: Part, found: Found) -> Found:
        """What those before it have found, and that part.

        Raises: _Skipped; UnmeasurableBehaviour.
        """
        task, model, circuit, setup, plan = self.task, self.judgement.model, self.circuit, self.setup, self.plan
        match part:
            case "variations":
                varied = variations(task, model, circuit, setup, prompts=plan.prompts)
                return replace(found, variations=varied)
            case "crossing":
                if setup.ablation is not Ablation.RESAMPLE:
                    raise _Skipped("what missing edges carry hangs on the corrupt prompt under resample ablation only")
                crossed = crossing(self._crossed(), circuit, seed=plan.seed, watch=self._within)
                return replace(found, crossing=crossed)
            case "search":
                if task.slots is None:
                    raise _Skipped("nothing is known of what may fill the slots of this task's prompts")
                budget, seed = plan.budget, plan.seed
                hunted = search(task, model, circuit, setup, budget=budget, seed=seed, watch=self._within)
                return replace(found, search=hunted)
            case "diagnosis":
                worst = found.worst[: plan.diagnosed]
                if not worst or len(circuit) == circuit.graph.n_edges:
                    raise _Skipped("there is nothing to repair")
                return replace(found, diagnosis=diagnosis(_prompts_of(worst, self.judgement), circuit))
            case "necessity":
                return replace(found, necessity=necessity(self.judgement, circuit, plan.seed))
            case "specificity":
                others = specificity(list(_others(task)), model, circuit, setup)
                return replace(found, specificity=others)
            case _:
                assert_never(part)

    def _within(self, progress: Progress) -> None:
        """Tell how far a part is; its end is told with its result."""
        if progress.done < progress.total:
            self.watch(progress)

    def _crossed(self) -> Problem:
        """The problem of the prompts that are crossed: as many as are asked for, and none of those to find it with."""
        count, own = self.plan.crossed, self.judgement.pairs
        if count is None or count == len(own):
            return self.judgement
        if count < len(own):
            return replace(self.judgement, pairs=own.select(range(count)))
        return problems(self.task, self.judgement.model, replace(self.setup, prompts=count))[1]


def _prompts_of(cases: Sequence[Case], problem: Problem) -> Problem:
    """The problem of just these cases' prompts."""
    pairs = [tokenise(case.pair, problem.model.tokenizer)[0] for case in cases]
    return problem.on(PromptPairs(tuple(pair for pair in pairs if pair is not None)))


def _others(task: Task) -> Iterator[Task]:
    """All tasks that are known by name but this one; a broken plugin is no matter of a circuit's."""
    for name in tasks.names():
        with suppress(BrokenPlugin):
            if name != task.name:
                yield tasks.get(name)


def _json(part: Any) -> Any:
    return [one.to_json() for one in part] if isinstance(part, tuple) else part.to_json()
