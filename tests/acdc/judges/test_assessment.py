"""Every question has one verdict and says what it rests on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import acdc
from acdc.graphs.circuit import Circuit
from acdc.judges.assessment import ASKED, LEVEL, AssessmentPlan, AssessmentSubject, Section, Verdict, assess, verdict
from acdc.judges.completeness import Completeness, Gap, completeness
from acdc.judges.evaluation import judgement
from acdc.judges.findings import Findings, RecordedResults, Repeated
from acdc.judges.stability import Agreement
from acdc.judges.statistical_tests import statistical_tests
from acdc.progress import Progress
from tests.acdc.discoveries import SETUP

QUESTIONS = (
    "faithfulness",
    "completeness",
    "equivalence",
    "independence",
    "minimality",
    "sufficiency",
    "necessity",
    "stability",
    "ablations",
    "metrics",
)


LONG = ("_statistical_tests", "_sensitivity")


@pytest.fixture(scope="module")
def case(found: acdc.Result) -> AssessmentSubject:
    problem = judgement(found.circuit, task=None, model=None, setup=SETUP)
    complete = Completeness(0.0, Gap(("logits",), 0.5, 0.55), 3)
    return AssessmentSubject(
        problem, Findings.of(found.circuit), found.faithfulness, complete, AssessmentPlan(draws=40)
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the long measurements, for tests of other questions."""
    monkeypatch.setattr("acdc.judges.assessment.ASKED", tuple(ask for ask in ASKED if ask.__name__ not in LONG))


def by_question(case: AssessmentSubject) -> dict[str, Section]:
    return {section.question: section for section in assess(case)}


def test_every_question_is_asked_in_order(case: AssessmentSubject) -> None:
    sections = list(assess(case))
    assert tuple(one.question for one in sections) == QUESTIONS
    data = json.loads(json.dumps({one.question: one.to_json() for one in sections}, allow_nan=False))
    assert data["faithfulness"]["verdict"] == "holds"
    assert data["ablations"]["kept"].keys() == {"resample", "mean", "mean-positional", "zero"}


def test_every_hypothesis_is_judged_by_its_own_test(case: AssessmentSubject) -> None:
    circuit = case.findings.circuit
    told = by_question(case)
    tests = statistical_tests(case.problem, circuit, case.plan.seed, draws=case.plan.draws)
    holds = {
        "equivalence": tests.equivalence.tost.p_value <= LEVEL,
        "independence": tests.independence.p_value > LEVEL,
        "minimality": not tests.minimality.useless,
        "sufficiency": tests.sufficiency.p_value <= LEVEL,
        "necessity": tests.necessity.p_value <= LEVEL,
    }
    assert {name: told[name].verdict for name in holds} == {
        name: "holds" if it_does else "fails" for name, it_does in holds.items()
    }
    assert told["sufficiency"].data == tests.sufficiency.to_json()


def test_a_circuit_without_edges_has_no_statistical_tests(case: AssessmentSubject) -> None:
    empty = replace(case, findings=Findings.of(Circuit.empty(case.problem.graph)), completeness=None)
    told = by_question(empty)
    assert told["hypotheses"].verdict == told["completeness"].verdict == "not measured"
    assert "minimality" not in told


@pytest.mark.usefixtures("short")
def test_faithfulness_holds_from_what_is_claimed_on(case: AssessmentSubject) -> None:
    kept = case.faithfulness.normalised.value
    assert by_question(replace(case, plan=AssessmentPlan(min(1.0, kept - 1e-6))))["faithfulness"].verdict == "holds"
    poor = replace(case.faithfulness, normalised=replace(case.faithfulness.normalised, value=0.3))
    assert by_question(replace(case, faithfulness=poor))["faithfulness"].verdict == "fails"


@pytest.mark.usefixtures("short")
def test_completeness_fails_where_the_gap_is_wide(case: AssessmentSubject) -> None:
    assert by_question(case)["completeness"].verdict == "holds"
    wide = Completeness(0.0, Gap(("logits",), 0.1, 0.9), 3)
    section = by_question(replace(case, completeness=wide))["completeness"]
    assert (section.verdict, "80.0%" in section.finding) == ("fails", True)
    assert by_question(replace(case, completeness=None))["completeness"].verdict == "not measured"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("alike", "told"), [((0.9, 0.85), "holds"), ((0.9, 0.7), "fails")])
def test_stability_is_that_of_the_least_alike(
    case: AssessmentSubject, alike: tuple[float, float], told: Verdict
) -> None:
    runs = [Agreement(5, 0.9, value, None, 3, 4) for value in alike]
    stable = replace(case, findings=replace(case.findings, outcome=RecordedResults(stability=Repeated(*runs))))
    section = by_question(stable)["stability"]
    assert section.verdict == told
    assert f"{alike[0]:.2f} on other resamples and {alike[1]:.2f} on other seeds" in section.finding
    assert by_question(case)["stability"].verdict == "not measured"


def test_a_claim_says_under_what_it_fails_and_by_how_much(case: AssessmentSubject) -> None:
    section = next(one for one in assess(case) if one.question == "ablations")
    assert section.sensitivity is not None
    for name in section.sensitivity.ablations.breaks:
        kept = section.sensitivity.kept[name]["logit_difference"]
        assert f"{name} ({kept:.0%})" in section.finding
    assert section.verdict == section.sensitivity.ablations.verdict


def test_the_verdict_over_all_is_the_worst_that_was_measured() -> None:
    def over(*verdicts: Verdict) -> Verdict:
        return verdict([Section("?", one, "") for one in verdicts])

    assert over("holds", "not measured") == "holds"
    assert over("holds", "conditional") == "conditional"
    assert over("conditional", "fails", "holds") == "fails"
    assert over("not measured") == over() == "not measured"


def test_whoever_waits_hears_of_every_question_before_its_verdict_and_of_every_ablation(
    case: AssessmentSubject,
) -> None:
    seen: list[Progress] = []
    circuit = case.findings.circuit
    completeness(case.problem, circuit, nodes=1, watch=seen.append)
    assert [(one.done, one.total) for one in seen][:: len(seen) - 1] == [(0, 3), (3, 3)]
    seen.clear()
    for section in assess(replace(case, plan=AssessmentPlan(draws=2), watch=seen.append)):
        if section.question not in ("ablations", "metrics"):
            assert section.question in {one.stage for one in seen}
    ablations = [one.done for one in seen if one.stage == "ablations and metrics"]
    assert ablations == [1, 2, 3, 4]
