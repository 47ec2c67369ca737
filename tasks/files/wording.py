"""What pydantic finds wrong with a file, told as everything else is: place, what, got, wanted, remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from acdc.tasks.errors import PromptProblem, nearest
from acdc.tasks.files.records import Field, Record, Value, describe

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def plain(value: Value) -> Any:
    """A record as dictionaries, lists and texts."""
    match value:
        case Record(fields):
            return {name: plain(field.value) for name, field in fields.items()}
        case list():
            return [plain(field.value) for field in value]
        case _:
            return value


def problems(
    form: type[BaseModel], record: Record, error: ValidationError, *, keys: bool = True
) -> list[PromptProblem]:
    """Every mistake with its line; of one value, the first. Without `keys` none in which keys there are."""
    found: dict[str, PromptProblem] = {}
    for detail in error.errors():
        if not keys and detail["type"] in ("missing", "extra_forbidden"):
            continue
        path, field = _find(record, detail["loc"])
        absent = [str(detail["loc"][-1])] if detail["type"] == "missing" else []
        found.setdefault(".".join([*path, *absent]), _problem(form, detail, path, field))
    # a list with a mistake in it is also, as a whole, not the text that might stand in its place
    return [problem for path, problem in found.items() if not any(other.startswith(f"{path}.") for other in found)]


def _find(record: Record, loc: Sequence[int | str]) -> tuple[list[str], Field]:
    """The value that a location leads to, and its path; parts that name no key but a choice are passed over."""
    path: list[str] = []
    here = Field(record, record.place)
    for part in loc:
        match here.value:
            case Record(fields) if part in fields:
                here = fields[str(part)]
            case list(items) if isinstance(part, int) and part < len(items):
                here = items[part]
            case _:
                continue
        path.append(str(part))
    return path, here


def _problem(form: type[BaseModel], detail: ErrorDetails, path: list[str], field: Field) -> PromptProblem:
    what, got = f"{'.'.join(path)!r} is wrong", describe(field.value)
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    context: Mapping[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            inside = f" in {'.'.join(path)!r}" if path else ""
            return PromptProblem(f"missing key{inside}", "nothing", repr(key), f"add {key!r}", field.place)
        case "extra_forbidden":
            known = _keys(form, path[:-1])
            return PromptProblem("unknown key", repr(key), "one of the known keys", nearest(key, known), field.place)
        case "literal_error":
            wanted, remedy = context["expected"], nearest(str(field.value), _choices(context["expected"]))
            return PromptProblem(what, got, wanted, remedy, field.place)
        case "wrong":
            named = repr(next((part for part in reversed(path) if not part.isdecimal()), ""))
            what = context["what"].replace("{key}", named)
            return PromptProblem(what, got, context["wanted"], context["remedy"], field.place)
        case "bound" | "nothing":
            return PromptProblem(
                context["what"], _keys_of(field.value), context["wanted"], context["remedy"], field.place
            )
        case "model_type" | "model_attributes_type":
            wanted = f"a mapping with some of {', '.join(_keys(form, path))}"
            written = "{...}" if path[-1].isdecimal() else f"{path[-1]}: {{...}}"
            return PromptProblem(what, got, wanted, f"write it as `{written}`", field.place)
        case "list_type":
            return PromptProblem(what, got, "a list", "write it as `[...]`, or each item after a dash", field.place)
        case "string_type":
            return PromptProblem(what, got, "a text", "write it in quotes", field.place)
        case _:
            wanted = detail["msg"].removeprefix("Input should ").removeprefix("be ").split(", unable")[0]
            return PromptProblem(what, got, wanted, "correct it", field.place)


def _keys(form: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys that may stand at a place of the form."""
    kinds = [form]
    for part in path:
        fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
        if fields:  # else a key of the user's own, such as a task under specificity
            kinds = [nested for field in fields for nested in _nested(field.annotation)]
    return [name for kind in kinds for name in kind.model_fields]


def _nested(annotation: Any) -> list[type[BaseModel]]:
    """Every form in an annotation, however it is wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [form for inside in get_args(annotation) for form in _nested(inside)]


def _choices(expected: str) -> list[str]:
    """`'a', 'b' or 'c'` as a list."""
    return [choice.strip(" '") for choice in expected.replace(" or ", ",").split(",")]


def _keys_of(value: Value) -> str:
    if isinstance(value, Record):
        return " and ".join(f"{name}: {field.value}" for name, field in value.fields.items()) or "no key"
    return describe(value)
