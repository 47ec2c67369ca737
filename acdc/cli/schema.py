"""`acdc schema`: what may stand in a hypothesis or a behaviour file, for editors and for other programs."""

from __future__ import annotations

from typing import Annotated

from acdc.cli import terminal
from acdc.cli.options import flag


def schema(
    behaviour: Annotated[bool, flag("--behaviour", is_="That of behaviour files instead")] = False,
) -> None:
    """Print the JSON Schema of hypothesis files, for editors."""
    from acdc.hypotheses.form import HypothesisForm
    from acdc.tasks.files.behaviour_form import BehaviourForm
    from acdc.tasks.files.forms import schema_of

    terminal.write_json(schema_of(BehaviourForm if behaviour else HypothesisForm))
