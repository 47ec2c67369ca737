"""Learned masks follow the distribution they are named after, and edges are closed in the order of their worth."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch

import acdc
from acdc.algorithms import learned_masks
from acdc.algorithms.attribution import IntegratedGradients
from acdc.algorithms.elimination import ROUNDS
from acdc.algorithms.exact import ExactPatching
from acdc.algorithms.learned_masks import LearnedMasks, kept, sampled
from acdc.algorithms.prices import Prices
from acdc.algorithms.scores import ScoringStep
from acdc.discovery.levels import measured
from acdc.discovery.selection import Rule, Selection
from acdc.errors import BadSetting
from acdc.graphs.nodes import Edge
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.tasks.metrics import metric
from tests.acdc.algorithms.walks import ended, finished


def test_samples_are_not_0_as_often_as_is_said() -> None:
    log_alpha = torch.linspace(-4, 4, 9, dtype=torch.float64)
    noise = torch.rand(40_000, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = sampled(log_alpha.expand_as(noise), noise)
    assert (drawn.min(), drawn.max()) == (0, 1)
    often = (drawn != 0).double().mean(0)
    assert often.tolist() == pytest.approx(kept(log_alpha).tolist(), abs=0.01)
    assert (often.diff() > 0).all()


def test_a_sample_is_the_stretched_and_clamped_one_of_the_paper() -> None:
    """By hand: u = 1/2 and log alpha = 0 give s = 1/2 and z = 1/2; log alpha = 2/3 ln 3 gives s = 3/4, z = 0.8."""
    log_alpha = torch.tensor([0.0, 2 / 3, -2.0, 2.0]) * torch.log(torch.tensor(3.0))
    assert sampled(log_alpha, torch.full((4,), 0.5)).tolist() == pytest.approx([0.5, 0.8, 0.0, 1.0], abs=1e-2)


@lru_cache
def of_periodic(name: str) -> Problem:
    setup = acdc.Setup(metric=name, prompts=8)
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)[0]


@pytest.mark.parametrize("name", ["logit_difference", "kl"])
def test_edges_that_matter_are_closed_last(name: str) -> None:
    """What matters is told by the exact effect of each edge."""
    problem = of_periodic(name)
    exact = ended(ExactPatching().walk(problem)).scores
    full, none = problem.bounds
    effect = abs(full - none)
    vital = {edge for edge, worth in exact.items() if worth > 0.15 * effect}
    idle = {edge for edge, worth in exact.items() if abs(worth) < 1e-4 * effect}
    assert len(vital) >= 4
    assert len(idle) >= 20
    price = ended(LearnedMasks().walk(problem)).scores
    assert min(price[edge] for edge in vital) > 0.02 * effect
    assert max(price[edge] for edge in idle) < min(price[edge] for edge in vital)
    assert sum(price[edge] for edge in idle) / len(idle) < 0.01 * effect


def test_a_small_circuit_that_masks_choose_keeps_the_behaviour() -> None:
    problem = of_periodic("kl")
    learned = Selection.of(ended(LearnedMasks().walk(problem)), Rule.TOP)
    assert measured(problem, learned.of_size(8), 0.0).faithfulness > 0.95


def test_only_a_training_for_all_sizes_begins_lower() -> None:
    masks = LearnedMasks()
    assert masks._for_all_sizes(10_342) == replace(masks, prices=masks.prices.from_lower(4_000))
    assert masks._for_all_sizes(1_519).prices == masks.prices.from_lower(1_519)
    assert masks._for_all_sizes(100) == masks
    assert masks.up_to(300)._for_all_sizes(10_342) == masks.up_to(300)


def test_where_time_is_short_prices_rise_by_time(measurable: Problem) -> None:
    hurried = LearnedMasks(prices=Prices(100_000), seconds=0.2)
    learned, told = finished(hurried.walk(measurable))
    assert 60 <= len(told) < 10_000
    assert told[-1].done == told[-1].total
    full, none = measurable.bounds
    assert max(learned.scores.values()) >= hurried.prices.last * abs(full - none)


def test_what_is_not_on_the_shortlist_is_ranked_by_attribution_below_the_first_price() -> None:
    problem = of_periodic("logit_difference")
    full, none = problem.bounds
    masks = LearnedMasks(prices=Prices(20), shortlist=30)
    learned = ended(masks.walk(problem))
    ranked = ended(IntegratedGradients("inputs", 3, float("inf")).walk(problem)).scores
    order = sorted(ranked, key=lambda edge: -abs(ranked[edge]))
    first = masks.prices.first * abs(full - none)
    rest = [learned.scores[edge] for edge in order[30:]]
    assert rest == sorted(rest, reverse=True)
    assert max(rest) < first
    assert 0 < learned.provenance["shortlist"] <= 30
    assert sum(score >= first for score in learned.scores.values()) == learned.provenance["shortlist"]


def test_a_short_shortlist_is_for_small_circuits_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(learned_masks, "told", lambda _, prices, __: asked.append(len(prices)) or prices)
    problem = of_periodic("kl")
    for masks in (LearnedMasks(prices=Prices(4), shortlist=30), LearnedMasks(prices=Prices(4))):
        ended(masks.walk(problem))
    assert asked == [len(problem.graph.edge_indices)]


def in_two_trainings(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> LearnedMasks:
    """Masks for all edges of a small graph, of which the dozen that closed last are trained again."""
    for name, value in (("_MANY", problem.graph.n_edges), ("AGAIN", 12), ("_ENOUGH", 5)):
        monkeypatch.setattr(learned_masks, name, value)
    return LearnedMasks(prices=Prices(20))


def test_of_a_long_shortlist_those_that_closed_last_are_trained_again(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[dict[Edge, float], dict[Edge, float]]] = []
    monkeypatch.setattr(
        learned_masks, "of_another_training", lambda _, prices, again: asked.append((prices, again)) or prices
    )
    masks = in_two_trainings(measurable, monkeypatch)
    again = masks._again(measurable.graph.n_edges)
    assert again is not None
    assert (again.shortlist, again.prices.first) == (12, masks.prices.last), "as for circuits of so few"
    _, told = finished(masks.walk(measurable))
    ((prices, anew),) = asked
    assert list(anew) == sorted(prices, key=prices.__getitem__, reverse=True)[:12]
    steps = masks.prices.from_lower(measurable.graph.n_edges).steps + again.prices.steps + ROUNDS
    assert told == [ScoringStep(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) - steps in range(1, 10), "the rest is the ranking"
    for edges in (masks, masks.up_to(30)):
        assert edges._again(measurable.graph.n_edges - 1) is None, "of a short one none are"


def test_a_training_that_has_taken_all_of_the_time_is_not_followed_by_another(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    train = LearnedMasks._train
    monkeypatch.setattr(
        LearnedMasks, "_train", lambda self, *given: trained.append(len(given[1])) or train(self, *given)
    )
    masks = in_two_trainings(measurable, monkeypatch)
    for seconds, trainings in ((1e-3, 1), (1e3, 2)):
        trained.clear()
        _, told = finished(replace(masks, seconds=seconds).walk(measurable))
        assert len(trained) == trainings
        assert told[-1].done == told[-1].total


def untouched(_: Problem, prices: dict[Edge, float], *__: Any) -> Generator[ScoringStep, None, dict[Edge, float]]:
    """No elimination."""
    yield from ()
    return prices


@pytest.mark.parametrize("left", [ROUNDS + 3, ROUNDS + 1])
def test_an_interrupt_of_the_second_training_leaves_the_first(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    masks = in_two_trainings(measurable, monkeypatch)
    walk = masks.walk(measurable)
    while (step := next(walk)).total - step.done > left:
        pass
    with pytest.raises(StopIteration) as stopped:
        walk.throw(KeyboardInterrupt())
    learned = stopped.value.value
    assert learned.provenance["stopped"] == "interrupted"
    monkeypatch.setattr(learned_masks, "of_another_training", lambda _, prices, __: prices)
    monkeypatch.setattr(learned_masks, "eliminated", untouched)
    monkeypatch.setattr(learned_masks, "told", lambda _, prices, __: prices)
    assert learned.scores == ended(masks.walk(measurable)).scores


def test_a_seed_gives_the_same_scores_again_and_another_does_not(measurable: Problem) -> None:
    first, again, other = (
        ended(LearnedMasks(prices=Prices(5), seed=seed).walk(measurable)).scores for seed in (1, 1, 2)
    )
    assert first == again != other


def test_an_interrupt_leaves_what_is_learned_by_then(measurable: Problem) -> None:
    masks = LearnedMasks(prices=Prices(12))
    walk = masks.walk(measurable)
    while (step := next(walk)).total - step.done > ROUNDS + 8:
        pass
    with pytest.raises(StopIteration) as stopped:
        walk.throw(KeyboardInterrupt())
    learned = stopped.value.value
    assert learned.provenance["stopped"] == "interrupted"
    whole = ended(masks.walk(measurable))
    assert "stopped" not in whole.provenance
    assert learned.scores.keys() == whole.scores.keys()
    assert learned.scores != whole.scores


@pytest.mark.parametrize("step", [1, 4, 6])
def test_an_interrupt_within_a_step_leaves_those_before_it(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    slope, steps = LearnedMasks._slope, []

    def interrupted(*given: Any) -> torch.Tensor:
        steps.append(1)
        if len(steps) == step:
            raise KeyboardInterrupt
        return slope(*given)

    monkeypatch.setattr(LearnedMasks, "_slope", interrupted)
    walk = LearnedMasks(prices=Prices(6)).walk(measurable)
    if step == 1:
        with pytest.raises(KeyboardInterrupt):
            ended(walk)
    else:
        assert ended(walk).provenance["stopped"] == "interrupted"


def test_an_interrupt_within_the_elimination_leaves_the_order_of_the_prices(measurable: Problem) -> None:
    masks = LearnedMasks(prices=Prices(12))
    walk = masks.walk(measurable)
    while (step := next(walk)).total - step.done > ROUNDS - 1:
        pass
    with pytest.raises(StopIteration) as stopped:
        walk.throw(KeyboardInterrupt())
    learned, whole = stopped.value.value, ended(masks.walk(measurable))
    assert learned.provenance["stopped"] == "interrupted"
    prices = sorted(learned.scores.values(), reverse=True)[:100]
    highest, ordered = ({edge for edge in of.edges if of.scores[edge] >= prices[-1]} for of in (learned, whole))
    assert highest <= ordered, "none of the highest falls below others, whatever comes in"
    assert max(whole.scores.values()) == prices[0]


def test_an_interrupt_after_the_elimination_leaves_its_order(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = LearnedMasks(prices=Prices(12))
    monkeypatch.setattr(learned_masks, "told", lambda _, prices, __: prices)
    whole = ended(masks.walk(measurable))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(learned_masks, "told", interrupted)
    learned = ended(masks.walk(measurable))
    assert learned.provenance["stopped"] == "interrupted"
    assert learned.scores == whole.scores


def test_a_metric_without_gradient_is_refused(measurable: Problem) -> None:
    with pytest.raises(BadSetting, match="accuracy has no gradient"):
        ended(LearnedMasks().walk(replace(measurable, metric=metric("accuracy"))))


@pytest.mark.parametrize("wrong", [{"prompts": 0}, {"shortlist": 0}, {"seconds": 0.0}])
def test_settings_that_train_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        LearnedMasks(**wrong)


@pytest.mark.parametrize("cramped", [{}, {"max_bytes": 1}])
def test_it_tells_of_every_step_however_few_prompts_fit(measurable: Problem, cramped: dict[str, Any]) -> None:
    _, told = finished(LearnedMasks(prices=Prices(7), **cramped).walk(measurable))
    ranking = len(told) - 7 - ROUNDS
    assert ranking > 0
    assert told == [ScoringStep(done, len(told)) for done in range(1, len(told) + 1)]


def test_for_fewer_edges_the_shortlist_is_shorter_and_the_first_price_higher() -> None:
    masks, small, larger = LearnedMasks(), LearnedMasks().up_to(50), LearnedMasks().up_to(300)
    assert small == LearnedMasks().up_to(1), "500 at least"
    assert small.shortlist == 500 < larger.shortlist == 1840 < masks.shortlist
    assert masks.prices.first < larger.prices.first < small.prices.first < small.prices.last == masks.prices.last
    assert 60 <= small.prices.steps < larger.prices.steps < masks.prices.steps
    assert LearnedMasks().up_to(10_000) == masks
    assert LearnedMasks(prices=Prices(20)).up_to(50).prices.steps == 20, "never more than were asked for"


def test_where_the_ranking_takes_most_of_the_time_the_shortlist_is_short() -> None:
    assert LearnedMasks(seconds=100.0)._in_time(99.0) == LearnedMasks(seconds=100.0).up_to(1)
    assert LearnedMasks(seconds=5000.0)._in_time(99.0) == LearnedMasks(seconds=5000.0)
    assert LearnedMasks()._in_time(1e9) == LearnedMasks()
    assert 500 < LearnedMasks(seconds=1000.0)._in_time(99.0).shortlist < 4000
