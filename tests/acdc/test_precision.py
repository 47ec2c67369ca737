"""What decides is finite, and half precision finds nearly what single precision does, by every method."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import pytest
import torch

import acdc
from acdc.algorithms.learned_masks import LearnedMasks
from acdc.algorithms.prices import Prices
from acdc.algorithms.scores import score_graph
from acdc.algorithms.trials import Trials
from acdc.discovery.discover import discover
from acdc.discovery.pruning_runs import prunes
from acdc.discovery.search import algorithm_of
from acdc.discovery.selection import Rule, Selection
from acdc.errors import NotFinite
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.ground_truth.planted import known
from acdc.methods import METHODS, PRUNING, SCORING
from acdc.models import load_named
from acdc.precision import finite, finite_metric, require_finite, wide
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Edges, Method, Setup, Threshold
from acdc.tasks.metrics import KLDivergence, Targets
from tests.acdc.algorithms.walks import ended

HALF = ("bfloat16", "float16")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks that are trained for a few steps."""
    monkeypatch.setattr("acdc.algorithms.learned_masks.LearnedMasks", partial(LearnedMasks, prices=Prices(8)))


@cache
def periodic(dtype: str) -> Problem:
    setup = Setup(prompts=4).on(dtype=dtype)
    return problems(acdc.get_task("periodic"), load_named("periodic-2l", setup), setup)[0]


def quick(method: str) -> Method:
    """The method with few steps, if it takes any."""
    return Method(method, steps=2) if "steps" in METHODS[method].takes else Method(method)


@cache
def scores(method: str, dtype: str) -> torch.Tensor:
    scorer = algorithm_of(quick(method))
    assert not prunes(scorer)
    circuit = ended(scorer.walk(periodic(dtype)))
    return torch.tensor([circuit.scores[edge] for edge in circuit.ordered()])


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("method", SCORING)
def test_half_precision_scores_nearly_as_single_precision_does(method: str, dtype: str) -> None:
    ours, theirs = scores(method, dtype), scores(method, "float32")
    apart = (ours - theirs).abs() / theirs.abs().max()
    assert apart.mean() < 0.01
    assert apart.max() < (0.1 if method == "masks" else 0.01)  # one that closes at the border of a step, a part of it
    top, their_top = (set(each.abs().topk(20).indices.tolist()) for each in (ours, theirs))
    assert len(top & their_top) >= 18


@pytest.mark.parametrize("method", METHODS)
def test_a_discovery_in_half_precision_ends_with_a_circuit(method: str) -> None:
    of = known("and", 4, dtype=torch.bfloat16)
    goal = Threshold(0.5) if method in PRUNING else Edges(12)
    how = quick(method)
    found = discover(of.task, of.model, method=how, goal=goal, setup=Setup(prompts=4).on(dtype="bfloat16"))
    assert 0 < len(found.circuit) <= 12
    assert all(math.isfinite(score) for score in found.circuit.scores.values())
    assert math.isfinite(found.faithfulness.normalised.value)
    if method not in ("random", "information-flow", "hisp", "masks"):
        assert found.circuit.edges >= of.truths[Ablation.RESAMPLE]


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_edges_are_not_ordered_by_what_is_not_finite(rule: Rule, wrong: float) -> None:
    graph = periodic("float32").graph
    edge = next(iter(graph.edges()))
    whole = Circuit(graph, frozenset(graph.edges()), dict.fromkeys(graph.edges(), 1.0) | {edge: wrong})
    with pytest.raises(NotFinite, match=f"got {wrong} for {edge.name}, 1 of .* wanted finite numbers; use a wider"):
        Selection.of(whole, rule)
    values = torch.ones(len(graph.receivers), len(graph.senders), dtype=torch.float64)
    values[0, 0] = wrong
    with pytest.raises(NotFinite, match="the scores of edges cannot be judged"):
        score_graph(periodic("float32"), values)


@pytest.mark.parametrize("method", ["eap", "eap-ig", "eap-ig-activations", "hisp", "masks", "information-flow"])
def test_weights_that_are_not_numbers_are_refused_and_not_ranked(method: str) -> None:
    problem = periodic("float32")
    assert problem.bounds
    attention = problem.model.layers[1].attention
    assert attention.norm.weight is not None
    weight = attention.norm.weight.clone()
    weight[0] = math.nan
    layer = replace(problem.model.layers[1], attention=replace(attention, norm=replace(attention.norm, weight=weight)))
    model: Model = replace(problem.model, layers=(problem.model.layers[0], layer))
    broken = Problem(model, problem.pairs, problem.metric)
    broken.__dict__["bounds"] = problem.bounds
    scorer = algorithm_of(Method(method))
    assert not prunes(scorer)
    with pytest.raises(NotFinite):
        ended(scorer.walk(broken))


def test_finite_values_are_themselves_and_half_precision_is_widened() -> None:
    values = torch.tensor([1.0, -2.0], dtype=torch.float16)
    assert finite(values, "they") is values
    assert wide(values).dtype is torch.float32
    assert wide(values.double()).dtype is torch.float64
    with pytest.raises(NotFinite, match="they cannot be judged: got inf for 1 of 2 numbers"):
        finite(values / torch.tensor([0.0, 1.0], dtype=torch.float16), "they")


def test_what_overflows_single_precision_is_measured_in_double_and_what_is_no_number_is_refused() -> None:
    model = periodic("float32").model
    reference = torch.tensor([[3e38, -3e38]])
    targets = Targets(torch.tensor([[0]]), torch.tensor([[1]]), reference)
    assert not KLDivergence()(reference, targets).isfinite().all()
    assert finite_metric(KLDivergence(), reference, targets, model).tolist() == [0.0]
    wrong = reference.clone()
    for value in (math.nan, math.inf):
        wrong[0, 1] = value
        with pytest.raises(NotFinite, match=r"the kl of <Model \S*periodic-2l: .*> cannot be judged: got nan for 1"):
            finite_metric(KLDivergence(), wrong, targets, model)


def test_numbers_of_any_kind_are_refused_with_what_they_were_to_decide() -> None:
    require_finite("nothing", [], [1.0, 2.0], 1.0)
    with pytest.raises(NotFinite, match=r"^a table cannot be judged: got nan for 2 of 3 numbers, wanted"):
        require_finite("a table", [1.0, math.nan, math.inf])


def test_problems_and_trials_measure_again_in_double_before_they_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that overflows single precision, as KL does where logits are 1e38 apart."""
    problem = periodic("float32")
    problem = Problem(problem.model, problem.pairs.select(range(2)), KLDivergence())
    whole, of_rows = Circuit.full(problem.graph), KLDivergence.of_rows

    def overflowing(self: KLDivergence, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        values = of_rows(self, logits, targets)
        return values if logits.dtype is torch.float64 else values * math.inf

    monkeypatch.setattr(KLDivergence, "of_rows", overflowing)
    assert problem.measure([whole]).abs().max() < 1e-9
    assert Trials(problem, 1 << 20).now < 1e-9
