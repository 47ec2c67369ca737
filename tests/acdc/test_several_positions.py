"""A prompt that is scored at several positions counts once, and what is measured of it is the mean over these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from acdc.algorithms.attribution import Attribution
from acdc.algorithms.greedy import GreedyPruning
from acdc.algorithms.importance import HeadImportance
from acdc.algorithms.information_flow import InformationFlow
from acdc.attacks.crossing import crossing
from acdc.attacks.diagnosis import diagnosis
from acdc.attacks.measuring import cases
from acdc.batch import Batching
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.judges.distance import distances
from acdc.problem import Problem
from acdc.tasks.metrics import Accuracy, KLDivergence, LogitDifference
from acdc.tasks.pairs import ScoredPosition
from acdc.tasks.prompts import PromptPairs
from tests.acdc.algorithms.walks import ended


@pytest.fixture(scope="module")
def several(measurable: Problem) -> Problem:
    """The six prompts, scored at three, one, two, ... positions."""
    pairs = []
    for index, pair in enumerate(measurable.pairs.pairs):
        others = [at for at in range(len(pair.clean)) if at != pair.position][: (2, 0, 1)[index % 3]]
        also = tuple(ScoredPosition(at, (3 + at + index,), (20 + at,)) for at in others)
        pairs.append(replace(pair, scored=(*pair.scored, *also)))
    return replace(measurable, pairs=PromptPairs(tuple(pairs)))


def alone(problem: Problem) -> list[list[Problem]]:
    """For each prompt, a problem of each of its scored positions alone."""
    return [
        [
            replace(
                problem,
                pairs=PromptPairs((replace(pair, scored=(one,)),)),
                carried_from=problem.pairs,
            )
            for one in pair.scored
        ]
        for pair in problem.pairs.pairs
    ]


def mean(problem: Problem, measured: Callable[[Problem], Tensor]) -> Tensor:
    """The mean over prompts of the mean over scored positions of something that is measured of each alone."""
    return torch.stack([torch.stack([measured(one) for one in parts]).mean(0) for parts in alone(problem)]).mean(0)


def circuits(problem: Problem) -> Sequence[Circuit]:
    names = [edge.name for edge in problem.graph.edges()]
    return [Circuit.from_names(problem.graph, names[start::3]) for start in range(3)]


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN])
@pytest.mark.parametrize("size", [None, 2])
def test_every_prompt_is_measured_by_the_mean_over_its_positions(
    several: Problem, ablation: Ablation, size: int | None
) -> None:
    problem = replace(several, ablation=ablation, batching=Batching(size))
    metrics = [LogitDifference(), KLDivergence(), Accuracy()]
    found = problem.measure(circuits(problem), metrics)
    assert found.shape == (3, 3, 6)
    for index, parts in enumerate(alone(problem)):
        wanted = torch.stack([one.measure(circuits(problem), metrics)[..., 0] for one in parts]).mean(0)
        torch.testing.assert_close(found[..., index], wanted, rtol=0, atol=1e-9)


def test_prompts_that_do_not_fit_into_memory_together_are_measured_alike(several: Problem) -> None:
    cramped = replace(several, batching=Batching(max_bytes=several._bytes_per_token * 40))
    assert len(cramped.batches) > len(several.batches)
    torch.testing.assert_close(
        cramped.measure(circuits(several)), several.measure(circuits(several)), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("scorer", [Attribution(), InformationFlow(), HeadImportance()], ids=repr)
def test_scores_are_means_over_prompts_not_rows(
    several: Problem, scorer: Attribution | InformationFlow | HeadImportance
) -> None:
    edges = list(several.graph.edges())

    def scores(problem: Problem) -> Tensor:
        found = ended(scorer.walk(problem)).scores
        return torch.tensor([found[edge] for edge in edges], dtype=torch.float64)

    if isinstance(scorer, HeadImportance):  # an edge has the lower score of two nodes, which no mean goes through
        twice = replace(several, pairs=PromptPairs((*several.pairs.pairs, *several.pairs.pairs)))
        torch.testing.assert_close(scores(several), scores(twice), rtol=0, atol=1e-9)
        return
    torch.testing.assert_close(scores(several), mean(several, scores), rtol=0, atol=1e-8)


def test_pruning_decides_by_the_mean_over_prompts(several: Problem) -> None:
    problem = replace(several, metric=KLDivergence(), pairs=several.pairs.select([0, 1, 2]))
    # rows as prompts of their own, each as often as makes every prompt count the same
    rows = [part.pairs.pairs[0] for parts in alone(problem) for part in parts for _ in range(6 // len(parts))]
    as_rows = replace(problem, pairs=PromptPairs(tuple(rows)))
    kept, wanted = (ended(GreedyPruning(0.05).walk(one)).circuit for one in (problem, as_rows))
    assert 0 < len(kept) < problem.graph.n_edges
    assert kept.edges == wanted.edges


def test_a_distance_is_the_mean_over_prompts(several: Problem) -> None:
    full, some = Circuit.full(several.graph), circuits(several)
    measured = several.measure([full, *some])[0]
    wanted = (measured[1:] - measured[0]).abs().mean(1)
    assert distances(several, full, some).tolist() == pytest.approx(wanted.tolist(), rel=1e-9)


def test_a_case_is_right_where_every_position_is(several: Problem) -> None:
    full = Circuit.full(several.graph)
    right = several.measure([full], [Accuracy()])[0, 0]
    found = cases(several, full, "here")
    assert [case.model.right for case in found] == (right > 1 - 1e-9).tolist()


@pytest.mark.parametrize("ask", [crossing, diagnosis])
def test_what_looks_at_one_position_only_says_so(several: Problem, ask: Callable[..., object]) -> None:
    with pytest.raises(BadSetting, match="scored at several positions cannot be"):
        ask(several, Circuit.empty(several.graph))
