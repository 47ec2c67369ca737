"""No judge decides by a NaN: each refuses it, wherever among its numbers it stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest

from acdc.bench.answer import Ranking
from acdc.bench.roc import of_ranking
from acdc.errors import NotFinite
from acdc.graphs.circuit import Circuit
from acdc.graphs.computation import ComputationalGraph
from acdc.judges.completeness import _strongest
from acdc.judges.equivalence import compare, two_one_sided
from acdc.judges.faithfulness import ratio_of_means
from acdc.judges.independence import permuted
from acdc.judges.minimality import beating, holm
from acdc.judges.rank_test import rank_test
from acdc.judges.stability import spearman

GOOD = numpy.array([0.25, 0.5, 1.0, 2.0])
GRAPH = ComputationalGraph(1, 1, 4)
EDGES = list(GRAPH.edges())


def scored(first: float) -> Circuit:
    scores = {edge: float(index + 1) for index, edge in enumerate(EDGES)}
    return Circuit(GRAPH, frozenset(EDGES), {**scores, EDGES[0]: first})


JUDGES: dict[str, Callable[[numpy.ndarray], object]] = {
    "rank_test": lambda bad: rank_test(1.0, bad),
    "rank_test's own": lambda bad: rank_test(float(bad[1]), GOOD),
    "equivalence": lambda bad: compare(GOOD, bad, 0.1),
    "equivalence, the model": lambda bad: compare(bad, GOOD, 0.1),
    "means alike": lambda bad: two_one_sided(bad, 0.1),
    "independence": lambda bad: permuted(bad, GOOD, 20),
    "independence, the model": lambda bad: permuted(GOOD, bad, 20),
    "minimality": lambda bad: beating(bad, GOOD),
    "minimality, added": lambda bad: beating(GOOD, bad),
    "several tests": lambda bad: holm(bad / 4),
    "faithfulness": lambda bad: ratio_of_means(GOOD + 1, bad, GOOD - 1, 0),
    "faithfulness, the model": lambda bad: ratio_of_means(bad + 1, GOOD, GOOD - 1, 0),
    "faithfulness, no edge": lambda bad: ratio_of_means(GOOD + 1, GOOD, bad - 1, 0),
    "a ranking": lambda bad: of_ranking(dict(zip("abcd", bad.tolist(), strict=True)), "a"),
    "an answer": lambda bad: Ranking(scored(float(bad[1]))).near(2),
    "completeness": lambda bad: _strongest(scored(float(bad[1])), 2),
    "stability": lambda bad: spearman(scored(1.5), scored(float(bad[1]))),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_refuses_what_is_no_number(judge: str) -> None:
    JUDGES[judge](GOOD)
    for wrong in (numpy.nan, numpy.inf, -numpy.inf):
        bad = GOOD.copy()
        bad[1] = wrong
        with pytest.raises(NotFinite, match=r"cannot be judged: got \S+ for 1 of \d+ numbers"):
            JUDGES[judge](bad)
