"""What an attack found is told in plain words: the verdict first."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from acdc.attacks.found import AttackFindings, LeftOut
from acdc.errors import NotFinite
from acdc.report.attack import tables, verdict
from tests.acdc.attacks.an_attack import attack, case, found


def told(title: str = "periodic on periodic-2l") -> list[str]:
    """The lines of the whole report in 80 columns."""
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    for part in tables(attack(), title):
        console.print(part)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_verdict_comes_first_and_says_what_broke_it() -> None:
    assert told()[:6] == [
        "periodic on periodic-2l",
        "The circuit can be broken: on some prompts the model is right and it is wrong.",
        "The worst was found by search (KL 4.50). On its own prompts the KL is 0.50 at",
        "most.",
        "Variations that break it: short.",
        "The model itself does not do, which says nothing of the circuit: long.",
    ]


def test_a_circuit_that_nothing_broke_is_called_so_and_one_that_was_not_tried_is_not() -> None:
    unbroken = replace(found(), variations=None, search=None)
    assert str(verdict(replace(attack(), found=unbroken))).startswith(
        "Nothing broke the circuit: wherever the model was right, so was it; its worst KL was 0.25."
    )
    wrong = replace(attack(), found=AttackFindings(search=replace(attack().found.search, cases=())))
    assert str(verdict(wrong)).startswith("Nothing was found")


def test_a_circuit_that_strays_far_without_losing_an_answer_is_not_praised() -> None:
    strayed = case("A", 2.94, "search", circuit_right=True)
    search = replace(attack().found.search, cases=(strayed,))
    said = str(verdict(replace(attack(), found=AttackFindings(search=search))))
    assert said.startswith("The circuit loses no answer, but strays from the model: ")
    assert "its worst KL was 2.94" in said


def test_a_case_that_needs_no_repair_is_not_said_to_be_beyond_help() -> None:
    mild = replace((found().diagnosis or ())[1], repaired=True)
    console = Console(file=io.StringIO(), width=120, record=True)
    for part in tables(replace(attack(), found=AttackFindings(diagnosis=(mild,))), ""):
        console.print(part)
    text = console.export_text()
    assert "KL 0.25: near enough to the model to need no repair" in text
    assert "nothing helps" not in text


def test_a_circuit_that_its_own_prompts_break_is_told_so_first() -> None:
    first, *others = found().variations or ()
    assert first.measured is not None
    lossy = replace(first, verdict="breaks", measured=replace(first.measured, kept=0.25))
    broken = replace(found(), variations=(lossy, *others))
    said = " ".join(str(verdict(replace(attack(), found=broken))).split())
    assert "Of its own prompts, it does 25% of the 4 that the model does right: a variation on which it holds" in said


def test_a_circuit_that_is_wrong_on_its_own_prompts_is_told_so() -> None:
    search = attack().found.search
    assert search is not None
    own = replace(found(), search=replace(search, cases=(case("A", 9.0, "standard"),)))
    assert "The worst was found on its own prompts (KL 9.00)" in str(verdict(replace(attack(), found=own)))


def test_every_figure_is_in_its_row() -> None:
    lines = [" ".join(line.split()) for line in told()]
    for row in (
        "standard 100% of 4 75% of 4 0.10 0.40 0.50 holds",
        "long 25% of 4 0% of 1 3.00 8.90 9.00 model's limit",
        "odd - - - - - not expressible",
        "Crossing: 4 clean with 4 corrupt prompts, 16 pairs of one length; KL in nats",
        "mean 0.50 95% CI 0.25 to 0.75",
        "p99 2.00 95% CI 1.00 to 3.00",
        "first A clean prompt 8 0.75 0.50 to 1.00 2.50 3.00",
        "1 prompt A B A B A",
        "says the model ' B', the circuit ' Q'",
        "1 KL 4.50, then a0.h1->logits 2.50, input->a0.h1<v> 0.50: repaired",
        "2 KL 0.25, and nothing helps: not repaired by up to 12 edges",
        "necessity without the circuit the model keeps 12% (95% CI 0% to 25%) of the",
    ):
        assert row in lines, row
    whole = " ".join(lines)
    assert "3 of 10 prompts tested break the circuit (5 a second, budget 10, seed 7)" in whole
    assert "keeps: induction 50% (95% CI 25% to 75%); the model does not do agreement;" in whole
    assert "its tokenizer cannot express 1 other" in whole


def test_an_edge_that_several_repairs_need_is_told() -> None:
    twice = replace(found(), diagnosis=(found().diagnosis or ())[:1] * 2)
    console = Console(file=io.StringIO(), width=80, record=True)
    for part in tables(replace(attack(), found=twice), ""):
        console.print(part)
    assert "In the repairs of several: a0.h1->logits (2), input->a0.h1<v> (2)" in console.export_text()


def test_brackets_in_a_prompt_are_no_markup() -> None:
    odd = case("[bold]A[/bold]", 9.0, "search")
    worst = replace(found(), search=replace(attack().found.search, cases=(odd,)))
    console = Console(file=io.StringIO(), width=80, record=True, markup=True)
    for part in tables(replace(attack(), found=worst), ""):
        console.print(part)
    assert "[bold]A[/bold]" in console.export_text()


def test_a_part_that_failed_is_told_with_its_reason_and_a_variation_by_its_name() -> None:
    failed = replace(attack(), left_out=LeftOut({"crossing": "not under mean"}, {"search": NotFinite("KL is nan")}))
    console = Console(file=io.StringIO(), width=120, record=True)
    for part in tables(failed, ""):
        console.print(part)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert {"crossing skipped: not under mean", "search failed: KL is nan"} <= {*lines}
    varied = replace(found(), search=None, crossing=None)
    assert "found by the variation 'short'" in str(verdict(replace(attack(), found=_found_by(varied, "short"))))


def _found_by(found: AttackFindings, name: str) -> AttackFindings:
    [row] = [row for row in found.variations or () if row.name == name]
    assert row.measured is not None
    worst = tuple(replace(one, found_by=f"variation {name}") for one in row.measured.worst)
    return replace(found, variations=(replace(row, measured=replace(row.measured, worst=worst)),))
