"""`acdc schema`: what may stand in a hypothesis file, for editors and for other programs."""

from __future__ import annotations

from acdc.cli import terminal


def schema() -> None:
    """Print the JSON Schema of hypothesis files, for editors."""
    from acdc.hypotheses.form import schema as made

    terminal.write_json(made())
