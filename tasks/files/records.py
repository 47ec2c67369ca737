"""Records of named fields read from YAML, JSONL and CSV, every field with its line."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import yaml

from acdc.tasks.errors import PromptProblem, halves_of_characters, lone_surrogates, nearest

Value: TypeAlias = "str | int | float | bool | list[Field] | Record | None"


@final
@dataclass(frozen=True)
class Field:
    """A value and where it stands (`file:line`)."""

    value: Value
    place: str


@final
@dataclass(frozen=True)
class Record:
    """Named fields that stand together."""

    fields: Mapping[str, Field]
    place: str


@final
@dataclass(frozen=True)
class Columns:
    """The columns that a table must have and those it may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def check(self, header: Sequence[str], place: str) -> list[PromptProblem]:
        """Return a problem for every unknown, repeated and missing column."""
        known = (*self.required, *self.optional)
        return [
            *(_twice(name, place) for name, times in Counter(header).items() if times > 1),
            *(
                PromptProblem("unknown key", repr(name), "one of the known keys", nearest(name, known), place)
                for name in dict.fromkeys(header)
                if name not in known
            ),
            *(
                PromptProblem("missing key", "nothing", repr(name), f"add {name!r}", place)
                for name in self.required
                if name not in header
            ),
        ]


def describe(value: Value) -> str:
    """Name a value in a message."""
    match value:
        case "":
            return "an empty text"
        case str():
            return repr(value)
        case None:
            return "nothing"
        case list():
            return f"a list of {len(value)}"
        case Record():
            return "a mapping"
        case _:
            return json.dumps(value)


def read_yaml(
    path: Path, problems: list[PromptProblem], kind: str = "behaviour file", remedy: str = "start from `acdc init`"
) -> Record | None:
    """Return a YAML file's one mapping, or None and add why there is none.

    A plain scalar is the text as it is written (`no` is a word, `7` a digit); an empty one is None. `kind` and `remedy`
    are for messages: what the file should be, and where to begin with one.
    """
    text = _read_text(path, f"the {kind}", problems)
    if text is None:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = None if node is None else _yaml_field(node, path, problems).value
    except yaml.YAMLError as error:
        place, complaint = str(path), str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            place = f"{path}:{error.problem_mark.line + 1}"
            complaint = f"{error.context or ''} {error.problem or ''}"
        got = f"the complaint {' '.join(complaint.split())!r}"
        what, check = "this is not YAML", "put texts in quotes and check the indents"
        problems.append(PromptProblem(what, got, "valid YAML", check, place))
        return None
    except RecursionError:
        what, got = "this is nested too deep", "lists or mappings in each other without end"
        problems.append(PromptProblem(what, got, "lists and mappings that end", remedy, str(path)))
        return None
    if isinstance(value, Record):
        return value
    got = "an empty file" if node is None else describe(value)
    problems.append(PromptProblem(f"this is no {kind}", got, "`key: value` lines", remedy, str(path)))
    return None


def read_table(path: Path, columns: Columns, problems: list[PromptProblem]) -> list[Record]:
    """Return the rows of a .jsonl or .csv file; add every problem with how it is written, and with a header."""
    match path.suffix.lower():
        case ".jsonl":
            read = _read_jsonl
        case ".csv":
            read = _read_csv
        case suffix:
            got = repr(suffix) if suffix else "no ending"
            remedy = "list the prompts in the file itself or in one of these"
            problems.append(
                PromptProblem("prompts cannot be read from this kind of file", got, ".jsonl or .csv", remedy, str(path))
            )
            return []
    text = _read_text(path, "the file of prompts", problems)
    return [] if text is None else read(text, path, columns, problems)


def _read_text(path: Path, what: str, problems: list[PromptProblem]) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"the byte 0x{error.object[error.start]:02x}"
        problems.append(PromptProblem(f"{what} is not UTF-8", byte, "UTF-8 text", "save it as UTF-8", f"{path}:{line}"))
    except OSError as error:
        reason = f"{(error.strerror or str(error)).lower()!r} from the system"
        problems.append(
            PromptProblem(f"{what} cannot be read", reason, "a readable file", "correct the path", str(path))
        )
    return None


def _yaml_field(node: yaml.Node, path: Path, problems: list[PromptProblem]) -> Field:
    place = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.SequenceNode):
        return Field([_yaml_field(item, path, problems) for item in node.value], place)
    if not isinstance(node, yaml.MappingNode):
        return Field(None if node.tag == "tag:yaml.org,2002:null" else _whole(str(node.value), place, problems), place)
    fields: dict[str, Field] = {}
    for key, value in node.value:
        here = f"{path}:{key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else describe(_yaml_field(key, path, problems).value)
        name = _whole(name, here, problems)
        if name in fields:
            problems.append(_twice(name, here))
        fields[name] = Field(_yaml_field(value, path, problems).value, here)
    return Field(Record(fields, place), place)


def _read_jsonl(text: str, path: Path, columns: Columns, problems: list[PromptProblem]) -> list[Record]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            got = f"the complaint {str(error)!r}"
            if isinstance(error, json.JSONDecodeError):  # its own line number is that within the row, always 1
                got = f"the complaint {error.msg!r} at column {error.colno}"
            wanted = "one JSON object per line"
            problems.append(PromptProblem("this row is not JSON", got, wanted, "correct the row", place))
            continue
        row = _json_value(value, place, problems)
        if isinstance(row, Record):
            rows.append(row)
        else:
            wanted = 'an object such as {"clean": "...", ...}'
            problems.append(PromptProblem("this row is not an object", describe(row), wanted, "name its fields", place))
    return rows


class _Pairs(list[tuple[str, Any]]):
    """The names and values of a JSON object as they are written, a repeated name as often as it stands there."""


def _json_value(value: Any, place: str, problems: list[PromptProblem]) -> Value:
    match value:
        case _Pairs():
            fields: dict[str, Field] = {}
            for key, item in value:
                name = _whole(key, place, problems)
                if name in fields:
                    problems.append(_twice(name, place))
                fields[name] = Field(_json_value(item, place, problems), place)
            return Record(fields, place)
        case list():
            return [Field(_json_value(item, place, problems), place) for item in value]
        case str():
            return _whole(value, place, problems)
        case int() | float() | None:
            return value
        case _:
            raise AssertionError(f"json.loads returned a {type(value).__name__}")


def _twice(name: str, place: str) -> PromptProblem:
    return PromptProblem("a key is given twice", repr(name), "every key once", "remove one of the two", place)


def _whole(text: str, place: str, problems: list[PromptProblem]) -> str:
    """The text; a problem is added, and a question mark stands for it, for every half of a surrogate pair in it."""
    if not (halves := lone_surrogates(text)):
        return text
    problems.append(halves_of_characters(halves, place))
    return text.encode(errors="replace").decode()


def _read_csv(text: str, path: Path, columns: Columns, problems: list[PromptProblem]) -> list[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Record] = []
    header: list[str] | None = None
    while True:
        place = f"{path}:{reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            remedy = 'put texts with commas in quotes and write " as ""'
            problems.append(PromptProblem("this row is not CSV", str(error), "comma-separated values", remedy, place))
            return rows
        if cells is None:
            break
        if header is None:
            header = cells
            problems.extend(columns.check(header, place))
        elif len(cells) == len(header):
            # An empty cell of an optional column is a field that is not given.
            named = zip(header, cells, strict=True)
            fields = {name: Field(cell, place) for name, cell in named if cell or name in columns.required}
            rows.append(Record(fields, place))
        elif cells:
            got, wanted = f"{len(cells)} cells", f"{len(header)} as in the header"
            problems.append(
                PromptProblem("this row has too many or too few cells", got, wanted, "quote texts with commas", place)
            )
    if header is None:
        problems.append(
            PromptProblem(
                "the file of prompts is empty", "no header", ", ".join(columns.required), "write one", str(path)
            )
        )
    return rows
