"""The adversary: everything that is tried against a circuit, part by part, each kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from typing_extensions import assert_never

from acdc import tasks
from acdc.attacks.case import Case
from acdc.attacks.crossing import crossing
from acdc.attacks.diagnosis import diagnosis
from acdc.attacks.found import Attack, AttackFindings, LeftOut
from acdc.attacks.plan import AttackPlan, Part, parts
from acdc.attacks.search_shards import SearchShards
from acdc.attacks.specificity import specificity
from acdc.attacks.variations import variations
from acdc.discovery.checkpoint import Checkpoint
from acdc.errors import AcdcError, BadCheckpoint, UnmeasurableBehaviour
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import GraphsError
from acdc.judges.evaluation import subject
from acdc.judges.necessity import necessity
from acdc.judges.same_subject import Tell
from acdc.pieces.place import HERE, AbstractPlace
from acdc.problems import problems, settled
from acdc.progress import Progress
from acdc.provenance import Provenance
from acdc.request import Request
from acdc.tasks.errors import BrokenPlugin, TaskError
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task
from acdc.tasks.tokenisation import tokenise

if TYPE_CHECKING:
    from acdc.graphs.model import Model
    from acdc.problem import Problem
    from acdc.settings import Setup

Watcher = Callable[[Progress], None]


def attack(
    task: Task,
    model: Model,
    circuit: Circuit,
    setup: Setup,
    plan: AttackPlan = AttackPlan(),  # noqa: B008  # a frozen value
    *,
    asked: Request | None = None,
    watch: Watcher = lambda progress: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    place: AbstractPlace = HERE,
) -> Attack:
    """Look for prompts on which the model does the task and the circuit does not.

    `asked` says how task and model are called (None: by their own names); `watch` hears of every part. A part that ends
    in an error which is not a fault of this package is left out, with the error, and the others go on. With a
    `checkpoint` file each part is kept as soon as it is done; with `resume` those kept are not tried again, and those
    that failed are. The file is left for the caller to remove. Shards of the search are made at a `place` of
    `acdc.pieces`; elsewhere than here, task and model must go by names that find them again.

    Raises: BadPrompts when the tokenizer cannot express enough prompts; BadCheckpoint; where no part gave anything, the
    error that the first of them failed with, such as DifferentGraphs.
    """
    discovery, judgement = problems(task, model, setup, watch=watch)
    setup = settled(setup, discovery)
    asked = asked or Request.of(task, model)
    origin = asked.provenance(discovery, judgement, setup)
    shards = SearchShards(task, model, circuit, setup, plan)
    if place is not HERE:
        shards = shards.elsewhere(asked, origin)
    kept = None
    if checkpoint is not None:
        edges = [edge.name for edge in circuit.ordered()]
        kept = Checkpoint(Path(checkpoint), {**origin.measurement(), "circuit": edges, "plan": plan.to_json()})
    state = _State.load(kept) if kept and resume else _State(AttackFindings(), {}, {})
    run = _AttackRun(_Attacked(task, circuit, setup, plan), judgement, shards, place, watch)
    found, left_out, seconds = run.all(state, kept)
    return Attack(circuit, origin, plan, found, left_out, seconds)


def attack_circuit(
    circuit: str | Path | Circuit,
    *,
    task: str | Path | Task | None = None,
    model: str | Model | None = None,
    setup: Setup | None = None,
    plan: AttackPlan = AttackPlan(),  # noqa: B008  # a frozen value
    anyway: bool = False,
    watch: Watcher = lambda progress: None,
    tell: Tell | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    place: AbstractPlace = HERE,
) -> Attack:
    """Attack a circuit as `attack` does; what is left out is what the circuit's own record says.

    Weights, tokenizer or prompts that have changed since are refused, unless `anyway`; `tell` is as for
    `acdc.judges.evaluation.subject`.

    Raises: as `attack` and `judgement`.
    """
    circuit = circuit if isinstance(circuit, Circuit) else Circuit.load(circuit)
    setup = Provenance.of(circuit).setup() if setup is None else setup
    of, on = subject(circuit, task=task, model=model, setup=setup, anyway=anyway, tell=tell)
    named = Provenance.of(circuit).task_name() if task is None else task
    asked = Request.of(named, on if model is None else model)
    kept: dict[str, Any] = {"checkpoint": checkpoint, "resume": resume}
    return attack(of, on, circuit, setup, plan, asked=asked, watch=watch, place=place, **kept)


class _Skipped(Exception):
    """A part is not tried; the message says why."""


@dataclass(frozen=True)
class _State:
    """How far an attack is: what parts have found, why others do not apply, and what each took."""

    found: AttackFindings
    skipped: dict[str, str]
    seconds: dict[str, float]

    @classmethod
    def load(cls, kept: Checkpoint) -> _State:
        """The state to go on from.

        Raises: BadCheckpoint.
        """
        state = kept.load()
        try:
            return cls(AttackFindings.from_state(state["found"]), dict(state["skipped"]), dict(state["seconds"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(f"{kept.path} is no attack's or is damaged; delete it and start anew") from error

    def to_json(self) -> dict[str, object]:
        """All of it as plain JSON data."""
        return {"found": self.found.state(), "skipped": self.skipped, "seconds": self.seconds}


@dataclass(frozen=True)
class _Attacked:
    task: Task
    circuit: Circuit
    setup: Setup
    plan: AttackPlan


@dataclass(frozen=True)
class _AttackRun:
    of: _Attacked
    judgement: Problem
    shards: SearchShards
    place: AbstractPlace
    watch: Watcher

    def all(self, state: _State, kept: Checkpoint | None) -> tuple[AttackFindings, LeftOut, dict[str, float]]:
        """Try every part that the state lacks; what was found, what was left out, and what each part took.

        Raises: the first error that a part failed with, where no part gave anything.
        """
        found, skipped, seconds = state.found, {**state.skipped}, {**state.seconds}
        failed: dict[str, Exception] = {}
        new = False
        for part in parts(self.of.plan.parts):
            if part in (*found.parts, *skipped) and not (
                new and part == "diagnosis"
            ):  # which is of the worst there are
                continue
            new = True
            self.watch(Progress(part, 0, 1))
            before = perf_counter()
            found, _ = replace(found, **{part: None}), skipped.pop(part, None)
            try:
                found = self.part(part, found)
                seconds[part] = perf_counter() - before
            except (_Skipped, UnmeasurableBehaviour) as why:
                skipped[part] = str(why)
            except Exception as error:
                if not _is_not_ours(error):
                    raise
                failed[part] = error
            if kept and part not in failed:
                kept.save(_State(found, skipped, seconds).to_json())
            self.watch(Progress(part, 1, 1))
        if failed and not found.parts:
            raise next(iter(failed.values()))
        return found, LeftOut(skipped, failed), seconds

    def part(self, part: Part, found: AttackFindings) -> AttackFindings:
        """What those before it have found, and that part.

        Raises: _Skipped; UnmeasurableBehaviour.
        """
        of, model = self.of, self.judgement.model
        task, circuit, setup, plan = of.task, of.circuit, of.setup, of.plan
        match part:
            case "variations":
                varied = variations(task, model, circuit, setup, prompts=plan.prompts)
                return replace(found, variations=varied)
            case "crossing":
                if setup.ablation is not Ablation.RESAMPLE:
                    raise _Skipped("what missing edges carry hangs on the corrupt prompt under resample ablation only")
                if self._several:
                    raise _Skipped("a prompt is scored at several positions, so that no other corrupt prompt fits it")
                crossed = crossing(self._crossed(), circuit, seed=plan.seed, watch=self._within)
                return replace(found, crossing=crossed)
            case "search":
                if task.slots is None:
                    raise _Skipped("nothing is known of what may fill the slots of this task's prompts")
                if model.tokenizer is None:
                    raise _Skipped("the model has no tokenizer, so that no word of a prompt can be changed")
                return replace(found, search=self.shards.walk(self.place, self._within))
            case "diagnosis":
                worst = found.worst[: plan.diagnosed]
                if not worst or len(circuit) == circuit.graph.n_edges:
                    raise _Skipped("there is nothing to repair")
                if self._several:
                    raise _Skipped("a prompt is scored at several positions, and repairs are sought for one")
                return replace(found, diagnosis=diagnosis(_prompts_of(worst, self.judgement), circuit))
            case "necessity":
                return replace(found, necessity=necessity(self.judgement, circuit, plan.seed))
            case "specificity":
                others = specificity(list(_others(task)), model, circuit, setup)
                return replace(found, specificity=others)
            case _:
                assert_never(part)

    @property
    def _several(self) -> bool:
        """Whether some prompt is scored at more than one position."""
        return any(len(pair.scored) > 1 for pair in self.judgement.pairs.pairs)

    def _within(self, progress: Progress) -> None:
        """Tell how far a part is; its end is told with its result."""
        if progress.done < progress.total:
            self.watch(progress)

    def _crossed(self) -> Problem:
        """The problem of the prompts that are crossed: as many as are asked for, and none of those to find it with."""
        count, own = self.of.plan.crossed, self.judgement.pairs
        if count is None or count == len(own):
            return self.judgement
        if count < len(own):
            return replace(self.judgement, pairs=own.select(range(count)))
        return problems(self.of.task, self.judgement.model, replace(self.of.setup, prompts=count))[1]


def _is_not_ours(error: Exception) -> bool:
    """Whether a user, the data or the machine can cause the error: anything else is a fault of this package."""
    lacks_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )
    return lacks_memory or isinstance(error, (AcdcError, GraphsError, TaskError))


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
