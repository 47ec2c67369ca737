"""What a discovery is said to cost is what it costs: removals tried, and bytes held."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import acdc
from acdc.algorithms.greedy import GreedyPruning, Step, Tried
from acdc.cost import forecast as subject
from acdc.cost.forecast import footprint_of, forecast
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.report.price import price
from acdc.settings import Goal, KeptFaithfulness, Method, Minutes, Setup, Threshold
from tests.acdc.algorithms.walks import finished
from tests.acdc.report.test_table import lines

SETUP = Setup(metric="kl", prompts=32)


@pytest.fixture(scope="module")
def periodic() -> Problem:
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", SETUP), SETUP)[0]


class Held(TorchDispatchMode):
    """How many bytes the tensors that operations make hold at once, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in self._now:
                storage = one.untyped_storage()
                self._now[storage.data_ptr()] = storage.nbytes()
                weakref.finalize(storage, self._now.pop, storage.data_ptr(), None)
                self.most = max(self.most, sum(self._now.values()))
        return made


@contextmanager
def held() -> Iterator[Held]:
    with Held() as mode:
        yield mode


def test_pruning_holds_about_the_bytes_forecast(periodic: Problem) -> None:
    told = forecast(periodic, Method(), Threshold(0.05))
    with held() as mode:
        acdc.discover("periodic", periodic.model, goal=Threshold(0.05), setup=SETUP)
    # the candidates of a model this small do not fill the room that there is for them
    assert 0.5 < told.bytes / mode.most < 2.5, (told.bytes, mode.most)


def test_the_vocabulary_and_the_prompts_count(periodic: Problem) -> None:
    few = periodic.on(periodic.pairs.select(range(8)))
    whole, part = (footprint_of(problem) for problem in (periodic, few))
    assert whole.logits == 4 * part.logits == 32 * len(periodic.model.unembedding.weight) * 4
    assert whole.runs > 2 * part.runs
    assert whole.measuring > part.measuring


def test_as_many_removals_are_expected_as_are_tried(periodic: Problem) -> None:
    expected, more = subject._reached(periodic, 0.05)
    _, steps = finished(GreedyPruning(0.05).walk(periodic))
    tried = [step.position.tally.tested for step in steps if isinstance(step, Step)][-1]
    assert tried / 2 < expected < 2 * tried
    assert expected <= more <= periodic.graph.n_edges


def test_a_run_that_ends_within_the_budget_is_not_extrapolated(periodic: Problem) -> None:
    told = forecast(periodic, Method(), Threshold(2.0))
    assert told.seconds == told.slowest > 0
    assert (told.edges, told.receivers, told.passes) == (110, 27, 110)


def test_a_sample_is_broken_off_within_a_receiver(periodic: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, taken = GreedyPruning.batches, []

    def recorded(pruning: GreedyPruning, problem: Problem) -> Iterator[object]:
        for each in batches(pruning, problem):
            taken.append(each)
            yield each

    monkeypatch.setattr(GreedyPruning, "batches", recorded)
    few = periodic.on(periodic.pairs.select(range(2)))
    seconds, slowest = subject._pruned(GreedyPruning(0.05, batch=1), few, budget=0.0)
    assert taken == [Tried(1)]
    assert 0 < seconds <= slowest


@pytest.mark.parametrize(
    "method", ["eap", "eap-ig", "exact", "hisp", "eap+acdc", "coarse", "information-flow", "random"]
)
def test_every_method_has_a_forecast(periodic: Problem, method: str) -> None:
    few = periodic.on(periodic.pairs.select(range(4)))
    metric = acdc.metrics.LogitDifference()
    told = forecast(Problem(few.model, few.pairs, metric), Method(method), KeptFaithfulness(), budget=0.2)
    assert min(told.passes, told.bytes, told.seconds) > 0


def test_what_a_dry_run_holds_is_bounded(periodic: Problem) -> None:
    """Prompts whose runs are larger than a batch of trials may be are not all run."""
    small = 1 << 20
    sample = subject._sample(periodic, small)
    assert 2 <= len(sample.pairs) < len(periodic.pairs)
    assert footprint_of(sample).runs <= 1.5 * small


def test_the_table_says_a_time_and_how_much_more_it_may_be() -> None:
    shown = "\n".join(
        lines(price(subject.Forecast(1000, 100, 1000, 3 * 10**9, 20.0, 90.0), Method("acdc"), Threshold(0.1)))
    )
    assert "about 3,000 MB above the loaded model" in shown
    assert "about 20.0 s a run, 90 s where more of the model is reached" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("goal", "runs"),
    [(Threshold(0.1), "one"), (Minutes(5), "as many as the minutes allow"), (KeptFaithfulness(), "about ten")],
)
def test_the_table_says_how_many_runs_a_goal_takes(goal: Goal, runs: str) -> None:
    shown = lines(price(subject.Forecast(1000, 100, 1000, 3 * 10**9, 300.0, 300.0), Method("shortlist"), goal))
    (line,) = (line for line in shown if line.startswith("runs"))
    assert runs in line
    assert ("s a run" in "".join(shown)) == (not isinstance(goal, Minutes))
