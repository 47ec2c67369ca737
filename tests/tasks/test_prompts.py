"""Prompt pairs: batches, selection, fingerprints, and the sources they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acdc.tasks.batches import PromptBatch
from acdc.tasks.errors import BadPrompts, TaskError
from acdc.tasks.pairs import ScoredPosition, TextPair, Wording
from acdc.tasks.prompts import ListedPrompts, PromptPairs, TemplatePrompts
from acdc.tasks.slots import Slots, numbered
from acdc.tasks.tokenisation import TokenPair
from tests.tasks.toy_tokenizer import ToyTokenizer

LETTERS = tuple("abcdefgh")
TOY = ToyTokenizer((*LETTERS, *(" " + letter for letter in LETTERS)))


Row = tuple[list[tuple[int, int]], int, list[int], int, str]


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Random prompts as plain values: (clean, corrupt) tokens, position, words, how many of them are answers, template.

    They become prompt pairs inside the tests, since checking their types draws random numbers of its own.
    """
    token = st.integers(0, 50)
    drawn: list[Row] = []
    for length in draw(st.lists(st.integers(1, 4), min_size=1, max_size=12)):
        both = draw(st.lists(st.tuples(token, token), min_size=length, max_size=length))
        words = draw(st.lists(token, min_size=2, max_size=6, unique=True))
        cut = draw(st.integers(1, len(words) - 1))
        drawn.append((both, draw(st.integers(0, length - 1)), words, cut, draw(st.sampled_from("xyz"))))
    return drawn


def built(drawn: list[Row]) -> PromptPairs:
    return PromptPairs(
        tuple(
            TokenPair(
                clean=tuple(clean for clean, _ in both),
                corrupt=tuple(corrupt for _, corrupt in both),
                scored=(ScoredPosition(position, tuple(words[:cut]), tuple(words[cut:])),),
                text=TextPair("clean", "corrupt", ("a",), ("b",), wording=Wording(template)),
            )
            for both, position, words, cut, template in drawn
        )
    )


def given_values(row: torch.Tensor) -> tuple[int, ...]:
    return tuple(value for value in row.tolist() if value >= 0)


def listed(pairs: Iterable[TextPair]) -> ListedPrompts:
    pairs = tuple(pairs)
    return ListedPrompts(pairs, tuple(f"mine.yaml:{line}" for line in range(10, 10 + len(pairs))))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(deadline=None)  # a busy machine is not a failure
@given(rows(), st.none() | st.integers(1, 5))
def test_batches_hold_every_prompt_once_unpadded_and_in_order(drawn: list[Row], size: int | None) -> None:
    pairs = built(drawn)
    batches = pairs.batches(size)
    indices = [index for batch in batches for index in batch.index.tolist()]
    assert sorted(indices) == list(range(len(pairs)))
    assert indices == sorted(indices, key=lambda index: (len(pairs.pairs[index].clean), index))
    for batch in batches:
        assert size is None or len(batch) <= size
        for row, index in enumerate(batch.index.tolist()):
            pair = pairs.pairs[index]
            assert tuple(batch.clean[row].tolist()) == pair.clean
            assert tuple(batch.corrupt[row].tolist()) == pair.corrupt
            assert batch.scored_positions[row].item() == pair.position
            assert given_values(batch.answers[row]) == pair.answers
            assert given_values(batch.distractors[row]) == pair.distractors


@settings(deadline=None)  # a busy machine is not a failure
@given(rows(), st.none() | st.integers(1, 5))
def test_padded_batches_hold_every_prompt_from_its_first_token_on_and_little_else(
    drawn: list[Row], size: int | None
) -> None:
    pairs = built(drawn)
    batches = pairs.batches(size, padded=True)
    assert sorted(index for batch in batches for index in batch.index.tolist()) == list(range(len(pairs)))
    assert len(batches) <= len(pairs.batches(size))
    for batch in batches:
        assert size is None or len(batch) <= size
        for row, index in enumerate(batch.index.tolist()):
            pair = pairs.pairs[index]
            for padded, tokens in (
                (batch.clean[row].tolist(), pair.clean),
                (batch.corrupt[row].tolist(), pair.corrupt),
            ):
                assert padded == [*tokens, *[tokens[-1]] * (len(padded) - len(tokens))]
            assert batch.scored_positions[row].item() == pair.position
    if size is None:
        for batch in batches:
            assert batch.clean.numel() <= 1.3 * sum(len(pairs.pairs[index].clean) for index in batch.index.tolist())


def test_prompts_of_nearly_one_length_share_a_padded_batch_and_others_do_not() -> None:
    text = TextPair("a", "b", ("c",), ("d",))
    lengths = [9, 10, 10, 40]
    pairs = PromptPairs(
        tuple(TokenPair((1,) * n, (2,) * n, (ScoredPosition(n - 1, (3,), (4,)),), text) for n in lengths)
    )
    assert [batch.clean.shape for batch in pairs.batches(padded=True)] == [(3, 10), (1, 40)]


@settings(deadline=None)  # a busy machine is not a failure
@given(rows())
def test_answer_columns_name_the_same_tokens(drawn: list[Row]) -> None:
    for batch in built(drawn).batches():
        columns = batch.columns()
        assert columns.tokens.min() >= 0
        for row in range(len(batch)):
            for before, after in ((batch.answers, columns.answers), (batch.distractors, columns.distractors)):
                assert [columns.tokens[row, c].item() for c in given_values(after[row])] == [*given_values(before[row])]
                assert ((before[row] < 0) == (after[row] < 0)).all()


@settings(deadline=None)  # a busy machine is not a failure
@given(rows(), st.data())
def test_selection_takes_prompts_in_the_order_asked_for(drawn: list[Row], data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, len(drawn) - 1)))
    pairs = built(drawn)
    chosen = pairs.select(indices)
    assert chosen.pairs == tuple(pairs.pairs[index] for index in indices)
    assert [pair.text.wording.template for pair in chosen.pairs] == [
        pairs.pairs[index].text.wording.template for index in indices
    ]
    assert chosen.texts() == tuple(pairs.texts()[index] for index in indices)


@settings(deadline=None)  # a busy machine is not a failure
@given(rows())
def test_a_fingerprint_is_blind_to_everything_but_what_model_and_metric_see(drawn: list[Row]) -> None:
    pairs = built(drawn)
    renamed = PromptPairs(tuple(replace(p, text=replace(p.text, wording=Wording("other"))) for p in pairs.pairs))
    assert renamed.fingerprint() == pairs.fingerprint()


@pytest.mark.parametrize("part", ["clean", "corrupt", "position", "answers", "distractors"])
def test_a_fingerprint_changes_with_each_thing_that_model_and_metric_see(part: str) -> None:
    pair = TokenPair((1, 2), (1, 3), (ScoredPosition(1, (4,), (5, 6)),), TextPair("a", "b", ("c",), ("d",)))
    value: dict[str, Any] = {part: 0 if part == "position" else (7, 8)}
    whole = part in ("clean", "corrupt")
    changed = replace(pair, **value) if whole else replace(pair, scored=(replace(pair.scored[0], **value),))
    assert PromptPairs((pair,)).fingerprint() != PromptPairs((changed,)).fingerprint()


def test_a_fingerprint_never_changes() -> None:
    pair = TokenPair((1, 2), (1, 3), (ScoredPosition(1, (4,), (5, 6)),), TextPair("a", "b", ("c",), ("d",)))
    assert PromptPairs((pair,)).fingerprint() == "16d6ebfd7d6b44de0fb52ad77caec9658381303371889da6cce7b5b77ff7736e"


def test_a_batch_of_less_than_one_prompt_is_refused() -> None:
    with pytest.raises(TaskError, match="got 0, wanted at least 1"):
        PromptPairs(()).batches(0)


def test_a_batch_moves_to_a_device_whole() -> None:
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    moved = PromptBatch(tokens, tokens, torch.arange(2), tokens, tokens, torch.arange(2)).to("meta")
    assert {getattr(moved, name).device.type for name in moved.__dataclass_fields__} == {"meta"}


def letters(generator: np.random.Generator) -> TextPair:
    """`a a` -> ` b`: 8 clean prompts; one draw in two has an answer of two tokens."""
    one, two, three = generator.choice(LETTERS, 3, replace=False)
    answer = f" {two}" if generator.random() < 0.5 else f" {two}{two}"
    return TextPair(f"{one} {one}", f"{three} {three}", (answer,), (f" {three}",))


def test_template_prompts_are_distinct_and_expressible() -> None:
    pairs = TemplatePrompts(letters).pairs(TOY, 8, rng())
    assert len({pair.clean for pair in pairs.pairs}) == 8
    assert all(len(pair.answers) == 1 for pair in pairs.pairs)


def test_the_same_seed_draws_the_same_prompts_and_another_seed_others() -> None:
    source = TemplatePrompts(letters)
    first = source.pairs(TOY, 5, rng(1)).fingerprint()
    assert source.pairs(TOY, 5, rng(1)).fingerprint() == first
    assert source.pairs(TOY, 5, rng(2)).fingerprint() != first


def test_templates_that_run_out_say_how_many_there_are_and_why() -> None:
    with pytest.raises(BadPrompts) as caught:
        TemplatePrompts(letters).pairs(TOY, 10, rng())
    (problem,) = caught.value.problems
    assert re.fullmatch(
        r"8 of 10 in 1,\d{3} draws, the others of which were rejected: .* x a prompt drawn before, .*", problem.got
    )
    assert problem.remedy == "ask for at most 4 prompts"


def test_templates_that_a_tokenizer_cannot_express_say_why_with_an_example() -> None:
    def hopeless(generator: np.random.Generator) -> TextPair:
        return TextPair(f"a{generator.integers(10**3)}", "b", (" a",), (" b",))

    with pytest.raises(BadPrompts) as caught:
        TemplatePrompts(hopeless).pairs(TOY, 4, rng())
    (problem,) = caught.value.problems
    assert "300 x clean and corrupt prompt differ in length (" in problem.got
    assert "tokens ['a', '" in problem.got
    assert problem.remedy == "use a model whose tokenizer writes them"


def worded(filling: Mapping[str, str]) -> TextPair | None:
    """Five words and five others; the answer is the first of them."""
    words = [filling[f"word {place}"] for place in range(1, 11)]
    if len(set(words)) < 10:
        return None
    sides = " ".join(words[:5]), " ".join(words[5:])
    return TextPair(*sides, (f" {words[0]}",), (f" {words[1]}",), wording=Wording.of(filling))


def test_where_words_of_several_tokens_leave_hardly_a_prompt_the_others_are_drawn_without_them() -> None:
    short = tuple("abcdefghijkl")
    long = tuple(letter * (2 + place) for place, letter in enumerate("mnopqrstuvwxyz" * 4))
    toy = ToyTokenizer(tuple(" " + letter for letter in short))
    source = TemplatePrompts.of(Slots(numbered("word", [short + long] * 10), worded))
    drawn = source.pairs(toy, 20, rng())
    assert len(drawn) == 20
    fitting = TemplatePrompts.of(Slots(numbered("word", [short] * 10), worded)).pairs(toy, 20, rng())
    assert {len(pair.clean) for pair in drawn.pairs} == {len(pair.clean) for pair in fitting.pairs}


def test_words_that_are_in_the_way_are_named() -> None:
    def copied(filling: Mapping[str, str]) -> TextPair:
        return TextPair("a b", "b a", (f" {filling['word 1']}",), (" a",), wording=Wording.of(filling))

    toy = ToyTokenizer((" a", " b"))
    source = TemplatePrompts.of(Slots(numbered("word", [tuple("mnopqrstuv")] * 2), copied))
    with pytest.raises(BadPrompts) as caught:
        source.pairs(toy, 4, rng())
    (problem,) = caught.value.problems
    named = re.search(r"the answer is not one token \(because of (.*?); such as ' .' -> ", problem.got)
    assert named is not None
    *words, others = named[1].split(", ")
    assert others == "2 others"
    assert len(set(words)) == 8
    assert set(words) < {repr(f" {letter}") for letter in "mnopqrstuv"}


def test_listed_prompts_are_all_used_in_an_order_of_the_seed() -> None:
    source = listed(TextPair(f"{x} a", f"{x} b", (" c",), (" d",)) for x in LETTERS)
    orders = [source.pairs(TOY, 100, rng(seed)).texts() for seed in (0, 0, 1)]
    assert set(orders[0]) == set(source.texts)
    assert orders[0] == orders[1] != orders[2]
    assert source.pairs(TOY, 3, rng(0)).texts() == orders[0][:3]


def test_every_problem_of_every_listed_prompt_is_told_with_its_place() -> None:
    source = listed(
        (
            TextPair("a b", "a c", (" d",), (" e",)),
            TextPair("a b", "a b c", (" zz",), (" e",)),
            TextPair("a  b", "a d", (" d",), (" e",)),
            TextPair("a b", "a d", (" d",), (" e",)),
        )
    )
    with pytest.raises(BadPrompts) as caught:
        source.pairs(TOY, 4, rng())
    assert str(caught.value).splitlines() == [
        "mine.yaml:11: clean and corrupt prompt differ in length: got 2 tokens ['a', ' b'] and 3 tokens ['a', ' b', "
        "' c'], wanted as many tokens in both; replace words only by words of as many tokens.",
        "mine.yaml:11: the answer is not one token: got ' zz' -> [' ', 'z', 'z'], wanted one token of its own after "
        "the clean prompt; use a word that this tokenizer writes as one token, or measure first tokens "
        "(answers: first-token), the first that differ (answers: first-difference) or whole answers (answers: whole).",
        "mine.yaml:12: clean and corrupt prompt differ in length: got 3 tokens ['a', ' ', ' b'] and 2 tokens ['a', "
        "' d'], wanted as many tokens in both; replace words only by words of as many tokens.",
        "mine.yaml:13: this clean prompt has been given before: got the tokens of mine.yaml:10 again, wanted every "
        "clean prompt once; remove one of the two.",
    ]


def test_prompts_and_places_align() -> None:
    with pytest.raises(TaskError, match="got 1 prompts and 0 places"):
        ListedPrompts((TextPair("a", "b", ("c",), ("d",)),), ())
