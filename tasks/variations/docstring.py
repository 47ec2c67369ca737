"""The edge cases of docstring: how many arguments there are, types, another order, and which argument is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.builtin.combinations import is_held_out
from tasks.builtin.docstring import ARGUMENTS, FUNCTIONS, NOUNS, SLOTS, draw
from tasks.builtin.vocabulary import words
from tasks.prompts import TemplatePrompts
from tasks.slots import Slots, listed, numbered
from tasks.task import Variation
from tasks.tokenisation import TextPair

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
            lines = (
                f"    :param {name}: {nouns[2 * place + 2]} {nouns[2 * place + 3]}\n" for place, name in enumerate(told)
            )
            head = f'def {words["function"]}({first}{", ".join(shown)}):\n    """{nouns[0]} {nouns[1]}\n\n'
            return f"{head}{''.join(lines)}    :param"

        asked = arguments[len(documented)]
        return TextPair(
            clean=method(arguments, [arguments[place] for place in documented]),
            corrupt=method(others, strangers),
            answers=(" " + asked,),
            distractors=tuple(" " + name for name in arguments if name != asked),
            template=f"{count} arguments",
            filling=tuple(words.items()),
        )

    told = len(documented)
    names = tuple(name for name in ARGUMENTS if name not in TYPES) if typed else ARGUMENTS
    return TemplatePrompts.of(
        Slots(
            {
                "function": FUNCTIONS,
                **numbered("argument", [names] * count),
                **numbered("other argument", [names] * count),
                **numbered("other documented", [names] * told),
                **numbered("noun", [NOUNS] * (2 + 2 * told)),
                **(numbered("type", [TYPES] * count) if typed else {}),
            },
            write,
        )
    )
