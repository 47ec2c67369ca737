"""Whether learning from counterexamples helped: first and refined circuit under an attack that no round had."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from acdc.discovery.discover import Result
from acdc.judges.faithfulness import faithfulness
from acdc.progress import CurvePoints
from acdc.request import side
from acdc.robust.candidate import CandidateCircuit, Counterexample, counterexamples_of, joint
from acdc.robust.plan import RobustPlan
from acdc.robust.result import CircuitFigures, RobustResult, UnseenAttack
from acdc.robust.round_attacks import AttackedCandidate, RobustAttacks
from acdc.robust.rounds import Stop


def judged(
    attacks: RobustAttacks,
    first: Result,
    met: Sequence[AttackedCandidate],
    counterexamples: Sequence[Counterexample],
    stop: Stop,
) -> RobustResult:
    """The verdict on the refined circuit that its own attack, and what others met, hurt least.

    `met` are the circuits of all rounds, the first circuit first. The unseen attack tests no counterexample.
    """
    every = [*counterexamples, *counterexamples_of(met[-1].cases, attacks.judgement)]

    def hurt(each: AttackedCandidate) -> tuple[float, int]:
        again = attacks.worst_again(each.found.circuit, every)
        return max(each.round.attack.worst, again), each.round.circuit.edges

    found, last = min(met[1:] or met, key=hurt).found, first
    if found.summary is not None:
        kept = faithfulness(attacks.judgement, found.circuit, attacks.setup.seed)
        last = Result(found.circuit, kept, CurvePoints(found.summary.curve))
    unseen = UnseenAttack(*(_figures(attacks, result, counterexamples) for result in (first, last)))
    rounds = tuple(each.round for each in met)
    refined = RobustResult(last, attacks.plan, rounds, stop, found.counterexamples, unseen)
    if not unseen.helped:
        return _recorded(refined, first, first.circuit.provenance)
    learned_from = counterexamples[: found.counterexamples]
    return _recorded(refined, last, _refined_origin(attacks, first, last, found, learned_from))


def unrefined(first: Result, plan: RobustPlan) -> RobustResult:
    """An empty circuit as it is: an attack on it would say nothing."""
    figures = CircuitFigures(0, first.faithfulness.kl.circuit, first.faithfulness.kl_tail.max)
    refined = RobustResult(first, plan, (), Stop.EMPTY, 0, UnseenAttack(figures, figures))
    return _recorded(refined, first, first.circuit.provenance)


def _figures(attacks: RobustAttacks, result: Result, without: Collection[Counterexample]) -> CircuitFigures:
    cases = attacks.search(result.circuit, attacks.plan.seeds.unseen, "attack with the unseen seed", without)
    worst = max((case.kl for case in cases), default=0.0)
    return CircuitFigures(len(result.circuit), result.faithfulness.kl.circuit, worst)


def _refined_origin(
    attacks: RobustAttacks,
    first: Result,
    last: Result,
    found: CandidateCircuit,
    learned_from: Collection[Counterexample],
) -> dict[str, Any]:
    """Where the refined circuit comes from: other prompts, algorithm, curve and faithfulness than the first one's."""
    assert found.summary is not None
    before = first.circuit.provenance
    algorithm = {
        **{key: before["algorithm"][key] for key in ("name", "settings", "score", "score_kind")},
        "goal": {"kind": "Edges", "count": int(attacks.plan.growth * len(first.circuit))},
        "metric": found.metric,
        "threshold": found.summary.chosen.threshold,
        **found.summary.figures,
    }
    return {
        **before,
        "prompts": {**before["prompts"], "discovery": side(joint(attacks.discovery, learned_from)).to_json()},
        "algorithm": algorithm,
        "curve": [asdict(point) for point in last.curve],
        "faithfulness": last.faithfulness.to_json(),
    }


def _recorded(refined: RobustResult, better: Result, origin: Mapping[str, Any]) -> RobustResult:
    """The same with the better circuit, whose provenance also says what refinement came to."""
    record = {**origin, "robust": refined.to_json()}
    return replace(refined, result=replace(better, circuit=replace(better.circuit, provenance=record)))
