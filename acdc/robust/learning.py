"""Robust discovery, which learns from counterexamples: discover, attack, add what fails to the prompts, discover again.

A new circuit is what KL(model || circuit) or the task's own metric finds within the edge budget, whichever the attack
hurts less. KL is what an attack raises, and the few prompts that fail weigh heavily in its mean, as it is near 0 on
most others; but it says little of the margin that a right answer has, which the task's own metric may. More edges may
be all it takes: in the first round, circuits that have learned nothing compete as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from acdc import tasks
from acdc.attacks.case import Case
from acdc.attacks.search import SEARCH, search, searchable
from acdc.attacks.variations import prompts_of, variations
from acdc.discovery.checkpoint import ROUNDS, Checkpoint
from acdc.discovery.discover import Result, discover, measured_for
from acdc.discovery.search import search as finder
from acdc.drain import drain
from acdc.errors import UnmeasurableBehaviour, UnreachableGoal
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.graphs.nodes import Edge
from acdc.judges.faithfulness import faithfulness
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import MEMORY_FACTOR, problems
from acdc.progress import CurvePoint, Progress, SearchSummary
from acdc.request import side
from acdc.robust.frequent_words import typical
from acdc.robust.rounds import CircuitFigures, RobustPlan, RobustResult, Round, Stop
from acdc.settings import Edges, Goal, KeptFaithfulness, Method, Setup, as_goal
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task
from acdc.tasks.tokenisation import TokenPair, tokenise

Watch = Callable[[Progress], None]


def discover_robust(
    task: str | Path | Task,
    model: str | Model | None = None,
    *,
    method: str | Method = Method(),  # noqa: B008  # a frozen value
    goal: Goal | float | int = KeptFaithfulness(),  # noqa: B008  # likewise
    setup: Setup = Setup(),  # noqa: B008  # likewise
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
    method, goal = Method(method) if isinstance(method, str) else method, as_goal(goal)
    setup = measured_for(goal, method, setup)
    task_ = task if isinstance(task, Task) else tasks.get(task)
    searchable(task_)
    done = None if checkpoint is None else Path(checkpoint).with_name(ROUNDS)
    # a method that keeps no state has no checkpoint, but may have rounds
    resumes = resume and not (done and done.exists() and not Path(str(checkpoint)).exists())
    first = discover(
        task, model, method=method, goal=goal, setup=setup, watch=watch, checkpoint=checkpoint, resume=resumes
    )
    if not first.circuit.edges:
        return _unrefined(first, plan)
    loaded = model if isinstance(model, Model) else load_named(model or task_.model, setup)
    robust_search = _RobustSearch(
        task_, loaded, method, setup, plan, *problems(task_, loaded, setup, MEMORY_FACTOR * method.max_bytes), watch
    )
    kept = None
    if done is not None:
        edges = [edge.name for edge in first.circuit.ordered()]
        kept = Checkpoint(
            done, {"circuit": edges, "method": asdict(method), "setup": _plain(setup), "plan": asdict(plan)}
        )
    before = kept.load()["found"] if kept and resume and kept.path.exists() else []
    return robust_search.run(first, tell, kept, before)


@dataclass(frozen=True)
class _CandidateCircuit:
    """A circuit, the metric that found it, how many counterexamples it was found with, and the search's summary of it.

    The first circuit has no summary here.
    """

    circuit: Circuit
    metric: str
    counterexamples: int = 0
    summary: SearchSummary | None = None

    def to_json(self) -> dict[str, Any]:
        assert self.summary is not None
        edges = {edge.name: self.circuit.scores.get(edge) for edge in self.circuit.ordered()}
        return {
            "edges": edges,
            "metric": self.metric,
            "counterexamples": self.counterexamples,
            "summary": asdict(self.summary),
        }

    @classmethod
    def from_json(cls, circuit: Circuit, data: Mapping[str, Any]) -> _CandidateCircuit:
        scores = {Edge.parse(name): score for name, score in data["edges"].items()}
        known = {edge: score for edge, score in scores.items() if score is not None}
        kept = data["summary"]
        curve = tuple(CurvePoint(**point) for point in kept["curve"])
        summary = SearchSummary(CurvePoint(**kept["chosen"]), curve, kept["figures"])
        return cls(Circuit(circuit.graph, frozenset(scores), known), data["metric"], data["counterexamples"], summary)


@dataclass(frozen=True)
class _RoundAttack:
    """A circuit that has been attacked: the counterexamples of the search, and what came of the round."""

    found: _CandidateCircuit
    cases: tuple[Case, ...]
    round: Round


@dataclass(frozen=True)
class _Counterexample:
    """A prompt to learn from, and what found it."""

    pair: TokenPair
    found_by: str


@dataclass(frozen=True)
class _RobustSearch:
    """What stays the same from round to round."""

    task: Task
    model: Model
    method: Method
    setup: Setup
    plan: RobustPlan
    discovery: Problem
    judgement: Problem
    watch: Watch | None

    def run(
        self,
        first: Result,
        tell: Callable[[Round], None] | None,
        kept: Checkpoint | None,
        before: Collection[Mapping[str, Any]],
    ) -> RobustResult:
        """All rounds, those found before without a search, and the verdict."""
        most = int(self.plan.growth * len(first.circuit))
        counterexamples: list[_Counterexample] = []
        met = [self._attacked(0, _CandidateCircuit(first.circuit, self.discovery.metric.name), (), (), None)]
        found = [_CandidateCircuit.from_json(first.circuit, data) for data in before]
        while True:
            now, number = met[-1], len(met)
            if tell is not None:
                tell(now.round)
            if (stop := self._stop([each.round for each in met])) is not None:
                break
            new = self._new_counterexamples(now, counterexamples)
            if not new:
                stop = Stop.NOTHING_NEW
                break
            counterexamples += new
            candidates = found[number - 1 : number]
            if not candidates:
                learned_from = (counterexamples,) if number > 1 else (counterexamples, ())
                candidates = [each for some in learned_from for each in self._rediscovered(number, some, most)]
            if not candidates:
                stop = Stop.EDGES
                break
            attacked = [
                self._attacked(number, each, counterexamples, new if each.counterexamples else (), now)
                for each in candidates
            ]
            met.append(min(attacked, key=lambda each: (each.round.worst, each.round.edges)))
            if kept is not None:
                kept.save({"found": [each.found.to_json() for each in met[1:]]})
        return self._judged(first, met, counterexamples, stop)

    def _stop(self, rounds: list[Round]) -> Stop | None:
        now = rounds[-1]
        if not now.above and not now.breaks:
            return Stop.HELD
        if now.number and not now.gained and not now.lost:
            return Stop.EDGES
        return Stop.ROUNDS if now.number == self.plan.rounds else None

    def _attacked(
        self,
        number: int,
        found: _CandidateCircuit,
        counterexamples: Collection[_Counterexample],
        learned: Collection[_Counterexample],
        before: _RoundAttack | None,
    ) -> _RoundAttack:
        circuit, plan = found.circuit, self.plan
        cases = self._search(circuit, plan.seed + number, f"round {number}: attack")
        varied = variations(self.task, self.model, circuit, self.setup, prompts=self.setup.prompts)
        above = tuple(case for case in cases if case.kl > plan.bound)
        edges = {edge.name for edge in circuit.edges}
        earlier = {edge.name for edge in before.found.circuit.edges} if before else edges
        outcome = Round(
            number=number,
            edges=len(circuit),
            metric=found.metric,
            mean=float(self.discovery.measure([circuit], [KLDivergence()]).mean()),
            worst=max([self._worst_again(found, counterexamples), *(case.kl for case in cases)]),
            above=len(above),
            breaks=tuple(each.name for each in varied[1:] if each.verdict == "breaks"),
            learned=dict(Counter(one.found_by for one in learned)),
            words=typical([one.pair.text for one in learned if one.found_by == SEARCH], self.discovery.pairs.texts()),
            gained=tuple(sorted(edges - earlier)),
            lost=tuple(sorted(earlier - edges)),
            added=PromptPairs(tuple(one.pair for one in learned)).fingerprint() if learned else None,
        )
        return _RoundAttack(found, above, outcome)

    def _worst_again(self, found: _CandidateCircuit, counterexamples: Collection[_Counterexample]) -> float:
        """The highest KL on the counterexamples met so far, be they of other circuits: one attack does not meet all."""
        pairs = tuple(one.pair for one in counterexamples if one.found_by == SEARCH)
        if not pairs:
            return 0.0
        return float(self.judgement.on(PromptPairs(pairs)).measure([found.circuit], [KLDivergence()]).max())

    def _search(
        self, circuit: Circuit, seed: int, stage: str, without: Collection[_Counterexample] = ()
    ) -> tuple[Case, ...]:
        found = search(
            self.task,
            self.model,
            circuit,
            self.setup,
            budget=self.plan.budget,
            seed=seed,
            keep=self.plan.counterexamples,
            without=[one.pair.clean for one in without],
            watch=self._staged(stage),
        )
        return found.cases

    def _new_counterexamples(
        self, now: _RoundAttack, counterexamples: Collection[_Counterexample]
    ) -> list[_Counterexample]:
        """New prompts to learn from: some of each variation that breaks the circuit, and counterexamples.

        None of those by which a circuit is judged, nor by which a variation is.
        """
        judging = PromptPairs((*self.judgement.pairs.pairs, *self._varied))
        taken = (
            {pair.clean for pair in judging.pairs}
            | {pair.clean for pair in self.discovery.pairs.pairs}
            | {each.pair.clean for each in counterexamples}
        )
        new: dict[tuple[int, ...], _Counterexample] = {}

        def add(pair: TokenPair | None, found_by: str) -> None:
            if pair is not None and pair.clean not in taken and self.discovery.fits(pair.length):
                new.setdefault(pair.clean, _Counterexample(pair, found_by))

        broken = [each for each in self.task.variations if each.name in now.round.breaks]
        for variation in broken:
            share = max(self.plan.counterexamples // 2 // len(broken), 4)
            draw = 1 + now.round.number  # another than of those that judge it, and than of any attack
            drawn = prompts_of(variation, self.discovery, judging, share, self.setup.seed, draw)
            for pair in () if isinstance(drawn, str) else drawn.pairs:
                add(pair, f"variation {variation.name}")
        for case in now.cases:
            if len(new) < self.plan.counterexamples:
                add(self._tokens(case), case.found_by)
        return list(new.values())

    def _tokens(self, case: Case) -> TokenPair | None:
        return tokenise(case.pair, self.model.tokenizer)[0]

    @cached_property
    def _varied(self) -> tuple[TokenPair, ...]:
        """The prompts by which the variations are judged in every round."""
        seen, count, seed = self.discovery.pairs, self.setup.prompts, self.setup.seed
        drawn = [prompts_of(variation, self.judgement, seen, count, seed) for variation in self.task.variations]
        return tuple(pair for pairs in drawn if isinstance(pairs, PromptPairs) for pair in pairs.pairs)

    def _rediscovered(
        self, number: int, counterexamples: Collection[_Counterexample], most: int
    ) -> list[_CandidateCircuit]:
        """The circuits of at most `most` edges that KL and the task's own metric find on all prompts there are."""
        joint = self.discovery.on(self._joint(counterexamples))
        found: list[_CandidateCircuit] = []
        for metric in {each.name: each for each in (KLDivergence(), self.discovery.metric)}.values():
            watch = self._staged(f"round {number}, {metric.name}")
            walk = finder(self.method, Edges(most), self.setup.seed).walk(replace(joint, metric=metric))
            try:
                circuit, summary = drain(walk, watch)
            except (UnmeasurableBehaviour, UnreachableGoal):  # this metric has no such circuit
                continue
            found.append(_CandidateCircuit(circuit, metric.name, len(counterexamples), summary))
        return found

    def _joint(self, counterexamples: Collection[_Counterexample]) -> PromptPairs:
        return PromptPairs((*self.discovery.pairs.pairs, *(one.pair for one in counterexamples)))

    def _judged(
        self, first: Result, met: list[_RoundAttack], counterexamples: list[_Counterexample], stop: Stop
    ) -> RobustResult:
        """The verdict on the refined circuit that its own attack, and what others met, hurt least."""
        last_met = [_Counterexample(pair, SEARCH) for case in met[-1].cases if (pair := self._tokens(case))]
        every = [*counterexamples, *last_met]
        best = min(
            met[1:] or met,
            key=lambda each: (max(each.round.worst, self._worst_again(each.found, every)), each.round.edges),
        )
        found, rounds, seed = best.found, tuple(each.round for each in met), self.setup.seed
        last = first
        if found.summary is not None:
            last = Result(found.circuit, faithfulness(self.judgement, found.circuit, seed), found.summary.curve)
        standings = []
        for result in (first, last):
            cases = self._search(result.circuit, self.plan.unseen, "attack with the unseen seed", counterexamples)
            worst = max((case.kl for case in cases), default=0.0)
            standings.append(CircuitFigures(len(result.circuit), result.faithfulness.kl.circuit, worst))
        refined = RobustResult(last, self.plan, rounds, stop, found.counterexamples, *standings)
        record: dict[str, Any] = {**first.circuit.provenance, "robust": refined.to_json()}
        if not refined.helped:
            return replace(refined, result=replace(first, circuit=replace(first.circuit, provenance=record)))
        assert found.summary is not None
        pairs = self._joint(counterexamples[: found.counterexamples])
        record["prompts"] = {
            **record["prompts"],
            "discovery": side(self.discovery.on(pairs)).to_json(),
        }
        record["algorithm"] = {
            **{key: record["algorithm"][key] for key in ("name", "settings", "score")},
            "goal": {"kind": "Edges", "count": int(self.plan.growth * len(first.circuit))},
            "metric": found.metric,
            "threshold": found.summary.chosen.threshold,
            **found.summary.figures,
        }
        record["curve"] = [asdict(point) for point in last.curve]
        record["faithfulness"] = last.faithfulness.to_json()
        return replace(refined, result=replace(last, circuit=replace(last.circuit, provenance=record)))

    def _staged(self, stage: str) -> Watch | None:
        """Whoever waits, told of what is done now."""
        watch = self.watch
        if watch is None:
            return None
        return lambda progress: watch(replace(progress, stage=f"{stage} · {progress.stage}", state=None))


def _unrefined(first: Result, plan: RobustPlan) -> RobustResult:
    """An empty circuit as it is: an attack on it would tell nothing."""
    standing = CircuitFigures(0, first.faithfulness.kl.circuit, first.faithfulness.kl_tail.max)
    refined = RobustResult(first, plan, (), Stop.EMPTY, 0, standing, standing)
    record = {**first.circuit.provenance, "robust": refined.to_json()}
    return replace(refined, result=replace(first, circuit=replace(first.circuit, provenance=record)))


def _plain(setup: Setup) -> dict[str, Any]:
    return {key: str(value) for key, value in asdict(setup).items() if key != "device"}
