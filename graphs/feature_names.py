"""The names that a user gives features: how they are read from a file and a circuit's record, and how they are shown.

They stand beside the ids of features (`m0.f12 "subject name"`) and never in their place: nodes keep their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.graphs.errors import BadDictionary

NAMES = "names.json"
LONGEST = 60
"""A name of more characters finds no room beside an edge."""
_FEATURE = re.compile(r"(?<![\w.])[a-z_]+\d+[a-z]*\.f\d+(?!\w)")
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")

Names = Mapping[str, str]
"""By what a feature is called as a node, such as `m0.f12`."""


def read_names(path: Path, places: Mapping[str, int]) -> dict[str, str]:
    """The names in a file, by the features' ids; it has them by number, where they are of one place, or by id.

    `places` says how many features there are, by what stands before their numbers in ids (`m0`).

    Raises: BadDictionary when there is no such file or feature, or a name is no short line of text.
    """
    try:
        given = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadDictionary(
            f"the names in {path} cannot be read ({error}); wanted names of features by number as JSON, such as "
            '{"12": "subject name"}'
        ) from error
    if not isinstance(given, dict):
        raise BadDictionary(
            f"{path} holds {type(given).__name__}, wanted names of features by number, such as "
            '{"12": "subject name"}; write it so'
        )
    return {_feature(path, key, places): _name(path, key, name) for key, name in given.items()}


def names_in(record: Mapping[str, Any]) -> dict[str, str]:
    """The names that a circuit's provenance, or the record of its file, says its features have."""
    features = record.get("features")
    places = features if isinstance(features, Mapping) else {}
    return {
        f"{place}.f{number}": str(name)
        for place, said in places.items()
        if isinstance(said, Mapping) and isinstance(said.get("names"), Mapping)
        for number, name in said["names"].items()
    }


def with_names(text: str, names: Names) -> str:
    """The text with the name of every feature in it, in quotes, behind its id."""
    if not names:
        return text
    return _FEATURE.sub(lambda found: f'{found[0]} "{names[found[0]]}"' if found[0] in names else found[0], text)


def _feature(path: Path, key: str, places: Mapping[str, int]) -> str:
    first, count = next(iter(places.items()))
    place, _, number = key.rpartition(".f")
    if not place and len(places) == 1:
        place, number = first, key
    if _NUMBER.fullmatch(number) and int(number) < places.get(place, 0):
        return f"{place}.f{number}"
    if _NUMBER.fullmatch(key) and not place:
        raise BadDictionary(
            f"{path} names feature {key} and does not say of which layer; there are features of "
            f"{', '.join(places)}: write {first}.f{key}"
        )
    raise BadDictionary(
        f"{path} names a feature {key!r} that is not there; wanted a number below {count:,}, or one behind its place, "
        f"such as {first}.f0"
    )


def _name(path: Path, key: str, name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST or '"' in name:
        raise BadDictionary(
            f"{path} names feature {key} {name!r}; wanted a line of 1 to {LONGEST} characters without double quotes"
        )
    return name.strip()
