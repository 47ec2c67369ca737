"""The form of a behaviour file: what may stand in it, as pydantic checks it and its JSON Schema tells editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from acdc.tasks.files.forms import AbstractForm, MetricName, wrong
from acdc.tasks.pairs import AnswersAs
from acdc.tasks.task import NAME

T = TypeVar("T")


def _text(value: object) -> object:
    if isinstance(value, str) and value:
        return value
    raise wrong("{key} is not a text", "a text of at least one character", "write it in quotes")


def _of_kind(*kinds: type, what: str, wanted: str, remedy: str) -> Callable[[T], T]:
    """A validator that takes values of these kinds only."""

    def check(value: T) -> T:
        if isinstance(value, kinds):
            return value
        raise wrong(what, wanted, remedy)

    return check


def _some(value: object) -> object:
    if value == []:
        raise wrong("{key} holds nothing", "at least one text", "write one")
    return value


def _place(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value):
        return int(value)
    raise wrong("{key} is not a place", "a whole number", "write -1 for the last token or leave it out")


def _task_name(name: str) -> str:
    if re.fullmatch(NAME, name):
        return name
    wanted = "letters, digits, '_', '-' and '.', the first a letter or digit"
    raise wrong("this name cannot be part of a folder's name", wanted, "rename it")


def _known_answers(value: object) -> object:
    if value in get_args(AnswersAs):
        return value
    wanted = (
        "one-token (each is one token), first-token (of several tokens the first is measured), first-difference (the "
        "first at which they differ) or whole (by the log probability of all their tokens)"
    )
    raise wrong("{key} says nothing known", wanted, "leave it out where every answer is one token")


def _known_template(value: object) -> object:
    if value == "chat":
        return value
    wanted, remedy = "chat (the tokenizer's own chat template)", "leave it out where prompts are put as they are"
    raise wrong("{key} says nothing known", wanted, remedy)


def _one_or_list(value: object) -> Literal["list", "one"]:
    return "list" if isinstance(value, list) else "one"


Text = Annotated[str, Field(min_length=1), BeforeValidator(_text)]
Words = Annotated[
    Annotated[Text, Tag("one")] | Annotated[list[Text], Field(min_length=1), Tag("list")],
    Discriminator(_one_or_list),
    BeforeValidator(_some),
]


class PromptForm(AbstractForm):
    """A pair of prompts; with slots, a template for such pairs."""

    clean: Text
    """Calls for the behaviour."""
    corrupt: Text
    """As long in tokens, but what the answer depends on has been changed."""
    answer: Words
    """The token that should come next, with its leading space; or a list of them."""
    distractor: Words
    """The token that must not come next; or a list of them."""
    position: Annotated[int, BeforeValidator(_place)] = -1
    """Counts the prompt's tokens; the token after it is predicted [-1, the last]."""
    template: Text | None = None
    """A name for prompts of the same wording."""


def _prompts(fewest: int) -> Any:
    """A list of prompts, or the path of a table of them."""
    wanted = "a list of prompts or the path of a .jsonl or .csv file"
    check = _of_kind(str, list, what="{key} is of the wrong kind", wanted=wanted, remedy=f"list at least {fewest}")
    kinds = Annotated[Text, Tag("one")] | Annotated[list[PromptForm], Tag("list")]
    return Annotated[kinds, Discriminator(_one_or_list), BeforeValidator(check)]


class VariationForm(AbstractForm):
    """An edge case: the behaviour in another surface, for which a circuit is tried too."""

    about: Text
    """What is other about it, in a sentence."""
    prompts: _prompts(2)  # type: ignore[valid-type]
    """At least 2 prompts, or the path of a .jsonl or .csv file from the folder of this file."""


_ROWS: dict[str, Any] = {
    "type": "array",
    "minItems": 2,
    "items": {"type": "object", "additionalProperties": {"type": "string"}},
}
_SLOTS: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "array", "minItems": 2, "items": {"type": "string"}}, _ROWS],
            },
        },
        _ROWS,
    ]
}
Variations = Annotated[
    dict[str, VariationForm],
    BeforeValidator(
        _of_kind(
            dict,
            what="{key} is of the wrong kind",
            wanted="a mapping of names to edge cases",
            remedy="write `NAME: {about: ..., prompts: [...]}`",
        )
    ),
]


class BehaviourForm(AbstractForm):
    """A behaviour, shown by pairs of prompts."""

    model_config = ConfigDict(title="acdc behaviour file")

    name: Annotated[Text, AfterValidator(_task_name)]
    """What it is called."""
    model: Text
    """A folder with a checkpoint (looked up beside this file), a shipped model, or a name on the Hugging Face hub."""
    metric: MetricName
    """What is measured."""
    prompts: _prompts(4)  # type: ignore[valid-type]
    """At least 4 prompts, or the path of a .jsonl or .csv file from the folder of this file."""
    about: Text | None = None
    """The behaviour in a sentence."""
    answers: Annotated[AnswersAs, BeforeValidator(_known_answers)] = "one-token"
    """How answers and distractors are measured: by their one token, the first of several, the first at which they
    differ, or whole, by all of them."""
    template: Annotated[Literal["chat"], BeforeValidator(_known_template)] | None = None
    """What prompts are put into: with `chat`, the tokenizer's own chat template, as what a user says; the answer is
    what the model says first. Left out, they are put as they are."""
    slots: Annotated[Any, WithJsonSchema(_SLOTS)] = None
    """Words for the names in braces, which make every prompt a template: for each name a list of words, or rows of
    words that go together."""
    spans: Annotated[list[Text], Field(min_length=1), BeforeValidator(_some)] | None = None
    """The slots at which edges are by position, if that is asked for (`acdc discover --positions slots`) [all]; what
    stands before each of them is a span too."""
    variations: Variations | None = None
    """Edge cases by their names."""
