"""Which prompts a model gets right, and discovery without the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import acdc
from acdc import problem as problem_module
from acdc import tasks
from acdc.correctness import Right, correct, drawn, hardly_done
from acdc.errors import UnmeasurableBehaviour
from acdc.graphs.model import Model
from acdc.problem import Problem
from acdc.problems import problems
from acdc.provenance import Provenance
from acdc.settings import Edges, Setup
from acdc.tasks.errors import BadPrompts
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.pairs import ScoredPosition, TextPair
from acdc.tasks.prompts import AbstractPromptSource, PromptPairs, TemplatePrompts
from acdc.tasks.token_ids import write
from tests.acdc.behaviours import behaviour, rescored
from tests.checkpoints import Checkpoints


def task(source: AbstractPromptSource) -> tasks.Task:
    return tasks.Task("mine", tasks.About("Says what the model says."), "nowhere", "logit_difference", source)


def listed(model: Model, right: Sequence[bool]) -> tasks.Task:
    """Prompts that the model gets right or wrong as told: where it is wrong, answer and distractor are exchanged."""
    pairs = behaviour(model, [5] * len(right)).pairs
    words = [
        (pair.answers[:1], pair.distractors[:1])[:: 1 if is_right else -1]
        for pair, is_right in zip(pairs, right, strict=True)
    ]
    prompts = tasks.TokenPrompts(
        [pair.clean for pair in pairs],
        [pair.corrupt for pair in pairs],
        [answers for answers, _ in words],
        [distractors for _, distractors in words],
        [pair.position for pair in pairs],
    )
    return task(prompts)


def test_a_prompt_is_right_where_the_likeliest_token_is_an_answer_at_every_position(measurable: Problem) -> None:
    pairs = measurable.pairs.pairs
    wrong = rescored(pairs[0], answers=pairs[0].distractors, distractors=pairs[0].answers)
    half = replace(pairs[1], scored=(*pairs[1].scored, ScoredPosition(0, (0,), (1,)), ScoredPosition(1, (0,), (1,))))
    problem = replace(measurable, pairs=replace(measurable.pairs, pairs=(wrong, half, pairs[2])))
    assert correct(problem).tolist() == [False, False, True]
    assert correct(measurable).all()
    assert Right.on(problem) == Right(1, 3)


def test_what_is_right_among_many_long_prompts_is_found_without_holding_their_runs(
    measurable: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = correct(replace(measurable))
    monkeypatch.setattr(problem_module, "LITTLE", 0)
    monkeypatch.setattr(problem_module, "prepare", None)  # that is what would hold them
    assert torch.equal(correct(replace(measurable)), wanted)


def test_rounding_of_the_shares_of_many_positions_makes_no_prompt_wrong(checkpoints: Checkpoints) -> None:
    model = checkpoints.model("llama", torch.float32)
    clean, corrupt = ((torch.arange(25) * step % 20)[None] for step in (3, 7))
    said = model.logits(clean)[0].argmax(-1).tolist()
    others = [[(token + 1) % 20] for token in said]
    prompts = tasks.TokenPrompts(clean.tolist(), corrupt.tolist(), [[[one] for one in said]], [others], [range(25)])
    pairs = prompts.pairs(None, 1, np.random.default_rng(0))
    assert correct(Problem(model, pairs, LogitDifference())).tolist() == [True]


def test_logits_that_are_no_numbers_are_neither_right_nor_wrong(measurable: Problem) -> None:
    batch = next(iter(measurable.batches))
    nan = torch.full_like(batch.targets.reference, torch.nan)
    broken = replace(batch, targets=replace(batch.targets, reference=nan))
    problem = replace(measurable)
    problem.__dict__["_held"] = (broken,)
    with pytest.raises(UnmeasurableBehaviour, match="logits are not numbers: got NaN on 3 prompts"):
        correct(problem)


def test_a_model_that_is_right_on_fewer_than_half_of_the_prompts_is_doubted(llama: Model) -> None:
    for right, doubted in ((2, True), (4, False)):
        pairs = listed(llama, [index < right for index in range(6)]).build(None, 3, 0)
        every = PromptPairs((*pairs.discovery.pairs, *pairs.judgement.pairs))
        problem = Problem(llama, every, LogitDifference())
        found = hardly_done(Right.on(problem), problem)
        assert bool(found) == doubted
        if doubted:
            assert found[0].startswith(
                "the model hardly shows this behaviour: it is right on 2 of 6 prompts (33%), so a"
            )
            assert len(found[0].splitlines()) == 1


def test_a_model_that_is_as_often_right_without_any_of_its_edges_is_doubted(llama: Model) -> None:
    pairs = behaviour(llama, [5] * 4).pairs
    problem = Problem(llama, PromptPairs(pairs), LogitDifference())
    assert hardly_done(Right.on(problem), problem) == ()
    same = [replace(pair, corrupt=pair.clean) for pair in pairs]
    unchanged = Problem(llama, PromptPairs(tuple(same)), LogitDifference())
    (doubt,) = hardly_done(Right.on(unchanged), unchanged)
    assert doubt.startswith("the model is right on 4 of 4 prompts (100%) and without any of its edges on 4, so its")


def test_only_what_the_model_gets_right_is_left_of_listed_prompts(llama: Model) -> None:
    mixed = listed(llama, [True, False, True, True, False, True])
    every, some = (problems(mixed, llama, Setup(prompts=3, only_correct=only)) for only in (False, True))
    assert [Right.on(one) for one in some] == [Right(2, 2), Right(2, 2)]
    assert sum(Right.on(one).right for one in every) == 4
    assert [len(one.pairs) for one in every] == [3, 3]


def test_too_few_right_are_refused_with_how_many_there_are(llama: Model) -> None:
    mixed = listed(llama, [True, False, True, True, False, False])
    with pytest.raises(BadPrompts, match=r"gets too few prompts right: got 3 of 6, .*without --only-correct"):
        drawn(mixed, llama, Setup(prompts=3, only_correct=True))


class Drawn:
    """Draws a prompt of four random tokens, for which the model is asked what it says itself one time in `one_in`."""

    def __init__(self, model: Model, one_in: int, tokens: int) -> None:
        self.model, self.one_in, self.tokens = model, one_in, tokens
        self.made: dict[tuple[int, ...], TextPair] = {}

    def __call__(self, rng: np.random.Generator) -> TextPair:
        ids = tuple(rng.integers(self.tokens, size=3).tolist())
        if ids not in self.made:
            with torch.no_grad():
                best, other = self.model.logits(torch.tensor([ids]))[0, -1].topk(2).indices.tolist()
            scored = (
                ScoredPosition(2, (best,), (other,))
                if sum(ids) % self.one_in == 0
                else ScoredPosition(2, (other,), (best,))
            )
            self.made[ids] = write(ids, [*ids[:2], (ids[2] + 1) % self.tokens], [scored])
        return self.made[ids]


def test_templates_are_drawn_from_until_enough_are_right(llama: Model) -> None:
    source = TemplatePrompts(Drawn(llama, 3, 20))
    found = drawn(task(source), llama, Setup(prompts=6, only_correct=True))
    assert (len(found.discovery), len(found.judgement)) == (6, 6)
    every = source.pairs(None, 80, np.random.default_rng(0))
    right = [pair for pair in every.pairs if sum(pair.clean) % 3 == 0][:12]
    assert [*found.discovery.pairs, *found.judgement.pairs] == right, "the first right ones of those drawn anyway"


def test_drawing_ends_where_hardly_any_is_right(llama: Model) -> None:
    with pytest.raises(BadPrompts, match=r"too few prompts right: got \d of 64, wanted 4: half for discovery"):
        drawn(task(TemplatePrompts(Drawn(llama, 1000, 20))), llama, Setup(prompts=2, only_correct=True))


def test_drawing_ends_where_there_are_no_more_prompts(llama: Model) -> None:
    with pytest.raises(BadPrompts, match=r"too few prompts right: got \d+ of 2\d, wanted 24"):
        drawn(task(TemplatePrompts(Drawn(llama, 5, 3))), llama, Setup(prompts=12, only_correct=True))


def test_the_record_says_how_many_are_right_and_evaluation_leaves_the_others_out_again(llama: Model) -> None:
    mixed = listed(llama, [True, False, True, True, False, True, True])
    every = acdc.discover(
        mixed, llama, method="exact", goal=Edges(20), setup=Setup("kl", prompts=3).on(dtype="float64")
    )
    counts = [every.circuit.provenance["prompts"][side] for side in ("discovery", "judgement")]
    assert sum(side["right"] for side in counts) == round(every.faithfulness.accuracy.full * 3) + counts[0]["right"]
    assert [side["count"] for side in counts] == [3, 3]
    setup = Setup("kl", prompts=2, only_correct=True).on(dtype="float64")
    only = acdc.discover(mixed, llama, method="exact", goal=Edges(20), setup=setup)
    said = only.circuit.provenance["prompts"]
    assert (said["only_correct"], said["discovery"]["right"], said["judgement"]["right"]) == (True, 2, 2)
    assert Provenance.of(only.circuit).setup().only_correct
    assert not Provenance.of(every.circuit).setup().only_correct
    again = problems(mixed, llama, Provenance.of(only.circuit).setup())[1]
    assert f"sha256:{again.pairs.fingerprint()}" == said["judgement"]["hash"]
