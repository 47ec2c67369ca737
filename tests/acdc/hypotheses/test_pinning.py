"""A counterexample is added where it belongs, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from acdc.errors import UnwritableOutput
from acdc.hypotheses.pinning import pinned
from acdc.hypotheses.reading import load
from acdc.tasks.pairs import Scoring, TextPair
from tests.acdc.hypotheses.files import HOLDS, write

PAIR = TextPair("A B A B A", "P Q P Q P", (" B",), (" Q", ' "#: \\'), Scoring(3))
LINE = '{clean: "A B A B A", corrupt: "P Q P Q P", answer: " B", distractor: [" Q", " \\"#: \\\\"], position: 3}'
OTHER = TextPair("C D C D C", "P Q P Q P", (" D",), (" Q",))

FORMS = {
    "block": HOLDS,
    "comments": "# first\n" + HOLDS.replace("{at_most: 6}", "{at_most: 6}  # six  ") + "\n  # behind\n# last",
    "no newline": HOLDS.rstrip("\n"),
    "in the middle": HOLDS.replace("task: periodic\n", "") + "\n\ntask: periodic\n",
    "windows": HOLDS.replace("\n", "\r\n"),
    "deeper": HOLDS.replace("  size: {at_most: 6}\n", "  size:\n      # no more\n      at_most: 6\n"),
    "braces": HOLDS[: HOLDS.index("claims:")] + "claims: {size: {at_most: 6}}  # all\n",
    "braces, many lines": HOLDS[: HOLDS.index("claims:")] + "claims: {\n  size: {at_most: 6},  # all\n  }\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_claim_is_added_and_every_other_line_stays(form: str, tmp_path: Path) -> None:
    text = FORMS[form]
    once = pinned(text, PAIR, 0.25)
    twice = pinned(once, OTHER, None)
    for before, after in ((text, once), (once, twice)):
        assert set(before.splitlines()) - set(after.splitlines()) <= {
            line for line in before.splitlines() if "claims: {" in line or "size: {at_most: 6}," in line
        }
    file = tmp_path / "test_x.acdc.yaml"
    file.write_bytes(twice.encode())
    *others, claim = load(file).claims
    assert [other.kind for other in others] == [one.kind for one in load(write(tmp_path / "before", text)).claims]
    assert (claim.kind, claim.bound.high) == ("counterexamples", 0.25)
    assert claim.prompts is not None
    assert claim.prompts.texts == (PAIR, OTHER)


def test_the_lines_added_are_those_a_person_would_write() -> None:
    assert pinned(HOLDS, PAIR, 0.25) == (
        HOLDS + f"  counterexamples:\n    at_most: 0.25\n    prompts:\n      - {LINE}\n"
    )


def test_a_prompt_is_pinned_once_and_a_new_bound_takes_the_place_of_the_old_one() -> None:
    once = pinned(HOLDS, PAIR, 0.25)
    assert pinned(once, PAIR, None) == once
    assert pinned(once, PAIR, 0.125) == once.replace("0.25", "0.125")
    reordered = pinned(HOLDS + f"  counterexamples:\n    prompts: [{LINE}]\n    at_most: 1  # nat\n", OTHER, 0.5)
    assert reordered.endswith('answer: " D", distractor: " Q"}]\n    at_most: 0.5  # nat\n')


def test_a_file_in_a_form_that_cannot_be_added_to_is_refused_with_what_to_add() -> None:
    odd = HOLDS[: HOLDS.index("claims:")] + "others: &all\n  size: {at_most: 6}\nclaims: *all\n"
    with pytest.raises(UnwritableOutput, match=r"add the prompt by hand, under claims\.counterexamples\.prompts: \{cl"):
        pinned(odd, PAIR, 0.25)
