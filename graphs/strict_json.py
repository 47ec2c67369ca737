"""JSON as a file of ours must be: every key once, numbers finite, characters whole."""

from __future__ import annotations

import json
import math
from typing import Any


class NotStrict(ValueError):
    """JSON that can be read in more than one way, or not be written again."""


def loads(text: str) -> Any:
    """What a JSON text says.

    Raises: NotStrict when it says something twice, or what is no number or no character; ValueError when it is no JSON.
    """
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise NotStrict("it is nested too deeply") from error
    if "\\u" in text:  # an escape can stand for half of a character
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ascii(error.object[error.start : error.end])
            raise NotStrict(f"a text in it holds half of a character (a lone surrogate), {half}") from error
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotStrict(f"the key {twice!r} is given twice")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict(f"{text} is no finite number")
    return number
