"""Tasks: what may be one, and how its prompts are split."""

from __future__ import annotations

import numpy as np
import pytest

from acdc.tasks.errors import BadPrompts, TaskError, UnknownMetric
from acdc.tasks.prompts import AbstractPromptSource, ListedPrompts, PromptPairs, TemplatePrompts
from acdc.tasks.task import About, Prompts, Task
from acdc.tasks.tokenisation import TextPair
from tests.tasks.toy_tokenizer import ToyTokenizer

DIGITS = tuple("0123456789")
TOY = ToyTokenizer((*DIGITS, *(" " + digit for digit in DIGITS)))


def draw(rng: np.random.Generator) -> TextPair:
    a, b, c = (int(digit) for digit in rng.choice(10, 3, replace=False))
    return TextPair(f"{a} {b} {c}", f"{b} {a} {c}", (f" {a}",), (f" {b}",))


def task(prompts: AbstractPromptSource, name: str = "mine", metric: str = "kl") -> Task:
    return Task(name, About("Does something."), "a-model", metric, prompts)


def listed(count: int) -> ListedPrompts:
    texts = tuple(TextPair(f"{digit} 1", f"{digit} 2", (" 3",), (" 4",)) for digit in DIGITS[:count])
    return ListedPrompts(texts, tuple(map(str, range(count))))


def clean(pairs: PromptPairs) -> set[tuple[int, ...]]:
    return {pair.clean for pair in pairs.pairs}


@pytest.mark.parametrize("seed", [0, 1])
def test_discovery_and_judgement_have_n_prompts_each_and_share_none(seed: int) -> None:
    prompts = task(TemplatePrompts(draw)).build(TOY, 20, seed)
    assert len(clean(prompts.discovery)) == len(clean(prompts.judgement)) == 20
    assert not clean(prompts.discovery) & clean(prompts.judgement)


def test_a_seed_gives_the_same_prompts_every_time() -> None:
    mine = task(TemplatePrompts(draw))
    prints = [mine.build(TOY, 5, seed).judgement.fingerprint() for seed in (3, 3, 4)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(("count", "n", "sizes"), [(10, 50, (5, 5)), (9, 50, (4, 5)), (10, 3, (3, 3)), (4, 2, (2, 2))])
def test_listed_prompts_are_split_in_half_and_capped(count: int, n: int, sizes: tuple[int, int]) -> None:
    prompts = task(listed(count)).build(TOY, n, 0)
    assert (len(prompts.discovery), len(prompts.judgement)) == sizes
    assert not clean(prompts.discovery) & clean(prompts.judgement)


@pytest.mark.parametrize(("count", "n"), [(3, 10), (10, 1), (10, 0), (0, 10)])
def test_fewer_than_two_prompts_a_side_are_refused(count: int, n: int) -> None:
    with pytest.raises(BadPrompts, match=r"there are too few prompts: .* wanted at least 2 for each"):
        task(listed(count)).build(TOY, n, 0)


def test_a_prompt_on_both_sides_is_refused() -> None:
    pairs = listed(4).pairs(TOY, 4, np.random.default_rng(0))
    with pytest.raises(BadPrompts, match="got 1 shared clean prompts"):
        Prompts(pairs.select([0, 1]), pairs.select([1, 2]))


@pytest.mark.parametrize("name", ["", "my task", "../up", "-x", "a/b"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(TaskError, match="rename the task"):
        task(listed(4), name=name)


def test_a_task_with_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UnknownMetric, match="got 'kll'"):
        task(listed(4), metric="kll")
