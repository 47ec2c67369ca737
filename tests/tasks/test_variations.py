"""The edge cases of every built-in behaviour call for it still, and for another answer when they are corrupted."""

from __future__ import annotations

import re

import numpy as np
import pytest

from acdc import tasks
from acdc.tasks.builtin import antonyms, gender, succession
from acdc.tasks.builtin.addition import NUMBERS
from acdc.tasks.builtin.capitals import NOT_THE_LARGEST, PAIRS
from acdc.tasks.builtin.ioi import NAMES, RARE
from acdc.tasks.errors import BadPrompts
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.registry import BUILTIN
from acdc.tasks.task import Variation
from acdc.tasks.tokenisation import TextPair, Tokenizer
from tests.tasks.default_models import comes_with_the_package
from tests.tasks.test_builtin import WORDED, expected, words
from tests.tasks.tokenizers import tokenizer_for

WANTED = {
    "ioi": "order ABBA, order BABA, other templates, distractor name, repeated object, long gap, rare names",
    "periodic": "period 1, period 3, period 4, period 5, long, broken once, digits, mixed scripts",
    "addition": "words, zero-padded, swapped operands, ten or more, in a sentence, other notation",
    "greater_than": "century borders, year 00, year 99",
    "docstring": "3 arguments, 5 arguments, 6 arguments, types, order",
    "agreement": "two attractors, no attractor, plural attractor",
    "induction": "distance 4, distance 12, three rounds",
    "capitals": "questions, after an example, another capital, not the largest city, country asked",
    "gender": "possessive, reflexive, bystander, relatives, rare names",
    "antonyms": "no example, many examples, backwards, nouns, verbs",
    "colours": "first asked, second asked, three things, long gap, owners, rare colours",
    "succession": "one shown, over the end, backwards, every other, ordinals, letters",
}
COLOUR_OF = r"colou?r of (?:the )?(?P<thing>\w+)(?:'s hat)?(?: in the \w+)? is (?P<colour>\w+)"
TOLD = {
    "colour first": r"\ba (?P<colour>\w+) (?P<thing>\w+)",
    "short": r"[Tt]he (?P<thing>\w+) is (?P<colour>\w+)",
    "materials": r"[Tt]he (?P<thing>\w+) is made of (?P<colour>\w+)",
}
"""How the colours of things are told, by the variation."""
OTHER_KINDS = {
    "large numbers": (succession.LARGE,),
    "ordinals": (succession.ORDINALS,),
    "letters": (succession.LETTERS,),
    "short months": (succession.SHORT_MONTHS,),
    "figures": (succession.FIGURES,),
}
ALL = [(name, variation.name) for name in BUILTIN for variation in tasks.get(name).variations]


def drawn(variation: Variation, count: int = 20) -> list[TextPair]:
    assert isinstance(variation.prompts, TemplatePrompts)
    rng = np.random.default_rng(0)
    return [variation.prompts.draw(rng) for _ in range(count)]


def get(name: str, which: str) -> Variation:
    return next(variation for variation in tasks.get(name).variations if variation.name == which)


@pytest.fixture(scope="module", params=BUILTIN)
def task(request: pytest.FixtureRequest) -> tasks.Task:
    return tasks.get(request.param)


@pytest.mark.parametrize("name", WANTED)
def test_every_behaviour_has_the_edge_cases_that_are_known_of_it(name: str) -> None:
    assert set(WANTED[name].split(", ")) <= {variation.name for variation in tasks.get(name).variations}


@pytest.fixture(scope="module")
def tokenizer(task: tasks.Task) -> Tokenizer:
    return tokenizer_for(task)


def test_most_edge_cases_can_be_told_to_the_default_model(task: tasks.Task, tokenizer: Tokenizer) -> None:
    expressed = 0
    for variation in task.variations:
        try:
            expressed += len(variation.prompts.pairs(tokenizer, 4, np.random.default_rng(0))) == 4
        except BadPrompts:
            continue
    assert 2 <= len(task.variations) - 1 <= expressed


def test_edge_cases_say_in_a_sentence_what_is_different(task: tasks.Task) -> None:
    assert all(re.fullmatch(r"[A-Z0-9].*\.", variation.about) for variation in task.variations)


@pytest.mark.parametrize(("name", "which"), ALL)
def test_writing_a_filling_gives_the_prompt_that_it_is_of(name: str, which: str) -> None:
    variation = get(name, which)
    assert isinstance(variation.prompts, TemplatePrompts)
    slots = variation.prompts.slots
    assert slots is not None
    for pair in drawn(variation, 10):
        assert slots.write(dict(pair.wording.filling)) == pair


@pytest.mark.parametrize(("name", "which"), [pair for pair in ALL if pair[0] in WORDED])
def test_clean_prompts_call_for_their_answers_and_corrupt_ones_do_not(name: str, which: str) -> None:
    for pair in drawn(get(name, which)):
        assert asked_for(name, which, pair.clean, pair.scoring.position) == set(pair.answers), pair
        assert not set(pair.answers) & set(pair.distractors)
        if which not in ("year 00", "year 99"):  # where every later year, or every later century, is right anyway
            assert asked_for(name, which, pair.corrupt, pair.scoring.position) != set(pair.answers), pair


def asked_for(name: str, which: str, prompt: str, position: int) -> set[str]:
    """The right answers to a prompt, from its text alone."""
    seen = prompt.split() if name == "periodic" else words(prompt)
    match name, which:
        case "periodic", "unrelated start":
            return set(expected("periodic", " ".join(seen[2:])))
        case "periodic", "broken once":
            return {" " + following(seen[6:])}  # what comes after the second round
        case "periodic", _:
            return {" " + following(seen)}
        case "ioi", "distractor name":
            names = [word for word in seen if word in NAMES]
            return {" " + name for name in names[:3] if name != names[-1]}
        case "ioi", "rare names" | "initials":
            names = [word for word in seen if word in RARE or re.fullmatch("[A-Z]", word)]
            return {" " + name for name in names if names.count(name) == 1} if len(set(names)) == 2 else set()
        case "greater_than", "year 99":
            return {f" {int(seen[-4][:2]) + later}" for later in (1, 2, 3)} if seen[-4].endswith("99") else set()
        case "greater_than", _:
            start = int(next(word for word in seen if word.isdigit())[2:])
            return {f"{year:02}" for year in range(start + 1, 100)}
        case "docstring", _:
            head, _, body = prompt.partition('"""')
            signature = head.split("(")[1].split(")")[0].split(", ")
            arguments = [part.split(":")[0] for part in signature if part != "self"]
            documented = re.findall(r"param (\w+)", body)
            known = set(documented) == set(arguments[: len(documented)])
            return {" " + arguments[len(documented)]} if known else set()
        case "addition", "zero-padded":
            total = sum(int(word) for word in seen if word.isdigit())
            return {f" {total:02}", f" {total}"}
        case "addition", _:
            figures = [int(word) for word in seen if word.isdigit()]
            spelt = [NUMBERS.index(word) for word in seen if word in NUMBERS]
            return {f" {sum(figures)}"} if figures else {f" {NUMBERS[sum(spelt)]}"}
        case "capitals" | "gender" | "antonyms" | "colours" | "succession", _:
            return {" " + word for word in linked(name, which, prompt)}
    return set(expected(name, prompt, position))


def linked(name: str, which: str, prompt: str) -> list[str]:
    """The right answers of the tasks whose words go together, without their space."""
    seen = words(prompt)
    match name, which:
        case "capitals", _:
            capitals = dict((*PAIRS, *NOT_THE_LARGEST.rows))
            if which == "country asked":
                return [country for country, capital in capitals.items() if capital in seen]
            return [capitals[word] for word in seen if word in capitals]
        case "gender", _:
            named = dict((*gender.NAMES.rows, *gender.RARE.rows, *gender.RELATIVES.rows, *gender.TITLED.rows))
            ways = {"possessive": ("her", "his"), "reflexive": ("herself", "himself")}
            return [ways.get(which, ("she", "he"))[named[word] == "male"] for word in seen if word in named][:1]
        case "antonyms", _:
            rows = {"nouns": antonyms.NOUNS, "verbs": antonyms.VERBS}.get(which, antonyms.ADJECTIVES).rows
            pairs = {b: a for a, b in rows} if which == "backwards" else dict(rows)
            return [pairs[word] for word in seen if word in pairs][-1:]
        case "colours", _:
            told = dict(match.group("thing", "colour") for match in re.finditer(TOLD.get(which, COLOUR_OF), prompt))
            return [told[[word for word in seen if word in told][-1]]]
        case "succession", _:
            kinds = OTHER_KINDS.get(which, succession.KINDS)
            *_, last = (word for word in seen if any(word in kind for kind in kinds))
            kind = next(kind for kind in kinds if last in kind)
            return [kind[(kind.index(last) + {"backwards": -1, "every other": 2}.get(which, 1)) % len(kind)]]
    raise AssertionError(name)


def following(seen: list[str]) -> str:
    """What continues a sequence with its shortest period."""
    period = next(p for p in range(1, len(seen)) if all(a == b for a, b in zip(seen, seen[p:], strict=False)))
    return seen[-period]


def test_the_third_person_makes_no_difference_to_who_gives() -> None:
    for pair in drawn(get("ioi", "distractor name")):
        assert len(pair.answers) == 2
        assert words(pair.clean).count(pair.distractors[0].strip()) == 2


def test_orders_of_ioi_differ_in_who_is_named_first() -> None:
    for order, number in (("order ABBA", 1), ("order BABA", 0)):
        for pair in drawn(get("ioi", order)):
            names = [word for word in words(pair.clean) if word in NAMES]
            assert names[number] == names[2]


def test_prompts_of_the_shipped_models_fit_into_their_context(task: tasks.Task, tokenizer: Tokenizer) -> None:
    longest_of = {"everyday-4l": 64, "periodic-2l": 48, "siit-lookup-3l": 16, "siit-pick-3l": 16}
    longest = longest_of.get(task.model, 12 if comes_with_the_package(task.model) else 2048)
    for variation in task.variations:
        assert all(len(tokenizer.encode(pair.clean)) <= longest for pair in drawn(variation, 10))
