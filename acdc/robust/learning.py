"""Robust discovery, which learns from counterexamples: discover, attack, add what fails to the prompts, discover again.

A new circuit is what KL(model || circuit) or the task's own metric finds within the edge budget, whichever the attack
hurts less. KL is what an attack raises, and the few prompts that fail weigh heavily in its mean, as it is near 0 on
most others; but it says little of the margin that a right answer has, which the task's own metric may. More edges may
be all it takes: in the first round, circuits that have learned nothing compete as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from acdc import tasks
from acdc.attacks.search import searchable
from acdc.attacks.variations import prompts_of
from acdc.discovery.checkpoint import ROUNDS, Checkpoint
from acdc.discovery.defaults import measured_for
from acdc.discovery.discover import Result, discover, method_and_goal
from acdc.discovery.search import search as finder
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour, UnreachableGoal
from acdc.footprint import MEMORY_FACTOR
from acdc.graphs.ablation import Ablation
from acdc.graphs.model import Model
from acdc.judges.distance import Watch
from acdc.models import load_named
from acdc.problems import problems
from acdc.provenance import Provenance
from acdc.robust.candidate import CandidateCircuit, Counterexample, counterexamples_of, joint
from acdc.robust.plan import RobustPlan
from acdc.robust.result import RobustResult
from acdc.robust.round_attacks import AttackedCandidate, RobustAttacks
from acdc.robust.rounds import Round, Stop
from acdc.robust.unseen_attack import judged, unrefined
from acdc.settings import Edges, Goal, Method, Setup
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task
from acdc.tasks.tokenisation import TokenPair


def discover_robust(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method | None = None,
    goal: Goal | float | int | None = None,
    setup: Setup = Setup(),  # noqa: B008  # a frozen value
    plan: RobustPlan = RobustPlan(),  # noqa: B008  # likewise
    watch: Watch | None = None,
    tell: Callable[[Round], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> RobustResult:
    """Find the circuit of a behaviour as `discover` does, then again with counterexamples in rounds.

    The goal is that of the first circuit; the others are the best of at most so many edges as the plan allows. No
    judgement prompt is learned from, and the unseen attack tests no prompt that was. `tell` hears of each round. With a
    `checkpoint` file it can be interrupted: the rounds done are in `rounds.json` beside it, and with `resume` the one
    under way starts anew. A first circuit of 0 edges is the result, without any round.

    Raises: BadSetting for a task without slots; and as `discover`.
    """
    task_ = task if isinstance(task, Task) else tasks.get(task)
    method, goal = method_and_goal(model or task_.model, method, goal)
    setup = measured_for(goal, method, setup)
    searchable(task_)
    done = None if checkpoint is None else Path(checkpoint).with_name(ROUNDS)
    # a method that keeps no state has no checkpoint, but may have rounds
    resumes = resume and not (done and done.exists() and not Path(str(checkpoint)).exists())
    first = discover(
        task, model, method=method, goal=goal, setup=setup, watch=watch, checkpoint=checkpoint, resume=resumes
    )
    if not first.circuit.edges:
        return unrefined(first, plan)
    loaded = model if isinstance(model, Model) else load_named(model or task_.model, setup)
    # where constants were learned for the first circuit, these
    setup = replace(setup, ablation=Provenance.of(first.circuit).setup().ablation)
    posed = problems(task_, loaded, setup, MEMORY_FACTOR * method.max_bytes)
    robust_search = _RobustSearch(method, RobustAttacks(task_, setup, plan, *posed, watch))
    kept = None
    if done is not None:
        edges = [edge.name for edge in first.circuit.ordered()]
        kept = Checkpoint(
            done, {"circuit": edges, "method": asdict(method), "setup": _plain(setup), "plan": plan.to_json()}
        )
    before = kept.load()["found"] if kept and resume and kept.path.exists() else []
    return robust_search.run(first, tell, kept, before)


@dataclass(frozen=True)
class _RobustSearch:
    """What stays the same from round to round: how circuits are found, and how they are attacked."""

    method: Method
    attacks: RobustAttacks

    def run(
        self,
        first: Result,
        tell: Callable[[Round], None] | None,
        kept: Checkpoint | None,
        before: Collection[Mapping[str, Any]],
    ) -> RobustResult:
        """All rounds, those found before without a search, and the verdict."""
        attacks = self.attacks
        most = int(attacks.plan.growth * len(first.circuit))
        counterexamples: list[Counterexample] = []
        found = CandidateCircuit(first.circuit, attacks.discovery.metric.name)
        met = [attacks.attacked(0, found, (), (), None)]
        earlier = [CandidateCircuit.from_json(first.circuit, data) for data in before]
        while True:
            now, number = met[-1], len(met)
            if tell is not None:
                tell(now.round)
            if (stop := self._stop(now.round)) is not None:
                break
            new = self._new_counterexamples(now, counterexamples)
            if not new:
                stop = Stop.NOTHING_NEW
                break
            counterexamples += new
            candidates = earlier[number - 1 : number]
            if not candidates:
                learned_from = (counterexamples,) if number > 1 else (counterexamples, ())
                candidates = [each for some in learned_from for each in self._rediscovered(number, some, most)]
            if not candidates:
                stop = Stop.EDGES
                break
            attacked = [
                attacks.attacked(number, each, counterexamples, new if each.counterexamples else (), now)
                for each in candidates
            ]
            met.append(min(attacked, key=lambda each: (each.round.attack.worst, each.round.circuit.edges)))
            if kept is not None:
                kept.save({"found": [each.found.to_json() for each in met[1:]]})
        return judged(attacks, first, met, counterexamples, stop)

    def _stop(self, now: Round) -> Stop | None:
        if not now.attack.above and not now.attack.breaks:
            return Stop.HELD
        if now.number and not now.circuit.gained and not now.circuit.lost:
            return Stop.EDGES
        return Stop.ROUNDS if now.number == self.attacks.plan.rounds else None

    def _new_counterexamples(
        self, now: AttackedCandidate, counterexamples: Collection[Counterexample]
    ) -> list[Counterexample]:
        """New prompts to learn from: some of each variation that breaks the circuit, and counterexamples.

        None of those by which a circuit is judged, nor by which a variation is.
        """
        attacks, discovery = self.attacks, self.attacks.discovery
        most = attacks.plan.counterexamples
        judging = PromptPairs((*attacks.judgement.pairs.pairs, *self._varied))
        taken = (
            {pair.clean for pair in judging.pairs}
            | {pair.clean for pair in discovery.pairs.pairs}
            | {each.pair.clean for each in counterexamples}
        )
        new: dict[tuple[int, ...], Counterexample] = {}

        def add(one: Counterexample) -> None:
            if one.pair.clean not in taken and discovery.fits(one.pair.length):
                new.setdefault(one.pair.clean, one)

        broken = [each for each in attacks.task.variations if each.name in now.round.attack.breaks]
        for variation in broken:
            share = max(most // 2 // len(broken), 4)
            draw = 1 + now.round.number  # another than of those that judge it, and than of any attack
            drawn = prompts_of(variation, discovery, judging, share, attacks.setup.seed, draw)
            for pair in () if isinstance(drawn, str) else drawn.pairs:
                add(Counterexample(pair, f"variation {variation.name}"))
        for one in counterexamples_of(now.cases, discovery):
            if len(new) < most:
                add(one)
        return list(new.values())

    @cached_property
    def _varied(self) -> tuple[TokenPair, ...]:
        """The prompts by which the variations are judged in every round."""
        task, setup, seen = self.attacks.task, self.attacks.setup, self.attacks.discovery.pairs
        drawn = [
            prompts_of(variation, self.attacks.judgement, seen, setup.prompts, setup.seed)
            for variation in task.variations
        ]
        return tuple(pair for pairs in drawn if isinstance(pairs, PromptPairs) for pair in pairs.pairs)

    def _rediscovered(
        self, number: int, counterexamples: Sequence[Counterexample], most: int
    ) -> list[CandidateCircuit]:
        """The circuits of at most `most` edges that KL and the task's own metric find on all prompts there are."""
        own, every = self.attacks.discovery.metric, joint(self.attacks.discovery, counterexamples)
        found: list[CandidateCircuit] = []
        for metric in {each.name: each for each in (KLDivergence(), own)}.values():
            watch = self.attacks.staged(f"round {number}, {metric.name}")
            walk = finder(self.method, Edges(most), self.attacks.setup.seed).walk(replace(every, metric=metric))
            try:
                circuit, summary = drain(walk, watch)
            except (UnmeasurableBehaviour, UnreachableGoal):  # this metric has no such circuit
                continue
            found.append(CandidateCircuit(circuit, metric.name, len(counterexamples), summary))
        return found


def _plain(setup: Setup) -> dict[str, Any]:
    """Whatever of it changes what is found."""
    chosen = {**asdict(replace(setup, ablation=Ablation(setup.ablation))), "dtype": setup.compute.dtype}
    return {key: str(value) for key, value in chosen.items() if key != "compute"}
