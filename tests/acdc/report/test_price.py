"""What a discovery would cost is said in units that a person reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acdc import tasks
from acdc.cost.prediction import CostPrediction, Holding
from acdc.cost.work import Work
from acdc.discovery.defaults import Defaults
from acdc.graphs.computation import ComputationalGraph
from acdc.graphs.shapes import ModelShape
from acdc.models import tokenizer_of
from acdc.report.price import predicted, span
from acdc.settings import Edges, Goal, KeptFaithfulness, Method, Minutes, Threshold
from tests.acdc.report.test_table import lines

SHAPE = ModelShape(ComputationalGraph(30, 9, 576), 134_515_008, 26_542_080, 79_626_240, 64, 49_152)


def cost_of(goal: Goal, work: Work, seconds: tuple[float, float]) -> CostPrediction:
    prompts = tasks.get("periodic").build(tokenizer_of("periodic-2l"), 4, 0).discovery
    chosen = Defaults(Method("shortlist"), goal, 4, "the model is large")
    return CostPrediction(chosen, SHAPE, prompts, Holding(538_060_032, 1_600_000_000, 3_000_000_000), work, seconds)


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (0.42, 0.9, "0.4 to 0.9 s"),
        (30.4, 83, "30 to 83 s"),
        (90, 330, "1.5 to 5.5 min"),
        (480, 600, "8 to 10 min"),
        (600, 600, "about 10 min"),
        (3000, 9000, "0.8 to 2.5 h"),
        (100 * 3600, 1234 * 3600, "100 to 1,200 h"),
    ],
)
def test_a_range_has_one_unit(least: float, most: float, words: str) -> None:
    assert span(least, most) == words


def test_the_table_says_weights_memory_runs_and_time() -> None:
    cost = cost_of(Threshold(0.02), Work(1, 1627, 1e12, 2.0), (100, 400))
    shown = " ".join(" ".join(lines(predicted(cost, "smollm2-135m"))).split())
    assert "smollm2-135m, 30 layers, 9 heads per layer and MLPs; 538 MB of weights" in shown
    assert "123,211 edges between 302 nodes, into 841 receivers" in shown
    assert "about 1.6 GB above the loaded model, 3.0 GB in all" in shown
    assert "runs one, of about 1,600 circuits" in shown
    assert "1.7 to 6.7 min, with loading and judging; what pruning meets is known to about a factor of 3" in shown
    assert "shortlist, for edges worth 0.02 units of the metric each (--threshold)" in shown
    assert "why the model is large" in shown


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (
            Minutes(10),
            "as many as the minutes allow, about 3, of more circuits each; about 1,600 circuits in the first",
        ),
        (KeptFaithfulness(), "about 3, of more circuits each; about 1,600 circuits in the last"),
        (Edges(5), "about 3, of more circuits each"),
    ],
)
def test_how_many_runs_there_are_depends_on_the_goal(goal: Goal, words: str) -> None:
    cost = cost_of(goal, Work(3, 1627, 1e12, 2.0), (500, 600))
    shown = " ".join(" ".join(lines(predicted(cost, "m"))).split())
    assert words in shown
    assert "a factor of" not in shown
    scored = replace(cost, work=Work(0, 5, 1e12, 2.0))
    assert "one, of 5 pieces of work" in " ".join(" ".join(lines(predicted(scored, "m"))).split())
