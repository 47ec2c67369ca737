"""A circuit on the edge cases of its task: what is the model's limit, what breaks, and what cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

import acdc
from acdc import tasks
from acdc.attacks.found import AttackFindings
from acdc.attacks.measuring import cases
from acdc.attacks.variations import STANDARD, VariationFigures, Varied, prompts_of, variations
from acdc.graphs.circuit import Circuit
from acdc.graphs.model import Model
from acdc.ground_truth import planted
from acdc.models import load_named
from acdc.problem import Problem
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.builtin.planted_sum import CAPITALS, SIZE, SUMMANDS
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import ListedPrompts, PromptPairs, TemplatePrompts
from acdc.tasks.slots import Slots
from acdc.tasks.task import About, Task, Variation
from acdc.tasks.tokenisation import tokenise

FEW = Setup(prompts=24)


def sums(changed: str) -> TemplatePrompts:
    """Sums of two letters, of which the corrupt prompt changes the first, the second, or both."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        first, second, third, fourth = (CAPITALS.index(words[summand]) for summand in SUMMANDS)
        third, fourth = third if changed != "second" else first, fourth if changed != "first" else second
        if (first + second - third - fourth) % SIZE == 0:
            return None
        sides = (
            f"So {words['word']} {CAPITALS[a]} of {CAPITALS[b].lower()} by"
            for a, b in ((first, second), (third, fourth))
        )
        answers = (f" {sum(pair) % SIZE}" for pair in ((first, second), (third, fourth)))
        return TextPair(*sides, *((answer,) for answer in answers), wording=Wording.of(words))

    words = {**dict.fromkeys(SUMMANDS, CAPITALS), "word": ("the", "on", "at", "to")}
    return TemplatePrompts.of(Slots(words, write))


@pytest.fixture(scope="module")
def adder() -> Model:
    return planted.named("planted-and:0").model


def posed(model: Model) -> Problem:
    return problems(tasks.get("planted_sum"), model, FEW)[1]


@pytest.fixture(scope="module")
def narrow() -> Task:
    """Its standard prompts never change the second letter."""
    cases = tuple(
        Variation(f"{changed} changed", f"The {changed} changed.", sums(changed)) for changed in ("first", "both")
    )
    return Task("narrow", About("Adds."), "planted-and:0", "logit_difference", sums("first"), variations=cases)


@pytest.fixture(scope="module")
def attacked(adder: Model, narrow: Task) -> dict[str, Varied]:
    found = acdc.discover(narrow, adder, setup=FEW)
    return by_name(variations(narrow, adder, found.circuit, FEW, prompts=32))


def by_name(rows: tuple[Varied, ...]) -> dict[str, Varied]:
    return {row.name: row for row in rows}


def figures(row: Varied) -> VariationFigures:
    assert row.measured is not None
    return row.measured


def test_a_circuit_that_was_found_where_one_letter_changes_breaks_where_both_do(attacked: dict[str, Varied]) -> None:
    broken = attacked["both changed"]
    assert broken.verdict == "breaks"
    assert broken.p_value is not None
    assert broken.p_value < 0.05
    measured = figures(broken)
    assert measured.model_accuracy == 1.0
    assert measured.circuit_accuracy < 0.7
    assert all(case.fails for case in measured.worst)
    assert measured.worst[0].found_by == "variation both changed"


def test_it_holds_on_other_prompts_of_the_same_kind(attacked: dict[str, Varied]) -> None:
    same = attacked["first changed"]
    assert (same.verdict, figures(same).circuit_accuracy) == ("holds", 1.0)
    assert same.p_value == 1.0


def test_the_standard_prompts_come_first_and_are_the_judgement_prompts(attacked: dict[str, Varied]) -> None:
    first = next(iter(attacked.values()))
    assert (first.name, figures(first).count, first.p_value) == (STANDARD, FEW.prompts, None)


def test_the_whole_model_holds_on_all_that_it_does(adder: Model, narrow: Task) -> None:
    rows = variations(narrow, adder, Circuit.full(adder.graph), FEW, prompts=16)
    assert [row.verdict for row in rows] == ["holds"] * 3
    assert all(figures(row).kl.max < 1e-6 for row in rows)


def test_a_circuit_that_does_nothing_does_not_hold_on_the_standard_prompts(adder: Model, narrow: Task) -> None:
    standard = variations(narrow, adder, Circuit.empty(adder.graph), FEW, prompts=16)[0]
    assert figures(standard).circuit_accuracy < 0.5
    assert (standard.verdict, standard.p_value) == ("breaks", None)


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(adder: Model, narrow: Task) -> None:
    circuit = Circuit.empty(adder.graph)
    first, again, other = (
        variations(narrow, adder, circuit, replace(FEW, seed=seed), prompts=16) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_rows_survive_being_kept_until_an_attack_goes_on(attacked: dict[str, Varied]) -> None:
    found = AttackFindings(tuple(attacked.values()))
    assert AttackFindings.from_state(json.loads(json.dumps(found.state()))) == found


def test_what_the_model_does_not_do_is_its_limit_and_no_failure_of_the_circuit() -> None:
    task = tasks.get("planted_copy")
    model = load_named(task.model, Setup())
    row = by_name(variations(task, model, Circuit.empty(model.graph), FEW, prompts=16))["a place later"]
    assert (row.verdict, row.p_value) == ("model's limit", None)
    assert "right on" in row.why


def with_case(adder: Model, narrow: Task, prompts: TemplatePrompts | ListedPrompts) -> Varied:
    task = replace(narrow, variations=(Variation("case", "A case.", prompts),))
    return variations(task, adder, Circuit.empty(adder.graph), FEW, prompts=16)[1]


def greek(count: int) -> ListedPrompts:
    texts = tuple(
        TextPair(f"So the A of b {letter}", "So the B of b by", (" 1",), (" 2",)) for letter in "αβγδε"[:count]
    )
    return ListedPrompts(texts, tuple(f"mine.yaml:{line}" for line in range(count)))


def test_what_the_tokenizer_cannot_write_is_said_with_its_reason(adder: Model, narrow: Task) -> None:
    row = with_case(adder, narrow, greek(5))
    assert (row.verdict, row.measured) == ("not expressible", None)
    assert "a word that the tokenizer does not know" in row.why
    assert AttackFindings.from_state(AttackFindings((row,)).state()).variations == (row,)


def test_fewer_prompts_than_asked_for_will_do(adder: Model) -> None:
    prompts = sums("both").where(lambda words: words["word"] == "the")  # 36 clean prompts at most
    found = prompts_of(Variation("case", "A case.", prompts), posed(adder), PromptPairs(()), 64, 0)
    assert not isinstance(found, str)
    assert len(found) == 32


def test_every_stream_of_a_seed_has_prompts_of_its_own(adder: Model) -> None:
    case = Variation("case", "A case.", sums("both"))
    one, two = (prompts_of(case, posed(adder), PromptPairs(()), 16, 0, draw) for draw in (0, 1))
    assert one != two
    assert one == prompts_of(case, posed(adder), PromptPairs(()), 16, 0)


def test_prompts_that_were_seen_are_left_out(adder: Model) -> None:
    case = Variation("case", "A case.", sums("both"))
    every = prompts_of(case, posed(adder), PromptPairs(()), 16, 0)
    assert not isinstance(every, str)
    assert prompts_of(case, posed(adder), every.select(range(6)), 16, 0) == every.select(range(6, 16))
    assert "only 1 of 16 prompts are new" in str(prompts_of(case, posed(adder), every.select(range(15)), 16, 0))


def test_prompts_that_are_longer_than_the_model_reads_are_no_prompts(adder: Model, narrow: Task) -> None:
    long = " by" * 20
    texts = tuple(
        TextPair(f"So {word} A of b{long}", f"So {word} B of b{long}", (" 1",), (" 2",))
        for word in ("the", "on", "at", "to")
    )
    row = with_case(adder, narrow, ListedPrompts(texts, ("here",) * 4))
    assert row.verdict == "not expressible"
    assert "not longer than the model and the means allow" in row.why


def test_under_mean_ablation_missing_edges_carry_the_means_of_the_judgement_prompts(adder: Model, narrow: Task) -> None:
    setup = replace(FEW, ablation="mean")
    circuit = Circuit.empty(adder.graph)
    _, judgement = problems(narrow, adder, setup)
    row = variations(narrow, adder, circuit, setup, prompts=8)[1]
    pairs = [tokenise(case.pair, adder.tokenizer)[0] for case in figures(row).worst]
    again = cases(judgement.on(PromptPairs(tuple(pair for pair in pairs if pair))), circuit, "again")
    assert [case.kl for case in again] == pytest.approx([case.kl for case in figures(row).worst])
    own = cases(replace(judgement, pairs=PromptPairs(tuple(pair for pair in pairs if pair))), circuit, "own means")
    assert [case.kl for case in own] != pytest.approx([case.kl for case in figures(row).worst])
