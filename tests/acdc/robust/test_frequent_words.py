"""Words that stand out are told, those that are as frequent elsewhere are not."""

from __future__ import annotations

from acdc.robust.frequent_words import typical
from acdc.tasks.pairs import TextPair, Wording


def prompts(*letters: str) -> list[TextPair]:
    return [
        TextPair("a", "b", (" c",), (" d",), wording=Wording(filling=(("letter", each), ("word", "the"))))
        for each in letters
    ]


def test_the_most_excessive_words_come_first() -> None:
    assert typical(prompts(*"GGGH"), prompts(*"ABGH")) == ("letter G",)
    assert typical(prompts(*"GGGHH"), prompts(*"AB")) == ("letter G", "letter H")


def test_what_stands_everywhere_is_not_typical() -> None:
    assert typical(prompts("A", "B"), prompts("A", "B")) == ()


def test_three_are_told_at_most() -> None:
    assert typical(prompts(*"EFGH"), prompts("A")) == ("letter E", "letter F", "letter G")


def test_no_prompts_have_nothing_in_common() -> None:
    assert typical([], prompts("A")) == ()
