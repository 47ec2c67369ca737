"""What the forms of files are made of: pydantic checks what may stand in a file, and editors complete it by its schema.

A validator of our own says what is wrong in our own words with `wrong`; `tasks.files.wording` tells everything else.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from acdc.tasks.known_metrics import METRICS


class AbstractForm(BaseModel):
    """A part of a file: nothing but its own keys may stand in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def wrong(what: str, wanted: str, remedy: str) -> PydanticCustomError:
    """What a validator raises: `what` is wrong with the value, where "{key}" stands for its key."""
    return PydanticCustomError("wrong", "{what}", {"what": what, "wanted": wanted, "remedy": remedy})


def _own_metric(name: object) -> object:
    """A metric's own name, where one of its other names stands."""
    return next((own for own, entry in METRICS.items() if name in entry.aliases), name)


Name = Annotated[str, Field(min_length=1)]
if TYPE_CHECKING:
    MetricName: TypeAlias = str
else:  # all there are, so that editors complete them
    MetricName = Annotated[Literal[tuple(METRICS)], BeforeValidator(_own_metric)]


def schema_of(form: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a file of this form."""
    made: dict[str, Any] = form.model_json_schema()
    # descriptions are wrapped to fit our files, not an editor's window
    unwrapped: dict[str, Any] = json.loads(re.sub(r"\\n *", " ", json.dumps(made)))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **unwrapped}
