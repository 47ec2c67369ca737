"""Slots: what may fill them, and the prompts that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from acdc.tasks.errors import BadPrompts, TaskError
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Rows, Slots, listed, numbered
from tests.tasks.neighbours import neighbours_of
from tests.tasks.toy_tokenizer import ToyTokenizer


def write(words: Mapping[str, str]) -> TextPair | None:
    """Two letters, the second of which is hidden if the mood says so."""
    if words["first"] == words["second"]:
        return None
    shown = words["first"] if words["mood"] == "short" else f"{words['first']} {words['second']}"
    return TextPair(shown, "x", (" y",), (" z",), wording=Wording.of(words))


SLOTS = Slots({"first": ("a", "b", "c"), "second": ("a", "b"), "mood": ("short", "long")}, write)
LONG = write({"first": "a", "second": "b", "mood": "long"})
assert LONG is not None


def test_a_word_can_be_changed_in_one_slot() -> None:
    changed = SLOTS.rewrite(LONG, "first", "c")
    assert changed is not None
    assert (changed.clean, dict(changed.wording.filling)["first"]) == ("c b", "c")


def test_a_filling_that_makes_no_prompt_is_none() -> None:
    assert SLOTS.rewrite(LONG, "second", "a") is None


@pytest.mark.parametrize(("slot", "word"), [("third", "a"), ("first", "d")])
def test_an_unknown_slot_or_word_is_refused(slot: str, word: str) -> None:
    with pytest.raises(TaskError, match=f"got '{slot}' with '{word}'"):
        SLOTS.rewrite(LONG, slot, word)


def test_neighbours_are_all_prompts_one_word_away() -> None:
    found = [(slot, word, pair.clean) for slot, word, pair in neighbours_of(SLOTS, LONG)]
    assert found == [("first", "c", "c b"), ("mood", "short", "a")]


def test_a_word_that_the_prompt_does_not_show_makes_no_neighbour() -> None:
    short = SLOTS.rewrite(LONG, "mood", "short")
    assert short is not None
    assert [(slot, word) for slot, word, _ in neighbours_of(SLOTS, short)] == [("first", "c"), ("mood", "long")]


def test_draws_take_every_filling_that_makes_a_prompt_equally_often() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(SLOTS.draw(rng).wording.filling for _ in range(800))
    assert len(drawn) == 8
    assert max(drawn.values()) < 2 * min(drawn.values())


def test_what_is_not_admitted_is_neither_drawn_nor_written() -> None:
    some = SLOTS.where(lambda words: words["first"] == "c")
    rng = np.random.default_rng(0)
    assert {some.draw(rng).clean[0] for _ in range(20)} == {"c"}
    assert some.write(dict(LONG.wording.filling)) is None


def test_slots_that_make_no_prompt_are_refused() -> None:
    with pytest.raises(TaskError, match=r"got 10,000 random fillings without one.*'first', 'second', 'mood'"):
        SLOTS.where(lambda words: False).draw(np.random.default_rng(0))


def test_more_prompts_than_there_are_fillings_are_refused_before_any_is_drawn() -> None:
    def never(words: Mapping[str, str]) -> TextPair | None:
        raise AssertionError("a prompt is written")

    prompts = TemplatePrompts.of(Slots(SLOTS.choices, never))
    with pytest.raises(BadPrompts, match=r"got 14 asked for, wanted at most 12; ask for at most 6 \(--prompts\)"):
        prompts.pairs(ToyTokenizer(), 14, np.random.default_rng(0))


def test_prompts_drawn_from_slots_know_them() -> None:
    prompts = TemplatePrompts.of(SLOTS)
    assert prompts.slots is SLOTS
    assert prompts.draw(np.random.default_rng(3)) == SLOTS.draw(np.random.default_rng(3))


def test_prompts_can_be_kept_to_some_fillings() -> None:
    long = TemplatePrompts.of(SLOTS).where(lambda words: words["mood"] == "long")
    rng = np.random.default_rng(0)
    assert all(" " in long.draw(rng).clean for _ in range(20))
    assert long.slots is not None
    assert long.slots.rewrite(LONG, "mood", "short") is None


def test_prompts_without_slots_are_kept_to_some_fillings_too() -> None:
    some = TemplatePrompts(SLOTS.draw).where(lambda words: words["first"] == "b")
    assert some.slots is None
    assert some.draw(np.random.default_rng(0)).clean[0] == "b"


def test_numbered_slots_are_listed_in_their_order() -> None:
    words = {**numbered("word", [str(index) for index in range(12)]), "wording": "w", "word 14": "too far"}
    assert listed("word", words) == [str(index) for index in range(12)]
    assert listed("other word", words) == []


def test_a_row_is_one_word_of_its_slot() -> None:
    rows = Rows("place", ("country", "capital"), (("France", "Paris"), ("Japan", "Tokyo")))
    assert rows.choices == ("France, Paris", "Japan, Tokyo")
    assert rows.words("Japan, Tokyo") == {"country": "Japan", "capital": "Tokyo"}


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ((("a", "b"),), "got 1, of which 1 are different"),
        ((("a", "b"), ("a", "b"), ("a", "c")), "got 3, of which 2 are different"),
        ((("a", "b"), ("c",)), r"got rows of \[1, 2\] words, wanted 2 in each"),
    ],
)
def test_rows_that_are_none_are_refused(rows: tuple[tuple[str, ...], ...], what: str) -> None:
    with pytest.raises(TaskError, match=what):
        Rows("place", ("country", "capital"), rows)


def test_words_of_several_tokens_are_left_out_where_two_others_are_left() -> None:
    toy = ToyTokenizer((" a", " b", " c"))
    narrowed = Slots(
        {"short": ("a", "bb", "c"), "long": ("aa", "bb", "c"), "row": ("a, b", "b, c", "a, bb")}, lambda words: None
    ).of_one_token(toy)
    assert narrowed.choices == {"short": ("a", "c"), "long": ("aa", "bb", "c"), "row": ("a, b", "b, c")}
