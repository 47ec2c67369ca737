"""Every built-in behaviour draws prompts that call for it, and corrupt twins that do not."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from importlib import import_module
from itertools import product

import numpy as np
import pytest

from acdc import tasks
from acdc.tasks.builtin import addition
from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.registry import BUILTIN
from acdc.tasks.tokenisation import TextPair, Tokenizer, tokenise
from tests.tasks.neighbours import neighbours_of
from tests.tasks.tokenizers import tokenizer_for

WORDED = [name for name in BUILTIN if name != "tracr_proportion"]
"""The tasks whose answers are words and not a number."""


def drawn(name: str, among: Combinations = Combinations.ALL, count: int = 200) -> list[TextPair]:
    rng = np.random.default_rng(0)
    draw = import_module(f"acdc.tasks.builtin.{name}").draw
    return [draw(rng) if among is Combinations.ALL else draw(rng, among) for _ in range(count)]


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+|\d+", text)


@pytest.fixture(scope="module", params=BUILTIN)
def task(request: pytest.FixtureRequest) -> tasks.Task:
    return tasks.get(request.param)


@pytest.fixture(scope="module")
def tokenizer(task: tasks.Task) -> Tokenizer:
    return tokenizer_for(task)


def test_the_default_models_tokenizer_expresses_every_prompt(task: tasks.Task, tokenizer: Tokenizer) -> None:
    prompts = task.build(tokenizer, 64, seed=0)
    assert (len(prompts.discovery), len(prompts.judgement)) == (64, 64)


def test_a_seed_fixes_the_prompts(task: tasks.Task, tokenizer: Tokenizer) -> None:
    first, again, other = (task.build(tokenizer, 8, seed=seed).discovery.fingerprint() for seed in (1, 1, 2))
    assert first == again != other


def test_every_task_says_what_it_is(task: tasks.Task) -> None:
    assert "->" in task.about.sentence
    assert task.name == "periodic" or task.name == "addition" or "20" in task.about.source


def test_prompts_have_several_templates(task: tasks.Task, tokenizer: Tokenizer) -> None:
    assert len({pair.text.wording.template for pair in task.build(tokenizer, 64, seed=0).discovery.pairs}) >= 3


def test_writing_a_filling_gives_the_prompt_that_it_is_of(task: tasks.Task) -> None:
    assert task.slots is not None
    for pair in drawn(task.name):
        assert pair.wording.filling
        assert task.slots.write(dict(pair.wording.filling)) == pair
        assert all(word in task.slots.choices[slot] for slot, word in pair.wording.filling)


def test_neighbours_differ_in_one_slot_and_are_prompts_too(task: tasks.Task, tokenizer: Tokenizer) -> None:
    assert task.slots is not None
    for pair in drawn(task.name, count=4):
        neighbours = list(neighbours_of(task.slots, pair))
        assert len(neighbours) >= 5
        for slot, word, changed in neighbours[:: len(neighbours) // 5]:
            assert set(changed.wording.filling) - set(pair.wording.filling) == {(slot, word)}
            assert replace(changed, wording=pair.wording) != pair
            assert tokenise(changed, tokenizer)[1] == ()
            if task.name in WORDED:
                assert set(expected(task.name, changed.clean, changed.scoring.position)) == set(changed.answers)


@pytest.mark.parametrize("name", WORDED)
def test_corrupt_prompts_do_not_end_in_the_clean_answer_as_a_rule(name: str) -> None:
    """What follows from the corrupt prompt is another answer, or none."""
    answered = [expected(name, pair.corrupt, pair.scoring.position) for pair in drawn(name)]
    clean = [pair.answers for pair in drawn(name)]
    assert not any(set(found) == set(right) for found, right in zip(answered, clean, strict=True))


@pytest.mark.parametrize("name", WORDED)
def test_clean_prompts_call_for_their_answers(name: str) -> None:
    for pair in drawn(name):
        assert set(expected(name, pair.clean, pair.scoring.position)) == set(pair.answers), pair


def expected(name: str, prompt: str, position: int = -1) -> tuple[str, ...]:
    """The right answers to a prompt, found from its text alone and not as the draws find them; () if there is none."""
    seen = words(prompt)
    match name:
        case "periodic":
            period = next(p for p in range(1, 6) if all(a == b for a, b in zip(seen, seen[p:], strict=False)))
            return (" " + seen[-period],)
        case "induction":
            before = [at for at, word in enumerate(seen[:-1]) if word == seen[-1]]
            return tuple(" " + seen[at + 1] for at in before)
        case "ioi":
            names = Counter(word for word in seen if word in import_module("acdc.tasks.builtin.ioi").NAMES)
            once = [word for word, times in names.items() if times == 1]
            return (" " + once[0],) if len(once) == 1 else ()
        case "greater_than":
            start = int(seen[-5][2:])
            return tuple(f"{year:02}" for year in range(start + 1, 100))
        case "docstring":
            arguments, documented = (
                prompt.split("(self, ")[1].split("):")[0].split(", "),
                re.findall(r"param (\w+)", prompt),
            )
            return (" " + arguments[len(documented)],) if documented == arguments[: len(documented)] else ()
        case "agreement":
            nouns = import_module("acdc.tasks.builtin.agreement").NOUNS
            subject = next(word for word in seen if word in nouns or word in nouns.values())
            singular, plural = ("was", "were") if seen[0] in ("Yesterday", "Last") else ("is", "are")
            return (" " + (singular if subject in nouns else plural),)
        case "addition":
            spelt = import_module("acdc.tasks.builtin.addition").NUMBERS
            if "=" in prompt:
                return (" " + str(sum(int(word) for word in seen if word.isdigit())),)
            return (" " + spelt[sum(spelt.index(word) for word in seen if word in spelt)],)
        case "capitals":
            capitals = dict(import_module("acdc.tasks.builtin.capitals").PAIRS)
            return tuple(" " + capitals[word] for word in seen if word in capitals)
        case "gender":
            female = import_module("acdc.tasks.builtin.gender").FEMALE
            male = import_module("acdc.tasks.builtin.gender").MALE
            return tuple(" she" if word in female else " he" for word in seen if word in (*female, *male))
        case "antonyms":
            opposites = dict(import_module("acdc.tasks.builtin.antonyms").ADJECTIVES.rows)
            return tuple(" " + opposites[word] for word in seen if word in opposites)[-1:]
        case "colours":
            told = dict(re.findall(r"colou?r of the (\w+) is (\w+)", prompt))
            return (" " + told[seen[-2]],)
        case "succession":
            kinds = import_module("acdc.tasks.builtin.succession").KINDS
            *_, last = (word for word in seen if any(word in kind for kind in kinds))
            kind = next(kind for kind in kinds if last in kind)
            return (" " + kind[(kind.index(last) + 1) % len(kind)],)
        case "tracr_reverse":
            return (" " + seen[::-1][position],)
        case "siit_lookup":
            return (f" {(int(seen[seen.index(seen[-1]) + 1]) + 1) % 10}",)
        case "siit_pick":
            return (f" {int(seen[1 + 'ABCD'.index(seen[0])]) + int(seen[5])}",)
        case "planted_hops":
            following = dict(zip(seen[1:-1:2], seen[2:-1:2], strict=True))
            return (" " + following[following[seen[-1]].upper()],)
        case "planted_sum":
            return (" " + str(sum("abcdef".index(word.lower()) for word in seen if len(word) == 1) % 6),)
        case "planted_copy" | "planted_detour":
            return tuple(" " + word.lower() for word in seen if len(word) == 1)
    raise AssertionError(f"no such task: {name}")


@pytest.mark.parametrize(
    "name",
    [
        *("periodic", "agreement", "addition", "capitals", "gender", "antonyms", "colours", "succession"),
        *("tracr_reverse", "planted_hops", "planted_sum", "siit_lookup", "siit_pick"),
    ],
)
def test_the_distractor_is_what_the_corrupt_prompt_calls_for(name: str) -> None:
    for pair in drawn(name):
        assert expected(name, pair.corrupt, pair.scoring.position) == pair.distractors


@pytest.mark.parametrize("name", ["capitals", "gender", "antonyms", "colours"])
def test_corrupt_prompts_keep_every_word_but_the_one_that_decides(name: str) -> None:
    for pair in drawn(name):
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert len(clean) == len(corrupt)
        assert sum(a != b for a, b in zip(clean, corrupt, strict=True)) == 1


def test_corrupt_prompts_of_succession_keep_all_but_days_months_and_numbers() -> None:
    kinds = import_module("acdc.tasks.builtin.succession").KINDS
    for pair in drawn("succession"):
        changed = [both for both in zip(words(pair.clean), words(pair.corrupt), strict=True) if len(set(both)) > 1]
        assert changed
        assert all(any({*both} <= {*kind} for kind in kinds) for both in changed)


def test_every_letter_of_the_corrupt_prompts_of_tracr_reverse_is_another() -> None:
    for pair in drawn("tracr_reverse"):
        assert all(a != b for a, b in zip(words(pair.clean), words(pair.corrupt), strict=True))


def test_the_clean_prompts_of_tracr_proportion_have_an_x_and_the_corrupt_ones_another_share() -> None:
    for pair in drawn("tracr_proportion"):
        clean, corrupt = (words(text)[: pair.scoring.position + 1].count("x") for text in (pair.clean, pair.corrupt))
        assert 0 < clean != corrupt
        assert pair.answers == (" <number>",)


def test_the_corrupt_prompts_of_periodic_repeat_at_another_distance() -> None:
    for pair in drawn("periodic"):
        clean, corrupt = words(pair.clean), words(pair.corrupt)
        assert len(clean) == len(corrupt)
        assert {len(set(clean)), len(set(corrupt))} == {2, 3}
        assert not set(clean) & set(corrupt)


def test_nothing_repeats_in_the_corrupt_prompts_of_induction() -> None:
    for pair in drawn("induction"):
        assert len(set(words(pair.corrupt))) == len(words(pair.corrupt))


def test_the_corrupt_prompts_of_ioi_name_three_other_people() -> None:
    names = set(import_module("acdc.tasks.builtin.ioi").NAMES)
    for pair in drawn("ioi"):
        clean, corrupt = set(words(pair.clean)) & names, set(words(pair.corrupt)) & names
        assert (len(clean), len(corrupt), clean & corrupt) == (2, 3, set())


def test_the_corrupt_prompts_of_greater_than_start_in_the_first_year() -> None:
    assert all(re.search(r"year \d\d01 to", pair.corrupt) for pair in drawn("greater_than"))


def test_docstring_answers_are_absent_from_the_corrupt_prompt() -> None:
    for pair in drawn("docstring"):
        assert pair.answers[0].strip() not in words(pair.corrupt)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("siit_lookup", (slice(0, 8, 2), slice(1, 8, 2), slice(8, 9))),
        ("siit_pick", (slice(0, 1), slice(1, 5), slice(5, 6), slice(0, 5))),
    ],
)
def test_every_part_of_the_corrupt_prompt_alone_changes_the_answer(name: str, parts: tuple[slice, ...]) -> None:
    for pair in drawn(name):
        for part in parts:
            mixed = words(pair.clean)
            mixed[part] = words(pair.corrupt)[part]
            assert expected(name, " ".join(mixed)) != pair.answers


@pytest.mark.parametrize("among", [Combinations.TRAINED, Combinations.HELD_OUT])
def test_addition_draws_only_what_is_admitted(among: Combinations) -> None:
    for pair in drawn("addition", among):
        figures = [word for word in words(pair.clean) if word.isdigit()]
        if figures:
            assert addition.held_out(*map(int, figures)) == (among is Combinations.HELD_OUT)


def test_every_sum_is_trained_in_one_order_at_least() -> None:
    held_out = {pair for pair in product(range(10), repeat=2) if addition.held_out(*pair)}
    assert 10 <= len(held_out) <= 20
    assert not held_out & {(second, first) for first, second in held_out}


def test_every_combination_is_either_trained_or_held_out() -> None:
    pairs = [(str(a), str(b)) for a in range(40) for b in range(40)]
    assert all(Combinations.TRAINED.admits(*pair) != Combinations.HELD_OUT.admits(*pair) for pair in pairs)
    assert all(Combinations.ALL.admits(*pair) for pair in pairs)
    assert 0.08 < sum(is_held_out(*pair) for pair in pairs) / len(pairs) < 0.12


def test_what_is_held_out_never_changes() -> None:
    assert [is_held_out("a", "b"), is_held_out("b", "a"), is_held_out("6", "9")] == [False, False, True]
