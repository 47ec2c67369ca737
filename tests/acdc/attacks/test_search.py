"""The search finds where a circuit fails, within its budget, and finds the same again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from acdc.attacks import search as searching
from acdc.attacks.candidates import Substitution, divergence, ranked
from acdc.attacks.measuring import cases
from acdc.attacks.search import Search, search
from acdc.attacks.word_tokenizer import WordTokenizer
from acdc.errors import BadSetting
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.runs import TokenPairs
from acdc.graphs.execution.token_gradients import token_gradients
from acdc.ground_truth import planted
from acdc.ground_truth.known import Known
from acdc.problem import Problem
from acdc.progress import Progress
from acdc.tasks.builtin.planted_copy import LETTERS
from acdc.tasks.metrics import KLDivergence
from acdc.tasks.pairs import ChatTemplate, TextPair, Wording
from acdc.tasks.prompts import ListedPrompts, PromptPairs, TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.tokenisation import tokenise
from tests.acdc.attacks.planted_failures import SETUP, broken, true
from tests.tasks.chat_tokenizer import STARTED, chatting
from tests.tasks.neighbours import neighbours_of


@pytest.fixture(scope="module")
def chain() -> Known:
    """A model that follows letters."""
    return planted.known("chain", 0, dtype=torch.float64)


def found(known: Known, circuit: Circuit, budget: int = 48, seed: int = 0, **options: int) -> Search:
    return search(known.task, known.model, circuit, SETUP, budget=budget, seed=seed, **options)


def told(result: Search) -> list[tuple[str, str, float]]:
    return [(case.pair.clean, case.pair.corrupt, round(case.kl, 6)) for case in result.cases]


def test_a_circuit_that_lacks_a_true_edge_is_found_to_fail(chain: Known) -> None:
    result = found(chain, broken(chain))
    assert result.cases[0].fails
    assert result.cases[0].kl > 1
    assert result.failures > 0
    assert all(case.model.right for case in result.cases)
    values = [round(case.kl, 4) for case in result.cases]
    assert values == sorted(values, reverse=True)


def test_nothing_is_found_where_there_is_nothing(chain: Known) -> None:
    result = found(chain, true(chain))
    assert result.failures == 0
    assert result.cases[0].kl < 0.1


def test_cases_are_new_legal_prompts_measured_exactly(chain: Known) -> None:
    result, slots, tokenizer = found(chain, broken(chain)), chain.task.slots, chain.model.tokenizer
    assert slots is not None
    taken = {pair.clean for pair in chain.task.build(tokenizer, SETUP.prompts, SETUP.seed).discovery.pairs}
    tokens = []
    for case in result.cases:
        assert slots.write(dict(case.pair.wording.filling)) == case.pair
        pair, problems = tokenise(case.pair, tokenizer)
        assert pair is not None, problems
        assert pair.clean not in taken
        tokens.append(pair)
    assert len({(pair.clean, pair.corrupt) for pair in tokens}) == len(tokens)
    problem = Problem(chain.model, PromptPairs(tuple(tokens)), KLDivergence())
    for case, again in zip(result.cases, cases(problem, broken(chain), "search"), strict=True):
        assert case.kl == pytest.approx(again.kl, rel=0, abs=1e-9)
        assert case == replace(again, kl=case.kl)


def test_the_same_seed_finds_the_same_and_another_something_else(chain: Known) -> None:
    once = found(chain, broken(chain), seed=3)
    assert told(once) == told(found(chain, broken(chain), seed=3))
    assert told(once) != told(found(chain, broken(chain), seed=4))


def test_how_many_prompts_run_together_changes_nothing(chain: Known) -> None:
    at_once, one_by_one = (found(chain, broken(chain), 30, max_bytes=limit) for limit in (1 << 28, 1))
    assert told(at_once) == told(one_by_one)
    assert at_once.failures == one_by_one.failures


def test_prompts_to_do_without_are_not_tested(chain: Known) -> None:
    tokenizer, first = chain.model.tokenizer, found(chain, broken(chain))
    pairs = [tokenise(case.pair, tokenizer)[0] for case in first.cases]
    known = {pair.clean for pair in pairs if pair is not None}
    again = search(chain.task, chain.model, broken(chain), SETUP, budget=48, seed=0, without=known)
    assert again.tested == 48
    assert not known & {tuple(tokenizer.encode(case.pair.clean)) for case in again.cases}


@pytest.mark.parametrize("budget", [1, 7, 66])
def test_the_budget_is_spent_exactly(chain: Known, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def counted(problem: Problem, circuit: Circuit, found_by: str) -> object:
        tested.extend((pair.clean, pair.corrupt) for pair in problem.pairs.pairs)
        return cases(problem, circuit, found_by)

    monkeypatch.setattr(searching, "cases", counted)
    result = found(chain, broken(chain), budget)
    assert result.tested == len(tested) == budget
    assert len(set(tested)) == budget, "no prompt is tested twice"
    assert result.per_second == pytest.approx(budget / result.seconds)


def test_a_search_ends_where_there_are_no_more_prompts() -> None:
    known = planted.known("or", 0, dtype=torch.float64)

    def write(filling: Mapping[str, str]) -> TextPair:
        letter = filling["letter"]
        clean, corrupt = f"So of {letter} by on at", "So of to by on at"
        return TextPair(clean, corrupt, (f" {letter.lower()}",), (" the",), wording=Wording.of(filling))

    slots = Slots({"letter": LETTERS}, write)
    prompts = TemplatePrompts(lambda rng: write({"letter": LETTERS[rng.integers(len(LETTERS))]}), slots)
    task = replace(known.task, prompts=prompts)
    setup = replace(SETUP, prompts=2)
    result = search(task, known.model, Circuit.empty(known.model.graph), setup, budget=100, seed=0, keep=100)
    assert result.tested == len(LETTERS) - 2, "two are for discovery"


def test_words_are_ranked_by_the_gradient_slot_by_slot(chain: Known) -> None:
    problem = Problem(chain.model, chain.task.build(chain.model.tokenizer, 2, 0).judgement, KLDivergence())
    slots, parent = chain.task.slots, problem.pairs.pairs[0]
    assert slots is not None
    every = [Substitution(*changed) for changed in neighbours_of(slots, parent.text)]
    [order] = ranked(problem, broken(chain), WordTokenizer(chain.model.tokenizer, []), [parent], [every])
    assert sorted(each[:2] for each in order) == sorted(each[:2] for each in every), "all are of one length here"
    tokens = [torch.tensor([parent.clean]), torch.tensor([parent.corrupt])]
    prompts = TokenPairs(*tokens, torch.tensor([parent.position]))
    slopes = token_gradients(chain.model, prompts, broken(chain), divergence)

    def gain(each: Substitution) -> float:
        new, _ = tokenise(each.text, chain.model.tokenizer)
        assert new is not None
        total = 0.0
        for changed, old, slope in zip((new.clean, new.corrupt), tokens, (slopes.clean, slopes.corrupt), strict=True):
            total += float(((chain.model.embed(torch.tensor([changed])) - chain.model.embed(old)) * slope).sum())
        return total

    for slot in dict(parent.text.wording.filling):
        gains = [gain(each) for each in order if each.slot == slot]
        assert all(first >= second - 1e-3 for first, second in pairwise(gains))
    assert len({each.slot for each in order[:3]}) == 3, "slots take turns"


def test_whoever_waits_hears_how_far_it_is(chain: Known) -> None:
    seen: list[Progress] = []
    search(chain.task, chain.model, broken(chain), SETUP, budget=60, seed=0, watch=seen.append)
    assert [progress.total for progress in seen] == [60] * len(seen)
    assert seen[-1].done == 60
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)


def test_the_result_is_plain_json_without_the_time(chain: Known) -> None:
    result = found(chain, broken(chain), 20)
    data = result.to_json()
    assert data["budget"] == data["tested"] == 20
    assert data["seed"] == 0
    assert data == replace(result, seconds=1.0).to_json()


def test_a_task_without_slots_cannot_be_searched(chain: Known) -> None:
    listed = replace(chain.task, prompts=ListedPrompts((), ()))
    with pytest.raises(BadSetting, match=r"slots of the prompts of 'planted_hops'.*crossing"):
        search(listed, chain.model, broken(chain), SETUP, budget=10, seed=0)


@pytest.mark.parametrize(("budget", "seed", "keep"), [(0, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_a_search_without_budget_is_refused(chain: Known, budget: int, seed: int, keep: int) -> None:
    with pytest.raises(BadSetting, match=f"budget of {budget}, seed {seed} and {keep} cases"):
        found(chain, broken(chain), budget, seed, keep=keep)


def test_a_prompt_that_is_not_measured_as_it_is_written_is_ranked_as_it_is_measured() -> None:
    """The substitutions of a template have the length of their parent, whose text is what was measured."""
    tokenizer = chatting(STARTED, bos=True)

    def write(words: Mapping[str, str]) -> TextPair:
        return TextPair(
            f"a {words['x']}", "a e", ("d",), ("e",), wording=Wording(filling=tuple(words.items()), chat=ChatTemplate())
        )

    slots = Slots({"x": ("a", "b", "c", "d")}, write)
    hunt = object.__new__(searching._Hunt)
    hunt._slots, hunt._pieces = slots, WordTokenizer(tokenizer, ["a b"])
    parent, _ = tokenise(write({"x": "a"}), tokenizer)
    assert parent is not None
    substitutions = list(hunt._written(parent.text, [("x", word) for word in "abcd"]))
    assert [each.word for each in substitutions] == ["b", "c", "d"]
    for each in substitutions:
        assert len(tokenizer.encode(each.text.clean)) == len(parent.clean)
        assert tokenise(each.text, hunt._pieces)[0] is not None
