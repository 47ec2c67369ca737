"""A problem measures circuits prompt by prompt, whatever the batches, and knows when there is nothing to find."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acdc.algorithms.attribution import Attribution
from acdc.batch import Batching
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.ablation import UNLEARNED, Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.errors import DifferentGraphs
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import Accuracy, KLDivergence, LogitDifference, Targets
from acdc.tasks.prompts import PromptPairs
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import behaviour, rescored
from tests.native_bridges import native_model


def some_circuits(problem: Problem) -> list[Circuit]:
    names = [edge.name for edge in problem.graph.edges()]
    return [Circuit.from_names(problem.graph, names[start::3]) for start in range(3)]


def test_metrics_come_in_the_order_of_the_prompts(measurable: Problem) -> None:
    circuits, metrics = some_circuits(measurable), [KLDivergence(), Accuracy(), LogitDifference()]
    values = measurable.measure(circuits, metrics)
    assert values.shape == (3, 3, 6)
    for index in range(len(measurable.pairs)):
        [prompt] = measurable.pairs.select([index]).batches()
        executor = Executor(measurable.model, prompt.clean, prompt.corrupt, prompt.scored_positions)
        reference = measurable.model.logits(prompt.clean)[:, int(prompt.scored_positions)]
        targets = Targets(prompt.answers, prompt.distractors, reference.detach())
        logits = executor.run(circuits)
        for row, metric in enumerate(metrics):
            torch.testing.assert_close(values[row, :, index], metric(logits, targets)[:, 0], rtol=0, atol=1e-9)


def test_without_metrics_the_problems_own_is_measured(measurable: Problem) -> None:
    circuits = some_circuits(measurable)
    own = measurable.measure(circuits)
    assert own.shape == (1, 3, 6)
    assert torch.equal(own, measurable.measure(circuits, [measurable.metric]))


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_batches_change_no_number(measurable: Problem, ablation: Ablation) -> None:
    whole = replace(measurable, ablation=ablation)
    split = replace(whole, batching=Batching(2))
    assert [len(batch.prompts) for batch in whole.batches] == [3, 3]
    assert [len(batch.prompts) for batch in split.batches] == [2, 1, 2, 1]
    circuits = some_circuits(whole)
    torch.testing.assert_close(split.measure(circuits), whole.measure(circuits), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ablation", UNLEARNED)
def test_padding_changes_no_number(llama: Model, ablation: Ablation) -> None:
    pairs = behaviour(llama, (9, 11, 10, 9, 11))
    padded = Problem(llama, pairs, LogitDifference(), ablation)
    apart = replace(padded, batching=Batching(1))
    assert [tuple(batch.clean.shape) for batch in padded.prompt_batches] == [(5, 11)]
    assert len(apart.prompt_batches) == 5
    circuits = some_circuits(padded)
    torch.testing.assert_close(padded.measure(circuits), apart.measure(circuits), rtol=0, atol=1e-9)
    scores = [ended(Attribution().walk(problem)).scores for problem in (padded, apart)]
    assert dict(scores[1]) == pytest.approx(dict(scores[0]), rel=0, abs=1e-9)


def test_ablations_differ(measurable: Problem) -> None:
    values = {round(replace(measurable, ablation=ablation).bounds[1], 6) for ablation in UNLEARNED}
    assert len(values) == len(UNLEARNED)


def test_bounds_are_the_means_of_the_whole_model_and_of_the_corrupt_run(measurable: Problem) -> None:
    clean, corrupt = [], []
    for pair in measurable.pairs.pairs:
        logits = measurable.model.logits(torch.tensor([pair.clean, pair.corrupt]))[:, pair.position].detach()
        difference = logits[:, list(pair.answers)].mean(1) - logits[:, list(pair.distractors)].mean(1)
        clean.append(float(difference[0]))
        corrupt.append(float(difference[1]))
    assert measurable.bounds == pytest.approx((sum(clean) / 6, sum(corrupt) / 6), rel=0, abs=1e-9)


def test_normalised_is_0_without_edges_1_for_all_and_linear_between(measurable: Problem) -> None:
    full, none = measurable.bounds
    values = torch.tensor([none, full, (full + none) / 2, 2 * full - none], dtype=torch.float64)
    wanted = torch.tensor([0, 1, 0.5, 2], dtype=torch.float64)
    torch.testing.assert_close(measurable.normalised(values), wanted)


def test_a_circuit_of_another_model_is_refused(measurable: Problem) -> None:
    other = replace(measurable.graph, n_heads=2)
    with pytest.raises(DifferentGraphs):
        measurable.measure([Circuit.full(other)])


def test_corrupt_prompts_that_differ_only_after_the_scored_position_leave_nothing_to_measure(
    measurable: Problem,
) -> None:
    pairs = []
    for pair in measurable.pairs.pairs:
        read = pair.position + 1
        pairs.append(replace(pair, corrupt=pair.clean[:read] + pair.corrupt[read:]))
    blind = replace(measurable, pairs=PromptPairs(tuple(pairs)))
    with pytest.raises(UnmeasurableBehaviour, match=r"worsens the logit_difference of these prompts by only"):
        _ = blind.bounds


def test_a_change_that_cancels_over_the_prompts_is_noise(measurable: Problem) -> None:
    pairs = measurable.pairs.pairs
    swapped = tuple(replace(pair, clean=pair.corrupt, corrupt=pair.clean) for pair in pairs[:-1])
    noisy = replace(measurable, pairs=PromptPairs(pairs + swapped))
    with pytest.raises(UnmeasurableBehaviour, match="noise"):
        _ = noisy.bounds


def test_a_model_that_does_the_opposite_shows_no_behaviour(measurable: Problem) -> None:
    pairs = tuple(rescored(p, answers=p.distractors, distractors=p.answers) for p in measurable.pairs.pairs)
    full, none = measurable.bounds
    with pytest.raises(UnmeasurableBehaviour, match=rf"by only {none - full:.3g}".replace("+", r"\+")):
        _ = replace(measurable, pairs=PromptPairs(pairs)).bounds


def test_a_metric_to_be_lowered_is_measurable_too(measurable: Problem) -> None:
    full, none = replace(measurable, metric=KLDivergence()).bounds
    assert full == pytest.approx(0, abs=1e-9)
    assert none > 0.1


def test_a_single_prompt_can_be_measured(measurable: Problem) -> None:
    full, none = replace(measurable, pairs=measurable.pairs.select([0])).bounds
    assert full > none


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN_POSITIONAL])
def test_prompts_that_do_not_fit_into_memory_together_are_measured_and_scored_alike(
    measurable: Problem, ablation: Ablation
) -> None:
    roomy = replace(measurable, ablation=ablation)
    cramped = replace(roomy, batching=Batching(max_bytes=roomy._bytes_per_token * 8))
    assert len(cramped.batches) == len(cramped.pairs) > len(roomy.batches), "a batch holds one prompt"
    assert next(iter(cramped.batches)) is not next(iter(cramped.batches)), "batches are not kept"
    circuits = [Circuit.full(roomy.graph), Circuit.empty(roomy.graph)]
    assert torch.allclose(cramped.measure(circuits), roomy.measure(circuits), rtol=0, atol=1e-12)
    scores = [ended(Attribution().walk(problem)).scores for problem in (roomy, cramped)]
    assert dict(scores[1]) == pytest.approx(dict(scores[0]), rel=0, abs=1e-12)


@pytest.mark.parametrize("ablation", [Ablation.MEAN, Ablation.MEAN_POSITIONAL])
def test_a_prompt_measured_with_the_means_of_others_is_measured_as_among_them(
    measurable: Problem, ablation: Ablation
) -> None:
    every = replace(measurable, ablation=ablation)
    few = replace(every, pairs=every.pairs.select([4, 0]), carried_from=every.pairs)
    alone = replace(few, carried_from=None)
    circuits = [*some_circuits(every), Circuit.empty(every.graph)]
    torch.testing.assert_close(few.measure(circuits), every.measure(circuits)[..., [4, 0]], rtol=0, atol=1e-12)
    assert not torch.allclose(few.measure(circuits), alone.measure(circuits), rtol=0, atol=1e-6)


def test_prompts_longer_than_those_whose_means_they_need_are_refused(measurable: Problem) -> None:
    short, long = measurable.pairs.select([0]), measurable.pairs.select([1])
    problem = replace(measurable, pairs=long, carried_from=short, ablation=Ablation.MEAN_POSITIONAL)
    with pytest.raises(UnmeasurableBehaviour, match="11 tokens, but the prompts whose means"):
        problem.measure([Circuit.empty(problem.graph)])


def test_an_answer_that_the_model_cannot_give_is_refused() -> None:
    model = native_model("relu", d_vocab=64, d_vocab_out=5)
    pairs = behaviour(model, (5, 7))
    Problem(model, pairs, LogitDifference()).measure([Circuit.empty(model.graph)])
    wrong = PromptPairs(tuple(rescored(pair, distractors=(9,)) for pair in pairs.pairs))
    with pytest.raises(BadPrompts, match=r"(?s)no logit for an answer.*ids below 5"):
        Problem(model, wrong, LogitDifference()).measure([Circuit.empty(model.graph)])
