"""How the circuits of a robust discovery are attacked, in every round and in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from acdc.attacks.case import Case
from acdc.attacks.search import SEARCH, search
from acdc.attacks.variations import variations
from acdc.graphs.circuit import Circuit
from acdc.judges.distance import Watch
from acdc.problem import Problem
from acdc.robust.candidate import CandidateCircuit, Counterexample
from acdc.robust.frequent_words import typical
from acdc.robust.plan import RobustPlan
from acdc.robust.rounds import AddedPrompts, Round, RoundAttack, RoundCircuit
from acdc.settings import Setup
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.task import Task


@dataclass(frozen=True)
class AttackedCandidate:
    """A circuit that has been attacked: the cases of the search above the bound, and what came of the round."""

    found: CandidateCircuit
    cases: tuple[Case, ...]
    round: Round


@dataclass(frozen=True)
class RobustAttacks:
    """What is the same in all attacks: the task and its problems on the model, how hard they are, and who watches."""

    task: Task
    setup: Setup
    plan: RobustPlan
    discovery: Problem
    judgement: Problem
    watch: Watch | None

    def attacked(
        self,
        number: int,
        found: CandidateCircuit,
        counterexamples: Collection[Counterexample],
        added: Collection[Counterexample],
        before: AttackedCandidate | None,
    ) -> AttackedCandidate:
        """A circuit after the attack of its round, given all counterexamples met so far and those added for it."""
        circuit, model = found.circuit, self.judgement.model
        cases = self.search(circuit, self.plan.seeds.first + number, f"round {number}: attack")
        varied = variations(self.task, model, circuit, self.setup, prompts=self.setup.prompts)
        above = tuple(case for case in cases if case.kl > self.plan.bound)
        edges = {edge.name for edge in circuit.edges}
        earlier = {edge.name for edge in before.found.circuit.edges} if before else edges
        attack = RoundAttack(
            mean=float(self.discovery.measure([circuit], [KLDivergence()]).mean()),
            worst=max([self.worst_again(circuit, counterexamples), *(case.kl for case in cases)]),
            above=len(above),
            breaks=tuple(each.name for each in varied[1:] if each.verdict == "breaks"),
        )
        changed = RoundCircuit(
            len(circuit), found.metric, gained=tuple(sorted(edges - earlier)), lost=tuple(sorted(earlier - edges))
        )
        return AttackedCandidate(found, above, Round(number, changed, attack, self._added(added)))

    def _added(self, added: Collection[Counterexample]) -> AddedPrompts:
        searched = [one.pair.text for one in added if one.found_by == SEARCH]
        return AddedPrompts(
            found_by=dict(Counter(one.found_by for one in added)),
            words=typical(searched, self.discovery.pairs.texts()),
            hash=PromptPairs(tuple(one.pair for one in added)).fingerprint() if added else None,
        )

    def worst_again(self, circuit: Circuit, counterexamples: Collection[Counterexample]) -> float:
        """The highest KL on the counterexamples met so far, be they of other circuits: one attack does not meet all."""
        pairs = tuple(one.pair for one in counterexamples if one.found_by == SEARCH)
        if not pairs:
            return 0.0
        return float(self.judgement.on(PromptPairs(pairs)).measure([circuit], [KLDivergence()]).max())

    def search(
        self, circuit: Circuit, seed: int, stage: str, without: Collection[Counterexample] = ()
    ) -> tuple[Case, ...]:
        """The worst cases that a search of the plan's budget finds, none of them a prompt to do `without`."""
        found = search(
            self.task,
            self.judgement.model,
            circuit,
            self.setup,
            budget=self.plan.budget,
            seed=seed,
            keep=self.plan.counterexamples,
            without=[one.pair.clean for one in without],
            watch=self.staged(stage),
        )
        return found.cases

    def staged(self, stage: str) -> Watch | None:
        """Whoever waits, given the name of what is done now with its progress."""
        watch = self.watch
        if watch is None:
            return None
        return lambda progress: watch(replace(progress, stage=f"{stage} · {progress.stage}", state=None))
