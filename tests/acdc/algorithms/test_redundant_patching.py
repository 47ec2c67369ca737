"""Effects measured where another edge is gone show the parts of a circuit that stand in for each other."""

from __future__ import annotations

import pytest

from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.redundant_patching import RedundantPatching
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.ground_truth import known_models
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from tests.acdc.algorithms.walks import ended, finished


def test_a_backup_is_found_whole_where_single_effects_miss_half_of_it() -> None:
    known = known_models.known("planted-backup", 0)
    problem, _ = problems(known.task, known.model, Setup(prompts=4))
    true, _ = known.truth(Ablation.RESAMPLE)
    found, told = finished(RedundantPatching().walk(problem))
    strongest = sorted(found.scores, key=lambda edge: -abs(found.scores[edge]))
    assert set(strongest[: len(true)]) == true
    assert abs(found.scores[strongest[len(true)]]) < 0.05 * min(abs(found.scores[edge]) for edge in true)
    assert 0 < found.provenance["gone"] <= 5
    assert told[-1].done == told[-1].total
    alone = ended(ExactPatching().walk(problem)).scores
    assert sum(abs(alone[edge]) < 0.05 * abs(found.scores[edge]) for edge in true) >= 2


def test_without_a_removal_it_is_the_exact_effects(measurable: Problem) -> None:
    alone = ended(ExactPatching().walk(measurable)).scores
    assert ended(RedundantPatching(most=0).walk(measurable)).scores == pytest.approx(alone, rel=0, abs=1e-9)


def test_a_score_is_an_effect_alone_or_with_one_edge_gone(measurable: Problem) -> None:
    found = ended(RedundantPatching(most=1).walk(measurable))
    alone = ended(ExactPatching().walk(measurable)).scores
    assert found.provenance == {"gone": 1}
    changed = [edge for edge in found.ordered() if abs(found.scores[edge] - alone[edge]) > 1e-6]
    edge, full = changed[0], Circuit.full(measurable.graph)
    others = [other for other in full.ordered() if other != edge]
    circuits = [full.without([other]) for other in others] + [full.without([other, edge]) for other in others]
    values = measurable.measure(circuits)[0].mean(-1) * measurable.metric.sign
    costs = values[: len(others)] - values[len(others) :]
    assert (costs - found.scores[edge]).abs().min() < 1e-9


@pytest.mark.parametrize("settings", [{"part": 0.0}, {"part": 1.0}, {"keeps": 0.0}, {"most": -1}])
def test_settings_that_find_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match="find nothing"):
        RedundantPatching(**settings)  # type: ignore[arg-type]
