"""Answers of several tokens by their summed log probability, against plain loops over the model's own logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import acdc
from acdc.algorithms.attribution import Attribution
from acdc.algorithms.greedy import GreedyPruning
from acdc.attacks.crossing import crossing
from acdc.attacks.diagnosis import diagnosis
from acdc.attacks.measuring import cases
from acdc.batch import Batching
from acdc.correctness import correct
from acdc.errors import BadSetting
from acdc.graphs.ablation import Ablation
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.judges.answer_form import answer_form
from acdc.judges.distance import distances
from acdc.judges.sensitivity import sensitivity
from acdc.problem import Problem
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import AbstractMetric, Accuracy, KLDivergence, LogitDifference, NegativeLogLikelihood, metric
from acdc.tasks.pairs import ScoredPosition, TokenPair
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.whole import of_whole
from tests.acdc.algorithms.walks import ended
from tests.acdc.behaviours import TEXT

WHOLE = metric("log_probability_difference")
EVERY = [WHOLE, NegativeLogLikelihood(), KLDivergence(), Accuracy()]
Words = tuple[int, ...]


@pytest.fixture(scope="module")
def asked(measurable: Problem) -> list[tuple[TokenPair, list[Words], list[Words]]]:
    """Prompts with what the model says next as answers, of one to three tokens, and with distractors."""
    found = []
    for index, pair in enumerate(measurable.pairs.pairs[:4]):
        said = greedy(measurable.model, pair.clean, 1 + index % 3)
        other = greedy(measurable.model, pair.corrupt, 2)
        answers = [said] if index < 3 else [said, (*other[:1], 3, 4)]
        distractors = [(11, 12), (13,)] if index % 2 else [(said[0], 14) if len(said) > 1 else (15, 16)]
        found.append((pair, answers, distractors))
    return found


@pytest.fixture(scope="module")
def whole(measurable: Problem, asked: list[tuple[TokenPair, list[Words], list[Words]]]) -> Problem:
    pairs = tuple(of_whole(TEXT, pair.clean, pair.corrupt, right, wrong) for pair, right, wrong in asked)
    return replace(measurable, pairs=PromptPairs(pairs), metric=WHOLE)


def greedy(model: Model, prompt: Words, count: int) -> Words:
    said = list(prompt)
    for _ in range(count):
        said.append(int(model.logits(torch.tensor([said]))[0, -1].argmax()))
    return tuple(said[len(prompt) :])


def log_probability(model: Model, prompt: Words, answer: Words) -> float:
    """As one does with any language model: prompt and answer in one forward, the answer's tokens looked up."""
    likely = model.logits(torch.tensor([prompt + answer])).log_softmax(-1)[0]
    return sum(float(likely[len(prompt) - 1 + at, token]) for at, token in enumerate(answer))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@torch.no_grad()
@pytest.mark.parametrize("size", [None, 2])
def test_the_model_is_measured_as_a_loop_over_its_logits_does(
    whole: Problem, asked: list[tuple[TokenPair, list[Words], list[Words]]], size: int | None
) -> None:
    both = [Circuit.full(whole.graph), Circuit.empty(whole.graph)]
    found = replace(whole, batching=Batching(size)).measure(both, [WHOLE, NegativeLogLikelihood()])
    for index, (pair, answers, distractors) in enumerate(asked):
        for circuit, prompt in enumerate((pair.clean, pair.corrupt)):
            right, wrong = (
                mean([log_probability(whole.model, prompt, one) for one in words]) for words in (answers, distractors)
            )
            assert found[0, circuit, index].item() == pytest.approx(right - wrong, abs=1e-9)
            assert found[1, circuit, index].item() == pytest.approx(-right, abs=1e-9)


@pytest.mark.parametrize("ablation", [Ablation.RESAMPLE, Ablation.MEAN_POSITIONAL])
def test_a_circuit_is_measured_at_every_token_of_the_answer_in_one_sequence(
    whole: Problem, asked: list[tuple[TokenPair, list[Words], list[Words]]], ablation: Ablation
) -> None:
    problem = replace(whole, ablation=ablation)
    some = [edge.name for edge in whole.graph.edges()]
    circuits = [Circuit.from_names(whole.graph, some[start::2]) for start in range(2)]
    found = problem.measure(circuits, EVERY)

    def alone(prompt: TokenPair, answer: Words) -> torch.Tensor:
        """KL, nll and accuracy at each position of prompt and answer but the last token, run as one sequence."""
        rows = tuple(
            replace(
                prompt,
                clean=prompt.clean + answer[:-1],
                corrupt=prompt.corrupt + answer[:-1],
                scored=(ScoredPosition(len(prompt.clean) - 1 + at, (token,), ((token + 1) % 20,)),),
            )
            for at, token in enumerate(answer)
        )
        by_one = replace(problem, pairs=PromptPairs(rows), metric=LogitDifference(), carried_from=problem.pairs)
        return by_one.measure(circuits, EVERY[1:])

    for index, (pair, answers, distractors) in enumerate(asked):
        right, wrong = ([alone(pair, one) for one in words] for words in (answers, distractors))
        nll = torch.stack([one[0].sum(-1) for one in right]).mean(0)
        difference = torch.stack([one[0].sum(-1) for one in wrong]).mean(0) - nll
        kl = torch.stack([one[1].mean(-1) for one in right]).mean(0)
        accuracy = torch.stack([one[2].amin(-1) for one in right]).amax(0)
        wanted = torch.stack([difference, nll, kl, accuracy])
        torch.testing.assert_close(found[..., index], wanted, rtol=0, atol=1e-9)


def test_it_is_right_where_the_model_says_the_whole_answer(whole: Problem) -> None:
    assert correct(whole).tolist() == [True] * 4
    first, second, *others = whole.pairs.pairs[1].scored
    pairs = PromptPairs((replace(whole.pairs.pairs[1], scored=(first, replace(second, answers=(17,)), *others)),))
    assert correct(replace(whole, pairs=pairs)).tolist() == [False]
    for case in cases(whole, Circuit.full(whole.graph), "here"):
        assert case.model.right
        assert case.circuit.right
        assert case.kl == pytest.approx(0, abs=1e-9)


def test_scores_add_up_over_tokens(whole: Problem) -> None:
    edges = list(whole.graph.edges())

    def scores(problem: Problem) -> torch.Tensor:
        found = ended(Attribution().walk(problem)).scores
        return torch.tensor([found[edge] for edge in edges], dtype=torch.float64)

    wanted = torch.zeros(len(edges), dtype=torch.float64)
    for pair in whole.pairs.pairs:
        count = sum(not one.before for one in pair.scored if one.distractors)
        for one in pair.scored:
            clean, corrupt = pair.clean + one.before, pair.corrupt + one.before
            [token] = one.answers or one.distractors
            scored = ScoredPosition(one.position, (token,), ((token + 1) % 20,))
            alone = TokenPair(clean, corrupt, (scored,), TEXT)
            share = 1 / len(pair.answer_rows) if one.answers else -1 / count
            by_token = replace(whole, pairs=PromptPairs((alone,)), metric=NegativeLogLikelihood())
            wanted += scores(by_token) * share / len(whole.pairs)
    torch.testing.assert_close(scores(whole), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("measured", [WHOLE, KLDivergence()], ids=lambda one: one.name)
def test_pruning_decides_by_what_is_measured(whole: Problem, measured: AbstractMetric) -> None:
    problem = replace(whole, metric=measured, pairs=whole.pairs.select([1, 2]))
    kept = ended(GreedyPruning(0.2).walk(problem)).circuit
    one_by_one = ended(GreedyPruning(0.2, batch=1).walk(problem)).circuit
    assert 0 < len(kept) < whole.graph.n_edges
    assert kept.edges == one_by_one.edges
    measured_ = problem.measure([Circuit.full(whole.graph), kept])[0]
    gaps = distances(problem, Circuit.full(whole.graph), [kept])
    assert gaps.tolist() == pytest.approx([float((measured_[1] - measured_[0]).abs().mean())])


def test_only_the_metrics_of_whole_answers_are_asked(whole: Problem) -> None:
    found = sensitivity(whole, Circuit.full(whole.graph))
    assert set(found.kept["resample"]) == {one.name for one in EVERY}
    assert answer_form(whole) is None


@pytest.mark.parametrize("ask", [crossing, diagnosis])
def test_what_looks_at_one_position_only_says_so(whole: Problem, ask: Callable[..., object]) -> None:
    with pytest.raises(BadSetting, match=r"nor .* whose answers are measured whole"):
        ask(whole, Circuit.empty(whole.graph))


def test_problems_that_cannot_be_measured_are_refused(whole: Problem, measurable: Problem) -> None:
    with pytest.raises(BadPrompts, match="whole answers cannot be measured by this metric: got logit_difference"):
        replace(whole, metric=LogitDifference())
    with pytest.raises(BadPrompts, match="this metric is of whole answers only: got log_probability_difference"):
        replace(measurable, metric=WHOLE)
    with pytest.raises(BadPrompts, match="whole answers stand beside answers that are measured by one token"):
        replace(whole, pairs=PromptPairs((*whole.pairs.pairs, *measurable.pairs.pairs)))
    other = replace(whole.model)
    other.__dict__["ignores_padding"] = False
    with pytest.raises(BadPrompts, match="whole answers cannot be measured with this model"):
        replace(whole, model=other).measure([Circuit.full(whole.graph)])


FILE = """\
name: whole
model: everyday-4l
metric: log_probability_difference
answers: whole
slots: {noun: [key, dog, cup, car, book, boat], other: [lamps, cars, doors, trees]}
prompts:
  - {clean: "The {noun}s near the {other}", corrupt: "The {noun} near the {other}", answer: " are the",
     distractor: " is the"}
  - {clean: "The {noun} near the {other}", corrupt: "The {noun}s near the {other}", answer: " is the",
     distractor: " are the"}
"""


def test_a_behaviour_of_two_tokens_has_a_circuit(tmp_path: Path) -> None:
    (path := tmp_path / "whole.yaml").write_text(FILE)
    setup = acdc.Setup(prompts=4)
    found = acdc.discover(path, method="eap", goal=acdc.Edges(40), setup=setup)
    assert 0 < len(found.circuit) <= 40
    assert found.circuit.provenance["metric"]["name"] == "log_probability_difference"
    assert any("measured whole" in note for note in found.circuit.provenance["notes"])
    assert acdc.evaluate(found.circuit) == found.faithfulness
