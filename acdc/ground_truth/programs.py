"""The RASP programs that go by name: what is compiled, over which tokens and up to which length."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from acdc.errors import UnknownModel
from acdc.ground_truth.compiler import tracr_module

PREFIX = "tracr:"
NAMES = ("reverse", "proportion")


@dataclass(frozen=True)
class RaspProgram:
    """A RASP program (`tracr.rasp.rasp.SOp`), the tokens it reads, and how many of them at most."""

    expression: Any
    vocabulary: tuple[Hashable, ...]
    max_len: int
    causal: bool = False


def check_program(name: str) -> None:
    """Refuse a name that is no program's.

    Raises: UnknownModel, with the nearest names.
    """
    if name not in NAMES:
        close = get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
        hint = (
            f"did you mean {PREFIX}{close[0]}?" if close else f"known: {', '.join(PREFIX + known for known in NAMES)}"
        )
        raise UnknownModel(f"no model called {PREFIX + name!r}; wanted a RASP program that goes by name; {hint}")


def program(name: str) -> RaspProgram:
    """The program of that name.

    Raises: UnknownModel, MissingExtra.
    """
    from acdc.tasks.builtin import tracr_proportion, tracr_reverse

    check_program(name)
    library, rasp = tracr_module("tracr.compiler.lib"), tracr_module("tracr.rasp.rasp")
    if name == "reverse":
        return RaspProgram(library.make_reverse(rasp.tokens), tracr_reverse.LETTERS, tracr_reverse.LONGEST)
    share = library.make_frac_prevs(rasp.tokens == "x")
    return RaspProgram(share, tracr_proportion.LETTERS, tracr_proportion.LONGEST)
