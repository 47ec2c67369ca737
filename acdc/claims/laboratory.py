"""Models and prompts that claims are measured on, each loaded and run once for all claims that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from acdc.claims.hypothesis import Subject
    from acdc.problem import Problem
    from acdc.setup import Setup
    from graphs.model import Model


@final
class Laboratory:
    """What has been loaded so far; one for a whole session of tests."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str, str], Model] = {}
        self._problems: dict[tuple[str, str, Setup], Problem] = {}

    def problem(self, subject: Subject) -> Problem:
        """The judgement problem of that subject: the prompts that nothing is found on.

        Raises: what loading the model and expressing the prompts in its tokens raises.
        """
        from acdc.discovery import problems

        key = (subject.key, subject.model, subject.setup)
        if key not in self._problems:
            _, judgement = problems(subject.task, self._model(subject.model, subject.setup), subject.setup)
            self._problems[key] = judgement
        return self._problems[key]

    def _model(self, name: str, setup: Setup) -> Model:
        from acdc.models import load_named

        key = (name, setup.dtype, setup.device)
        if key not in self._models:
            self._models[key] = load_named(name, setup)
        return self._models[key]
