"""Faithfulness as worked out by hand: a ratio of means with a paired bootstrap interval."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy
import pytest
import torch
from torch import Tensor

from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.judges.faithfulness import Faithfulness, Levels, Size, faithfulness, faithfulness_of_each
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.tasks.metrics import AbstractMetric
from acdc.tasks.prompts import PromptPairs

Given = Callable[..., Faithfulness]


@pytest.fixture
def judged(measurable: Problem, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Faithfulness where the whole model, the circuit and no edge measure these numbers, one per prompt."""
    circuit = Circuit.from_names(measurable.graph, ["input->logits"])

    def judge(full: Sequence[float], kept: Sequence[float], none: Sequence[float], *, seed: int = 0) -> Faithfulness:
        rows = {measurable.graph.n_edges: full, 1: kept, 0: none}

        def measure(_: Problem, circuits: list[Circuit], metrics: list[AbstractMetric] | None = None) -> Tensor:
            one = torch.tensor([rows[len(circuit)] for circuit in circuits], dtype=torch.float64)
            return one.repeat(1 if metrics is None else len(metrics), 1, 1)

        monkeypatch.setattr(Problem, "measure", measure)
        pairs = measurable.pairs.select([0] * len(full))
        return faithfulness(replace(measurable, pairs=pairs), circuit, seed)

    return judge


FULL, KEPT, NONE = (4.0, 2.0, 4.0, 2.0, 3.0), (3.0, 1.0, 4.0, 0.0, 2.5), (0.0, 1.0, 0.0, 1.0, 0.5)


def test_it_is_the_ratio_of_means_and_not_the_mean_of_ratios(judged: Given) -> None:
    value = judged(FULL, KEPT, NONE).normalised.value
    assert value == pytest.approx((3 + 0 + 4 - 1 + 2) / (4 + 1 + 4 + 1 + 2.5))
    assert value != pytest.approx(numpy.mean([3 / 4, 0 / 1, 4 / 4, -1 / 1, 2 / 2.5]), abs=0.1)


def test_the_interval_is_that_of_all_resamples(judged: Given) -> None:
    kept, whole = numpy.subtract(KEPT, NONE), numpy.subtract(FULL, NONE)
    every = [kept[list(draw)].mean() / whole[list(draw)].mean() for draw in itertools.product(range(5), repeat=5)]
    low, high = numpy.quantile(every, [0.025, 0.975])
    interval = judged(FULL, KEPT, NONE).normalised
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.03)
    assert interval.low < interval.value < interval.high


def test_prompts_are_resampled_with_all_their_numbers(judged: Given) -> None:
    """Half of the behaviour on every prompt is half of it in every resample, however much the prompts differ."""
    full = (1.0, 5.0, 3.0, 20.0, 9.0, 2.0)
    interval = judged(full, [value / 2 for value in full], [0.0] * 6).normalised
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.5, 0.5, 0.5))


def test_four_times_the_prompts_halve_the_interval(judged: Given) -> None:
    widths = []
    for times in (4, 16, 64):
        interval = judged(FULL * times, KEPT * times, NONE * times).normalised
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.15)


def test_a_seed_repeats_the_interval_and_another_does_not(judged: Given) -> None:
    draw = numpy.random.default_rng(0)
    full, kept, none = draw.normal((3, 2, 0), 0.5, size=(12, 3)).T.tolist()
    assert judged(full, kept, none, seed=5) == judged(full, kept, none, seed=5)
    assert judged(full, kept, none, seed=5).normalised.low != judged(full, kept, none, seed=6).normalised.low


def test_resamples_that_show_no_behaviour_do_not_count(judged: Given) -> None:
    """One resample in 256 holds nothing but the prompt that ablation leaves as it is: 0/0."""
    interval = judged((1, 1, 1, 0), (1, 0, 1, 0), (0, 0, 0, 0)).normalised
    assert 0 <= interval.low < 2 / 3 < interval.high <= 1


def test_what_ablation_does_not_change_is_refused(judged: Given, measurable: Problem) -> None:
    with pytest.raises(UnmeasurableBehaviour):
        judged((1, 2, 3), (1, 2, 3), (1, 2, 3))


def test_corrupt_prompts_that_say_the_same_are_refused(measurable: Problem) -> None:
    pairs = tuple(replace(pair, corrupt=pair.clean) for pair in measurable.pairs.pairs)
    with pytest.raises(UnmeasurableBehaviour):
        faithfulness(replace(measurable, pairs=PromptPairs(pairs)), Circuit.full(measurable.graph))


def test_levels_and_tail_are_those_of_the_logits(measurable: Problem, llama: Model) -> None:
    names = [edge.name for edge in llama.graph.edges()][::2]
    circuits = [Circuit.full(llama.graph), Circuit.from_names(llama.graph, names), Circuit.empty(llama.graph)]
    differences: list[list[float]] = [[], [], []]
    divergences: list[list[float]] = [[], [], []]
    hits: list[list[float]] = [[], [], []]
    for index, pair in enumerate(measurable.pairs.pairs):
        [prompt] = measurable.pairs.select([index]).batches()
        logits = Executor(llama, prompt.clean, prompt.corrupt, prompt.scored_positions).run(circuits)[:, 0]
        p = logits.softmax(-1)
        for row in range(3):
            answers, distractors = logits[row, list(pair.answers)], logits[row, list(pair.distractors)]
            differences[row].append(float(answers.mean() - distractors.mean()))
            divergences[row].append(float((p[0] * (p[0] / p[row]).log()).sum()))
            hits[row].append(float(int(logits[row].argmax()) in pair.answers))
    found = faithfulness(measurable, circuits[1])

    def assert_levels(got: Levels, wanted: list[list[float]]) -> None:
        means = [float(numpy.mean(values)) for values in wanted]
        assert (got.full, got.circuit, got.none) == pytest.approx(means, rel=0, abs=1e-9)

    assert_levels(found.metric, differences)
    assert_levels(found.kl, divergences)
    assert_levels(found.accuracy, hits)
    assert found.accuracy.full == 1.0
    tail = (found.kl_tail.median, found.kl_tail.p95, found.kl_tail.max)
    assert tail == pytest.approx(numpy.quantile(divergences[1], (0.5, 0.95, 1)), rel=0, abs=1e-9)
    assert found.size == Size(len(names), 110, len(circuits[1].nodes()), len(circuits[1].heads()))


def test_the_whole_model_is_wholly_faithful_and_no_edge_not_at_all(measurable: Problem) -> None:
    for circuit, wanted in ((Circuit.full(measurable.graph), 1.0), (Circuit.empty(measurable.graph), 0.0)):
        interval = faithfulness(measurable, circuit).normalised
        assert (interval.low, interval.value, interval.high) == pytest.approx((wanted,) * 3, abs=1e-9)


def test_whoever_waits_for_many_circuits_hears_of_each_few_and_gets_the_same(measurable: Problem) -> None:
    every = [Circuit(measurable.graph, frozenset([edge])) for edge in sorted(measurable.graph.every_edge, key=str)[:20]]
    heard: list[Progress] = []
    told = faithfulness_of_each(measurable, every, 0, heard.append, "sizes")
    for one, other in zip(told, faithfulness_of_each(measurable, every), strict=True):
        assert one.normalised.value == pytest.approx(other.normalised.value, abs=1e-6)
        assert one.kl.circuit == pytest.approx(other.kl.circuit, abs=1e-6)
        assert one.size == other.size
    assert [(each.stage, each.done, each.total) for each in heard] == [("sizes", done, 22) for done in (8, 16, 22)]


def test_json_holds_every_number(measurable: Problem) -> None:
    found = faithfulness(measurable, Circuit.full(measurable.graph))
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["normalised"] == {
        "value": found.normalised.value,
        "low": found.normalised.low,
        "high": found.normalised.high,
    }
    assert set(data) == {"normalised", "metric", "kl", "kl_tail", "accuracy", "size"}
    assert data["size"]["edges"] == 110
