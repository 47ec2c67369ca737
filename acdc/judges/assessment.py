"""Everything that is asked of a circuit, one section for each question, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from acdc.errors import NoRoomBeside
from acdc.judges.completeness import Completeness
from acdc.judges.distance import Watch
from acdc.judges.equivalence import equivalence
from acdc.judges.faithfulness import Faithfulness
from acdc.judges.findings import INCOMPLETE, Findings
from acdc.judges.independence import independence
from acdc.judges.minimality import minimality
from acdc.judges.necessity import partial_necessity
from acdc.judges.rank_test import RankTest
from acdc.judges.sensitivity import AT_LEAST, ConditionalClaim, Sensitivity, sensitivity
from acdc.judges.sufficiency import RANDOM, sufficiency
from acdc.problem import Problem
from acdc.progress import Progress

STABLE = 0.8
"""The mean Jaccard index of repeated discoveries from which on a circuit is called stable."""

LEVEL = 0.05
"""The level of each hypothesis test."""

Verdict = Literal["holds", "conditional", "fails", "not measured"]


@dataclass(frozen=True)
class AssessmentPlan:
    """What is claimed of a circuit, and how hard it is tested.

    It is claimed to keep `at_least` this part of the behaviour, and held against `draws` random circuits, drawn with
    `seed`.
    """

    at_least: float = AT_LEAST
    seed: int = 0
    draws: int = RANDOM


@dataclass(frozen=True)
class AssessmentSubject:
    """A circuit with what is known of it already: the prompts to judge it on, its faithfulness and completeness.

    `watch` hears how many random circuits have been measured.
    """

    problem: Problem
    findings: Findings
    faithfulness: Faithfulness
    completeness: Completeness | None
    plan: AssessmentPlan = AssessmentPlan()
    watch: Watch | None = None


@dataclass(frozen=True)
class Section:
    """One question, its verdict, and the finding that it rests on in one sentence; `data` is the rest, as plain JSON.

    `sensitivity` is there for a table of its own.
    """

    question: str
    verdict: Verdict
    finding: str
    data: Mapping[str, Any] = field(default_factory=dict)
    sensitivity: Sensitivity | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {"question": self.question, "verdict": self.verdict, "finding": self.finding, **self.data}


def assess(case: AssessmentSubject) -> Iterator[Section]:
    """The sections in the order of `ASKED`, each when it is asked for.

    Raises: UnmeasurableBehaviour, DifferentGraphs.
    """
    for ask in ASKED:
        _tell(case, ask)
        yield from ask(case)


def _tell(case: AssessmentSubject, ask: Callable[[AssessmentSubject], object]) -> None:
    """Tell whoever waits what is asked now; how far it is, it says itself."""
    if case.watch is not None:
        case.watch(Progress(ask.__name__.strip("_"), 0, 1))


def verdict(sections: Sequence[Section]) -> Verdict:
    """The worst verdict of those that were measured."""
    order: tuple[Verdict, ...] = ("fails", "conditional", "holds")
    met = {section.verdict for section in sections}
    return next((one for one in order if one in met), "not measured")


def _faithfulness(case: AssessmentSubject) -> Iterator[Section]:
    kept, claimed = case.faithfulness.normalised, case.plan.at_least
    words = f"keeps {kept.value:.1%} (95% CI {kept.low:.1%} to {kept.high:.1%}); at least {claimed:.0%} is claimed"
    yield Section("faithfulness", "holds" if kept.value >= claimed else "fails", words)


def _completeness(case: AssessmentSubject) -> Iterator[Section]:
    if case.completeness is None:
        yield Section("completeness", "not measured", "there are no edges")
        return
    gap = case.completeness.worst
    words = f"circuit and model differ by {gap.size:.1%} at most without the same edges; {INCOMPLETE:.0%} is allowed"
    yield Section("completeness", "holds" if gap.size <= INCOMPLETE else "fails", words)


def _sensitivity(case: AssessmentSubject) -> Iterator[Section]:
    measured = sensitivity(case.problem, case.findings.circuit, case.plan.at_least, watch=case.watch)
    data = measured.to_json()
    by_ablation = {name: parts[case.problem.metric.name] for name, parts in measured.kept.items()}
    by_metric = measured.kept[case.problem.ablation.value]
    words = _claimed(measured.ablations, by_ablation)
    yield Section("ablations", measured.ablations.verdict, words, {**data["ablations"], "kept": data["kept"]}, measured)
    yield Section("metrics", measured.metrics.verdict, _claimed(measured.metrics, by_metric), data["metrics"])


def _claimed(claim: ConditionalClaim, kept: Mapping[str, float | None]) -> str:
    """Under what a claim holds, and what is kept where it does not."""
    parts = [f"holds under {_listed(claim.holds)}"] if claim.holds else []
    if claim.breaks:
        parts.append(f"fails under {_listed([f'{_plain(name)} ({kept[name]:.0%})' for name in claim.breaks])}")
    if claim.unmeasurable:
        parts.append(f"cannot be measured under {_listed(claim.unmeasurable)}")
    return "; ".join(parts)


def _stability(case: AssessmentSubject) -> Iterator[Section]:
    repeated = case.findings.outcome.stability
    groups = {"resamples": repeated.resamples, "seeds": repeated.seeds} if repeated else {}
    alike = {name: one.with_circuit for name, one in groups.items() if one}
    if not alike:
        yield Section("stability", "not measured", "`acdc stability` discovers the circuit again and says")
        return
    figures = _listed([f"{value:.2f} on other {name}" for name, value in alike.items()])
    words = f"mean Jaccard with circuits found again {figures}; {STABLE} is asked for"
    yield Section("stability", "holds" if min(alike.values()) >= STABLE else "fails", words)


def _statistical_tests(case: AssessmentSubject) -> Iterator[Section]:
    if not case.findings.circuit.pruned().edges:
        words = "no edge of the circuit is on a way from the input to the logits"
        yield Section("hypotheses", "not measured", words)
        return
    for ask in (_equivalence, _independence, _minimality, _sufficiency, _necessity):
        _tell(case, ask)
        yield ask(case)


def _equivalence(case: AssessmentSubject) -> Section:
    alike = equivalence(case.problem, case.findings.circuit, case.plan.seed)
    tost = alike.tost
    words = (
        f"scores like the model, {tost.difference:+.2g} within {tost.margin:.2g} (TOST, {_p(tost.p_value)}); "
        f"that as many prompts are above as below: {_p(alike.sign_test.p_value)}"
    )
    return Section("equivalence", _shown(tost.p_value <= LEVEL), words, alike.to_json())


def _independence(case: AssessmentSubject) -> Section:
    apart = independence(case.problem, case.findings.circuit, case.plan.seed)
    if not apart.varies:
        words = "the model scores the same on every prompt, so that nothing can depend on it"
        return Section("independence", "not measured", words, apart.to_json())
    words = f"that the {_plain(apart.metric)} outside the circuit is independent of the model's: {_p(apart.p_value)}"
    return Section("independence", _shown(apart.p_value > LEVEL), words, apart.to_json())


def _minimality(case: AssessmentSubject) -> Section:
    least = minimality(case.problem, case.findings.circuit, case.plan.seed, added=case.plan.draws, watch=case.watch)
    words = (
        f"{len(least.useless):,} of {len(least.edges):,} edges do no more than random ones between its nodes "
        f"(level {least.level} after Holm)"
    )
    return Section("minimality", _shown(not least.useless), words, least.to_json())


def _sufficiency(case: AssessmentSubject) -> Section:
    enough = sufficiency(case.problem, case.findings.circuit, case.plan.seed, draws=case.plan.draws, watch=case.watch)
    words = (
        f"nearer to the model than {_beaten(enough.uniform)} random circuits of its size, "
        f"{_beaten(enough.stratified)} with its layers ({_p(enough.p_value)})"
    )
    return Section("sufficiency", _shown(enough.p_value <= LEVEL), words, enough.to_json())


def _necessity(case: AssessmentSubject) -> Section:
    try:
        needed = partial_necessity(
            case.problem, case.findings.circuit, case.plan.seed, draws=case.plan.draws, watch=case.watch
        )
    except NoRoomBeside:
        return Section("necessity", "not measured", "no random circuit of its size fits beside it")
    words = (
        f"the model loses more without it than without {_beaten(needed)} random circuits of its size "
        f"({_p(needed.p_value)})"
    )
    return Section("necessity", _shown(needed.p_value <= LEVEL), words, needed.to_json())


def _shown(it_is: bool) -> Verdict:
    return "holds" if it_is else "fails"


def _p(value: float) -> str:
    return f"p = {value:.2g}"


def _beaten(found: RankTest) -> str:
    return f"{found.beaten:,} of {found.of:,}"


def _listed(names: Sequence[str]) -> str:
    plain = [_plain(name) for name in names]
    return " and ".join(filter(None, (", ".join(plain[:-1]), plain[-1])))


def _plain(name: str) -> str:
    return name.replace("_", " ")


ASKED: tuple[Callable[[AssessmentSubject], Iterator[Section]], ...] = (
    _faithfulness,
    _completeness,
    _statistical_tests,
    _stability,
    _sensitivity,
)
"""What is asked, in the order in which it is told."""
