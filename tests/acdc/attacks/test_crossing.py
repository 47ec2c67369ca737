"""A crossing is all pairs of one length and position, each as it would be measured alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from acdc.attacks.case import Case
from acdc.attacks.crossing import crossing
from acdc.attacks.pair_statistics import SIDES, SlotWord
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.tasks.metrics import KLDivergence, LogitDifference
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import PromptPairs
from tests.acdc.behaviours import behaviour, rescored

GROUPS = [[0, 2, 4, 5], [1, 3, 6]]
ANIMALS = ("cat", "cat", "dog", "cat", "dog", "cat", "dog")


@pytest.fixture
def problem(llama: Model) -> Problem:
    """Seven prompts, four of 6 tokens and three of 9, each with an animal; whatever the model says, it is right."""
    lengths = [6 if index in GROUPS[0] else 9 for index in range(7)]
    pairs = [
        rescored(
            replace(
                pair,
                text=TextPair(
                    f"clean {index}", f"corrupt {index}", (" a",), (" b",), wording=Wording("t", (("animal", animal),))
                ),
            ),
            position=len(pair.clean) - 1,
            answers=tuple(range(llama.unembedding.weight.shape[0])),
        )
        for index, (pair, animal) in enumerate(zip(behaviour(llama, lengths).pairs, ANIMALS, strict=True))
    ]
    return Problem(llama, PromptPairs(tuple(pairs)), LogitDifference())


@pytest.fixture
def circuit(problem: Problem) -> Circuit:
    """Every other edge."""
    return Circuit(problem.graph, frozenset(list(problem.graph.edges())[::2]))


@pytest.fixture
def alone(problem: Problem, circuit: Circuit) -> dict[tuple[int, int], float]:
    """The divergence of each pair that can be crossed, by clean and corrupt prompt, measured as an ordinary prompt."""
    indices = [(i, j) for group in GROUPS for i in group for j in group]
    pairs = problem.pairs.pairs
    crossed = PromptPairs(tuple(replace(pairs[i], corrupt=pairs[j].corrupt) for i, j in indices))
    [[values]] = replace(problem, pairs=crossed).measure([circuit], [KLDivergence()])
    return dict(zip(indices, values.tolist(), strict=True))


def test_all_pairs_of_one_length_are_crossed(
    problem: Problem, circuit: Circuit, alone: dict[tuple[int, int], float]
) -> None:
    found, values = crossing(problem, circuit), sorted(alone.values())
    assert (found.prompts, found.pairs) == (7, 25)
    assert found.kl.mean.value == pytest.approx(sum(values) / 25, abs=1e-9)
    wanted = [values[12], values[22], values[24], values[24]]
    assert [one.value.value for one in found.kl.percentiles] == pytest.approx(wanted, abs=1e-9)
    assert [one.q for one in found.kl.percentiles] == [0.5, 0.9, 0.99, 0.999]
    assert found.kl.maximum.value == pytest.approx(values[-1], abs=1e-9)
    assert found.kl.maximum.passes == pytest.approx(
        0.05
    )  # of neighbours only the fifth and sixth prompt are of one length
    assert found.kl.mean.low < found.kl.mean.value < found.kl.mean.high


def test_the_worst_pairs_are_told_in_words(
    problem: Problem, circuit: Circuit, alone: dict[tuple[int, int], float]
) -> None:
    worst = crossing(problem, circuit, keep=4).worst
    wanted = sorted(alone, key=lambda pair: -alone[pair])[:4]
    assert [(case.pair.clean, case.pair.corrupt) for case in worst] == [
        (f"clean {i}", f"corrupt {j}") for i, j in wanted
    ]
    assert [case.kl for case in worst] == pytest.approx([alone[pair] for pair in wanted], abs=1e-9)
    assert {case.found_by for case in worst} == {"crossing"}
    assert [case.pair.wording.filling for case in worst] == [(("animal", ANIMALS[i]),) for i, _ in wanted]


def test_a_prompt_that_the_model_does_wrong_is_none_of_the_worst_and_hides_none(
    problem: Problem, circuit: Circuit, alone: dict[tuple[int, int], float]
) -> None:
    ordered = sorted(alone, key=lambda pair: -alone[pair])
    wrong = ordered[0][0]
    pairs = [rescored(pair, answers=()) if index == wrong else pair for index, pair in enumerate(problem.pairs.pairs)]
    found = crossing(replace(problem, pairs=PromptPairs(tuple(pairs))), circuit, keep=4)
    wanted = [pair for pair in ordered if pair[0] != wrong][:4]
    assert [(case.pair.clean, case.pair.corrupt) for case in found.worst] == [
        (f"clean {i}", f"corrupt {j}") for i, j in wanted
    ]
    assert found.kl.maximum.value == pytest.approx(alone[ordered[0]], abs=1e-9), "the figures are of all pairs"
    none = [rescored(pair, answers=()) for pair in problem.pairs.pairs]
    assert crossing(replace(problem, pairs=PromptPairs(tuple(none))), circuit).worst == ()


def test_a_corrupt_prompt_of_several_clean_ones_is_told_once_with_each(problem: Problem, circuit: Circuit) -> None:
    pairs = list(problem.pairs.pairs)
    for index in GROUPS[0][1:]:
        text = replace(pairs[index].text, corrupt=pairs[0].text.corrupt)
        pairs[index] = replace(pairs[index], corrupt=pairs[0].corrupt, text=text)
    worst = crossing(replace(problem, pairs=PromptPairs(tuple(pairs))), circuit, keep=25).worst
    assert len(worst) == len({(case.pair.clean, case.pair.corrupt) for case in worst}) == 4 + 9


def test_words_are_told_apart_on_both_sides(
    problem: Problem, circuit: Circuit, alone: dict[tuple[int, int], float]
) -> None:
    strata = {(one.where.word, one.where.side): one for one in crossing(problem, circuit).strata}
    assert len(strata) == 4
    for (word, side), one in strata.items():
        values = [kl for pair, kl in alone.items() if ANIMALS[pair[side == "corrupt"]] == word]
        assert one.where.slot == "animal"
        assert (one.count, one.prompts) == (len(values), ANIMALS.count(word))
        assert one.mean.value == pytest.approx(np.mean(values), abs=1e-9)
        assert one.max == pytest.approx(max(values), abs=1e-9)
    ends = [one.mean.low for one in crossing(problem, circuit).strata]
    assert ends == sorted(ends, reverse=True), "what is surely worst comes first"


def test_templates_stand_in_for_slots_that_are_not_known(problem: Problem, circuit: Circuit) -> None:
    plain = [replace(pair, text=replace(pair.text, wording=Wording("t"))) for pair in problem.pairs.pairs]
    strata = crossing(replace(problem, pairs=PromptPairs(tuple(plain))), circuit).strata
    assert {one.where for one in strata} == {SlotWord("template", "t", side) for side in SIDES}
    nameless = [replace(pair, text=replace(pair.text, wording=Wording())) for pair in plain]
    assert crossing(replace(problem, pairs=PromptPairs(tuple(nameless))), circuit).strata == ()


def test_prompts_scored_elsewhere_are_not_crossed(problem: Problem, circuit: Circuit) -> None:
    first, *rest = problem.pairs.pairs
    moved = replace(problem, pairs=PromptPairs((rescored(first, position=2), *rest)))
    found = crossing(moved, circuit, keep=20)
    assert found.pairs == 1 + 9 + 9
    assert sum(case.pair.clean == "clean 0" for case in found.worst) == 1


def test_the_full_circuit_diverges_nowhere(problem: Problem) -> None:
    assert crossing(problem, Circuit.full(problem.graph)).kl.maximum.value == pytest.approx(0, abs=1e-12)


def test_the_same_seed_gives_the_same_crossing_and_another_only_other_intervals(
    problem: Problem, circuit: Circuit
) -> None:
    one, again, other = (crossing(problem, circuit, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.kl.mean != other.kl.mean
    assert replace(one, kl=replace(other.kl, maximum=one.kl.maximum)) == other


def test_whoever_waits_hears_of_every_pair(problem: Problem, circuit: Circuit) -> None:
    seen: list[Progress] = []
    crossing(problem, circuit, watch=seen.append)
    assert [(one.stage, one.done, one.total) for one in seen] == [("crossing", 16, 25), ("crossing", 25, 25)]


def test_a_crossing_can_be_written_down(problem: Problem, circuit: Circuit) -> None:
    found = crossing(problem, circuit)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(written) == ["prompts", "pairs", "mean", "percentiles", "maximum", "worst", "strata"]
    assert Case.from_json(written["worst"][0]) == found.worst[0]
    assert written["percentiles"][1]["q"] == 0.9
    assert written["percentiles"][1]["value"]["low"] == found.kl.percentiles[1].value.low


@pytest.mark.parametrize("ablation", [Ablation.MEAN, Ablation.MEAN_POSITIONAL, Ablation.ZERO])
def test_only_resample_ablation_can_be_crossed(problem: Problem, circuit: Circuit, ablation: Ablation) -> None:
    with pytest.raises(BadSetting, match=f"under {ablation.value} ablation .* nothing to cross; wanted resample"):
        crossing(replace(problem, ablation=ablation), circuit)
