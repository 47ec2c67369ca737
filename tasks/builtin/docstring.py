"""Docstring arguments: `def f(self, load, size, files)` ... `:param load` ... `:param size` ... `:param` -> ` files`.

The corrupt prompt has other names in the signature and yet others in the docstring: nothing in the docstring says which
argument is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from acdc.tasks.builtin.combinations import Combinations, is_held_out
from acdc.tasks.builtin.vocabulary import words
from acdc.tasks.pairs import TextPair, Wording
from acdc.tasks.prompts import TemplatePrompts
from acdc.tasks.slots import Slots, listed, numbered
from acdc.tasks.task import About, Task, Variation

ARGUMENTS = words(
    """
    action api atom args base block body bound cache call case cell child client code color column command
    config content count data date default depth dict distance edge error event expr field file files filter
    first flag format frame func graph group handler header height host image index info input item key kind
    label last layer length level limit line link list load lock log mask match message method mode model
    module name node number object offset option order output owner parent path pattern point policy pool
    port position prefix project query range rate record region request result role root row run scale
    schema scope section seed series server session shape size source start state status step stream string
    style table tag target task test text time title token topic total tree type unit url user value vector
    version view weight width window word
    """
)
FUNCTIONS = words("apply build call check close copy create find get load make move open parse play read save send")
NOUNS = words(
    """
    oil piece crime art bank board boat book bridge chain city cloud coffee corn crowd dance desk dinner
    dress farm fish food garden gas gold grass hotel island king kitchen lake market metal money moon music
    ocean paint park plane plant river road rock salt school ship shop snow song storm street sugar summer
    train truck valley village wall war water wind winter wood
    """
)


def draw(rng: np.random.Generator, among: Combinations = Combinations.ALL) -> TextPair:
    """A method of three to five arguments, two of which are documented; the answer is the third.

    A combination is two neighbouring arguments, in their order. Held-out draws are those whose second and third
    argument are held out; trained draws have no held-out neighbours at all.
    """
    count = int(rng.integers(3, 6))
    while True:
        names = [ARGUMENTS[nth] for nth in rng.choice(len(ARGUMENTS), 2 * count + 2, replace=False)]
        arguments, others, strangers = names[:count], names[count : 2 * count], names[2 * count :]
        neighbours = list(pairwise(arguments))
        asked = neighbours if among is Combinations.TRAINED else neighbours[1:2]
        if all(among.admits(*pair) for pair in asked):
            break
    function = FUNCTIONS[rng.integers(len(FUNCTIONS))]
    nouns = [NOUNS[nth] for nth in rng.choice(len(NOUNS), 6)]
    pair = write(
        {
            "function": function,
            **numbered("argument", arguments),
            **numbered("other argument", others),
            **numbered("other documented", strangers),
            **numbered("noun", nouns),
        }
    )
    assert pair is not None  # the names differ
    return pair


def write(words: Mapping[str, str]) -> TextPair | None:
    """The prompt pair with these words, if all names differ; it has as many arguments as there are slots for them."""
    arguments, others = listed("argument", words), listed("other argument", words)
    strangers, nouns = listed("other documented", words), listed("noun", words)
    names = [*arguments, *others, *strangers]
    if len(set(names)) < len(names):
        return None
    return TextPair(
        clean=_method(words["function"], arguments, arguments[:2], nouns),
        corrupt=_method(words["function"], others, strangers, nouns),
        answers=(" " + arguments[2],),
        distractors=tuple(" " + name for name in arguments if name != arguments[2]),
        wording=Wording.of(words, f"{len(arguments)} arguments"),
    )


def _method(function: str, arguments: Sequence[str], documented: Sequence[str], nouns: Sequence[str]) -> str:
    return (
        f"def {function}(self, {', '.join(arguments)}):\n"
        f'    """{nouns[0]} {nouns[1]}\n\n'
        f"    :param {documented[0]}: {nouns[2]} {nouns[3]}\n"
        f"    :param {documented[1]}: {nouns[4]} {nouns[5]}\n"
        f"    :param"
    )


SLOTS = Slots(
    {
        "function": FUNCTIONS,
        **numbered("argument", [ARGUMENTS] * 5),
        **numbered("other argument", [ARGUMENTS] * 5),
        **numbered("other documented", [ARGUMENTS] * 2),
        **numbered("noun", [NOUNS] * 6),
    },
    write,
)


TYPES = words("list dict object")


def variations() -> tuple[Variation, ...]:
    """Every edge case of the task."""
    usual = TemplatePrompts(draw, SLOTS)
    return (
        Variation("3 arguments", "The method has 3 arguments.", usual.where(lambda words: "argument 4" not in words)),
        Variation("5 arguments", "The method has 5 arguments.", usual.where(lambda words: "argument 5" in words)),
        Variation("6 arguments", "The method has 6 arguments.", _methods(6)),
        Variation("types", "Every argument has a type: load: list.", _methods(3, typed=True)),
        Variation(
            "order", "The first two arguments are documented in the other order.", _methods(4, documented=(1, 0))
        ),
        Variation(
            "second argument", "One argument is documented, and the second asked for.", _methods(4, documented=(0,))
        ),
        Variation(
            "fourth argument",
            "Three arguments are documented, and the fourth asked for.",
            _methods(5, documented=(0, 1, 2)),
        ),
        Variation("no self", "The function is no method.", _methods(4, first="")),
        Variation(
            "new neighbours",
            "The answer never came after the argument before it in the shipped model's training.",
            usual.where(lambda words: is_held_out(words["argument 2"], words["argument 3"])),
        ),
    )


def _methods(
    count: int, *, documented: Sequence[int] = (0, 1), typed: bool = False, first: str = "self, "
) -> TemplatePrompts:
    """Methods of so many arguments, those at some places documented; the next is asked for."""

    def write(words: Mapping[str, str]) -> TextPair | None:
        arguments, others = listed("argument", words), listed("other argument", words)
        strangers, nouns, types = listed("other documented", words), listed("noun", words), listed("type", words)
        names = [*arguments, *others, *strangers]
        if len(set(names)) < len(names):
            return None

        def method(signature: Sequence[str], told: Sequence[str]) -> str:
            shown = [f"{name}: {kind}" for name, kind in zip(signature, types, strict=True)] if typed else signature
            lines = (f"    :param {name}: {nouns[2 * nth + 2]} {nouns[2 * nth + 3]}\n" for nth, name in enumerate(told))
            head = f'def {words["function"]}({first}{", ".join(shown)}):\n    """{nouns[0]} {nouns[1]}\n\n'
            return f"{head}{''.join(lines)}    :param"

        asked = arguments[len(documented)]
        return TextPair(
            clean=method(arguments, [arguments[nth] for nth in documented]),
            corrupt=method(others, strangers),
            answers=(" " + asked,),
            distractors=tuple(" " + name for name in arguments if name != asked),
            wording=Wording.of(words, f"{count} arguments"),
        )

    described = len(documented)
    names = tuple(name for name in ARGUMENTS if name not in TYPES) if typed else ARGUMENTS
    return TemplatePrompts.of(
        Slots(
            {
                "function": FUNCTIONS,
                **numbered("argument", [names] * count),
                **numbered("other argument", [names] * count),
                **numbered("other documented", [names] * described),
                **numbered("noun", [NOUNS] * (2 + 2 * described)),
                **(numbered("type", [TYPES] * count) if typed else {}),
            },
            write,
        )
    )


def task() -> Task:
    """The task `docstring`."""
    return Task(
        name="docstring",
        about=About(
            "Documents the next argument: def port(self, load, size, files) ... :param size ... :param -> files.",
            "Heimersheim & Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only transformer",
        ),
        model="everyday-4l",
        metric="logit_difference",
        prompts=TemplatePrompts(draw, SLOTS),
        variations=variations(),
    )
