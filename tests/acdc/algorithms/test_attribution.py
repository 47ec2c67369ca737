"""Attribution is the derivative of the independent oracle, averaged over the path and the prompts it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from acdc.algorithms.attribution import Attribution, IntegratedGradients
from acdc.algorithms.scores import ScoringStep
from acdc.batch import Batching
from acdc.errors import BadSetting, UnmeasurableBehaviour
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.gradients import Linearisation
from acdc.graphs.model import Model
from acdc.graphs.nodes import INPUT, LOGITS
from acdc.problem import Problem
from acdc.tasks.metrics import AbstractMetric, LogitDifference, Targets, metric
from acdc.tasks.prompts import PromptPairs
from tests.acdc.algorithms.walks import ended, finished
from tests.acdc.behaviours import behaviour
from tests.checkpoints import Architecture, Checkpoints
from tests.graphs.oracle import Outputs, ablate, load_bridge, oracle_outputs, oracle_weighted_logits
from tests.native_bridges import native_model

Scorer = Attribution | IntegratedGradients
Scores = dict[str, float]
Point = tuple[Outputs | None, set[str]]
"""What some senders are said to write, and the senders whose edges are scored there."""

WORSE = {"logit_difference": -1, "probability_difference": -1, "nll": 1, "kl": 1, "l2": 1}
"""Whether a metric is worse when it is lower (-1) or higher (1)."""


@pytest.fixture(scope="module")
def bridge(checkpoints: Checkpoints) -> TransformerBridge:
    """The oracle's own copy of the model that `measurable` is about."""
    return load_bridge(checkpoints.ungrouped("llama"))


def scores(scorer: Scorer, problem: Problem) -> Scores:
    circuit = ended(scorer.walk(problem))
    assert circuit.edges == frozenset(problem.graph.edges())
    return named(circuit)


def named(circuit: Circuit) -> Scores:
    return {edge.name: circuit.scores[edge] for edge in circuit.ordered()}


def oracle_scores(
    problem: Problem, bridge: TransformerBridge, points: Callable[[Outputs, Outputs], list[Point]], share: float = 1.0
) -> Scores:
    """How much worse the mean metric gets with every edge, to first order: summed over the points, times `share`."""
    edges = [edge.name for edge in problem.graph.edges()]
    total = torch.zeros(len(edges), dtype=torch.float64)
    for batch in problem.batches:
        tokens = batch.prompts
        clean, corrupt = (oracle_outputs(bridge, side) for side in (tokens.clean, tokens.corrupt))
        for start, senders in points(clean, ablate(corrupt, problem.ablation.value)):
            weights = torch.ones(len(edges), dtype=torch.float64, requires_grad=True)
            logits = oracle_weighted_logits(
                bridge, tokens.clean, tokens.corrupt, tokens.scored_positions, weights, problem.ablation.value, start
            )
            (gradient,) = torch.autograd.grad(problem.metric(logits, batch.targets).sum(), weights)
            among = torch.tensor([edge.split("->")[0] in senders for edge in edges])
            total -= WORSE[problem.metric.name] * gradient * among * share / len(problem.pairs)
    return dict(zip(edges, total.tolist(), strict=True))


def at_the_clean_run(clean: Outputs, ablated: Outputs) -> list[Point]:
    return [(None, set(clean))]


def on_the_way(clean: Outputs, ablated: Outputs, senders: set[str], fraction: float) -> Outputs:
    return {name: ablated[name] + fraction * (clean[name] - ablated[name]) for name in senders}


def of_llama(model: Model, metric_name: str, lengths: tuple[int, ...] = (5, 11, 5)) -> Problem:
    return Problem(model, behaviour(model, lengths), metric(metric_name))


def assert_same(got: Scores, wanted: Scores) -> None:
    assert max(map(abs, wanted.values())) > 0.01
    assert got == pytest.approx(wanted, rel=0, abs=1e-8)


@pytest.mark.parametrize("measured", ["logit_difference", "probability_difference", "nll"])
def test_edge_attribution_is_the_oracles_derivative(llama: Model, bridge: TransformerBridge, measured: str) -> None:
    problem = of_llama(llama, measured)
    assert_same(scores(Attribution(), problem), oracle_scores(problem, bridge, at_the_clean_run))


@pytest.mark.parametrize("ablation", [Ablation.MEAN, Ablation.MEAN_POSITIONAL, Ablation.ZERO])
def test_edge_attribution_is_the_oracles_derivative_whatever_is_ablated(
    llama: Model, bridge: TransformerBridge, ablation: Ablation
) -> None:
    problem = replace(of_llama(llama, "logit_difference", (6, 6, 6)), ablation=ablation)
    assert_same(scores(Attribution(), problem), oracle_scores(problem, bridge, at_the_clean_run))


@pytest.mark.parametrize(
    ("measured", "ablation"), [("logit_difference", Ablation.ZERO), ("nll", Ablation.RESAMPLE), ("kl", Ablation.MEAN)]
)
def test_integrated_gradients_are_the_mean_over_interpolated_embeddings(
    llama: Model, bridge: TransformerBridge, measured: str, ablation: Ablation
) -> None:
    """At 1/3, 2/3 and 3/3 of the way from the ablated to the clean embeddings."""

    def points(clean: Outputs, ablated: Outputs) -> list[Point]:
        return [(on_the_way(clean, ablated, {"input"}, step / 3), set(clean)) for step in (1, 2, 3)]

    problem = replace(of_llama(llama, measured, (6, 6, 6)), ablation=ablation)
    assert_same(
        scores(IntegratedGradients("inputs", 3, math.inf), problem), oracle_scores(problem, bridge, points, 1 / 3)
    )


def test_a_distance_has_no_share_of_the_clean_end(llama: Model, bridge: TransformerBridge) -> None:
    """Its gradient there is 0 by definition, and noise in fact."""

    def middle(clean: Outputs, ablated: Outputs) -> list[Point]:
        return [(on_the_way(clean, ablated, {"input"}, 1 / 2), set(clean))]

    problem = of_llama(llama, "l2")
    assert_same(
        scores(IntegratedGradients("inputs", 2, math.inf), problem), oracle_scores(problem, bridge, middle, 1 / 2)
    )


@pytest.mark.parametrize("name", ["llama", "gpt_neox"])
def test_activations_move_one_layer_at_a_time_below_what_is_clean(checkpoints: Checkpoints, name: Architecture) -> None:
    model, bridge = checkpoints.model(name), load_bridge(checkpoints.ungrouped(name))
    problem = Problem(model, behaviour(model, (5, 6)), LogitDifference())
    groups: list[set[str]] = [{"input"}]
    for layer in range(model.graph.n_layers):
        heads = {f"a{layer}.h{head}" for head in range(4)}
        groups += [heads | {f"m{layer}"}] if name == "gpt_neox" else [heads, {f"m{layer}"}]

    def points(clean: Outputs, ablated: Outputs) -> list[Point]:
        points: list[Point] = []
        for index, group in enumerate(groups):
            before = {name: clean[name] for earlier in groups[:index] for name in earlier}
            points += [(before | on_the_way(clean, ablated, group, step / 2), group) for step in (1, 2)]
        return points

    assert_same(
        scores(IntegratedGradients("activations", 2, math.inf), problem), oracle_scores(problem, bridge, points, 1 / 2)
    )


@pytest.mark.parametrize("path", ["inputs", "activations"])
def test_one_step_is_edge_attribution(measurable: Problem, path: str) -> None:
    scorer = IntegratedGradients("inputs" if path == "inputs" else "activations", 1, math.inf)
    assert scores(scorer, measurable) == pytest.approx(scores(Attribution(), measurable), rel=0, abs=1e-10)


def test_where_the_model_is_linear_the_score_is_what_removing_the_edge_costs() -> None:
    """Without a final norm the logits are linear in what they read; positive: removal makes the metric worse."""
    model = native_model("gelu_bare")
    problem = Problem(model, behaviour(model, (5, 11, 5)), LogitDifference())
    full = Circuit.full(model.graph)
    into_logits = [edge for edge in full.ordered() if edge.receiver == LOGITS]
    whole, *without = problem.measure([full, *(full.without([edge]) for edge in into_logits)])[0].mean(-1).tolist()
    costs = [whole - value for value in without]
    assert min(costs) < 0 < max(costs)
    for scorer in (Attribution(), IntegratedGradients("activations", 3, math.inf)):
        got = ended(scorer.walk(problem)).scores
        assert [got[edge] for edge in into_logits] == pytest.approx(costs, rel=0, abs=1e-9)


@pytest.mark.parametrize("ablation", UNLEARNED)
@pytest.mark.parametrize(
    "scorer", [Attribution(), IntegratedGradients("activations", 2, math.inf)], ids=["eap", "activations"]
)
def test_the_split_into_batches_changes_nothing(measurable: Problem, scorer: Scorer, ablation: Ablation) -> None:
    whole = replace(measurable, ablation=ablation)
    assert len(whole.batches) == 2
    for size in (1, 2):
        split = replace(whole, batching=Batching(size))
        assert scores(scorer, split) == pytest.approx(scores(scorer, whole), rel=0, abs=1e-10)


@pytest.mark.parametrize("scorer", [Attribution(), IntegratedGradients("inputs", 2, math.inf)], ids=["eap", "inputs"])
def test_prompts_of_two_lengths_count_each_for_one(measurable: Problem, scorer: Scorer) -> None:
    parts = [
        replace(measurable, pairs=PromptPairs(tuple(p for p in measurable.pairs.pairs if len(p.clean) == length)))
        for length in (5, 11)
    ]
    each = [(scores(scorer, part), len(part.pairs) / len(measurable.pairs)) for part in parts]
    got = scores(scorer, measurable)
    assert got == pytest.approx({edge: sum(part[edge] * share for part, share in each) for edge in got}, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scorer", [Attribution(), IntegratedGradients("inputs", 1, math.inf)], ids=["eap", "one step"])
@pytest.mark.parametrize("measured", ["kl", "l2"])
def test_a_distance_is_refused_where_it_has_no_gradient(
    checkpoints: Checkpoints, measured: str, scorer: Scorer, dtype: torch.dtype
) -> None:
    model = checkpoints.model("llama", dtype)
    message = f"the gradient of {measured} is 0 at every edge: .* use another metric .* or --method acdc"
    with pytest.raises(UnmeasurableBehaviour, match=message):
        ended(scorer.walk(of_llama(model, measured)))


@pytest.mark.parametrize("scorer", [Attribution(), IntegratedGradients()], ids=["eap", "inputs"])
def test_accuracy_is_refused(llama: Model, scorer: Scorer) -> None:
    with pytest.raises(BadSetting, match="accuracy has no gradient to attribute with; use another metric"):
        ended(scorer.walk(of_llama(llama, "accuracy")))


def test_no_steps_are_refused() -> None:
    with pytest.raises(BadSetting, match="over 0 steps are none"):
        IntegratedGradients("inputs", 0)


@pytest.mark.parametrize(
    ("scorer", "pieces"),
    [
        (Attribution(), 2),
        (IntegratedGradients("inputs", 3, math.inf), 6),
        (IntegratedGradients("activations", 3, math.inf), 30),
    ],
    ids=["eap", "inputs", "activations"],
)
def test_it_tells_of_every_piece_of_work(measurable: Problem, scorer: Scorer, pieces: int) -> None:
    """Two lengths, and for activations five groups: the input and two of each layer."""
    _, told = finished(scorer.walk(measurable))
    assert told == [ScoringStep(done, pieces) for done in range(1, pieces + 1)]


@dataclass(frozen=True)
class Step(AbstractMetric):
    """Nearly 1 where the logit difference is above `edge`, and nearly 0 below: flat but for a narrow rise."""

    edge: float
    width: float
    name = "step"
    sign = 1
    needs_vocabulary = False
    differentiable = True
    meaning = "a step"

    def of_rows(
        self, logits: Float[Tensor, "*circuit batch vocab"], targets: Targets
    ) -> Float[Tensor, "*circuit batch"]:
        return torch.sigmoid((LogitDifference()(logits, targets) - self.edge) / self.width)


@pytest.fixture
def stepped(measurable: Problem) -> Problem:
    """One prompt whose metric rises between the points that five steps have, all of whose gradients are near 0."""
    one = replace(measurable, pairs=measurable.pairs.select([0]))
    (batch,) = one.batches
    columns, targets = batch.columns(one.metric)
    clean, moved = batch.runs.clean_residual(1), batch.runs.delta[0]
    middle = Linearisation(batch.runs, clean - 0.7 * moved, columns=columns).logits  # at 3/10 of the way
    end = one.bounds[0]
    at = float(LogitDifference()(middle, targets))
    return replace(one, metric=Step(at, abs(end - at) / 100))


@pytest.mark.parametrize("path", ["inputs", "activations"])
def test_gradients_that_are_0_at_every_point_are_noticed_and_more_points_taken(stepped: Problem, path: str) -> None:
    kind = "inputs" if path == "inputs" else "activations"
    five = ended(IntegratedGradients(kind, 5, math.inf).walk(stepped))
    more = ended(IntegratedGradients(kind, 5).walk(stepped))
    assert five.provenance["steps_taken"] == 5
    assert five.provenance["missed"] > 0.5
    assert 5 < more.provenance["steps_taken"] <= 80
    assert more.provenance["missed"] <= 0.25
    full, none = stepped.measure([Circuit.full(stepped.graph), Circuit.empty(stepped.graph)])[0].mean(-1).tolist()
    from_input = [
        sum(score for edge, score in circuit.scores.items() if edge.sender == INPUT) for circuit in (five, more)
    ]
    assert abs(from_input[0]) < 0.5 * (full - none)
    if path == "inputs":
        assert from_input[1] == pytest.approx(full - none, rel=0.25)


def test_doubled_points_are_those_of_a_path_of_so_many_steps(stepped: Problem) -> None:
    """Half of the points of twice as many are there already, and are not run again."""
    doubled, told = finished(IntegratedGradients("inputs", 5).walk(stepped))
    taken = doubled.provenance["steps_taken"]
    assert told[-1] == ScoringStep(taken, taken)
    at_once = ended(IntegratedGradients("inputs", taken, math.inf).walk(stepped))
    assert named(doubled) == pytest.approx(named(at_once), rel=0, abs=1e-10)
    assert doubled.provenance == pytest.approx(at_once.provenance)


def test_points_that_never_suffice_end_and_are_told(stepped: Problem) -> None:
    circuit = ended(IntegratedGradients("inputs", 1, tolerance=0.0).walk(stepped))
    assert circuit.provenance["steps_taken"] == 16
    assert circuit.provenance["missed"] > 0
