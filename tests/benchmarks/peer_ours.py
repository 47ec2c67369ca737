"""Our integrated gradients, as a process that `tests.benchmarks.peer` starts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from acdc.algorithms.attribution import TOLERANCE, IntegratedGradients
from acdc.drain import drain
from acdc.graphs.mib import to_mib
from acdc.models import load_model
from acdc.problem import Problem
from acdc.tasks.metrics import LogitDifference
from acdc.tasks.pairs import ScoredPosition, TextPair, TokenPair
from acdc.tasks.prompts import PromptPairs
from tests.benchmarks.peer_process import ScoredPrompt, ScoringTask, serve


def _pair(prompt: ScoredPrompt) -> TokenPair:
    clean, corrupt = tuple(prompt.clean_tokens), tuple(prompt.corrupt_tokens)
    text = TextPair(prompt.clean, prompt.corrupt, (str(prompt.answer),), (str(prompt.distractor),))
    scored = ScoredPosition(len(clean) - 1, (prompt.answer,), (prompt.distractor,))
    return TokenPair(clean, corrupt, (scored,), text)


def load(task: ScoringTask, directory: Path) -> Callable[[], tuple[int, Callable[[Path], None]]]:
    """Scoring from nothing: the clean and corrupt runs count."""
    model, pairs = load_model(task.model), PromptPairs(tuple(map(_pair, task.prompts)))
    tolerance = TOLERANCE if task.scoring.doubling else math.inf
    algorithm = IntegratedGradients(steps=task.scoring.points, tolerance=tolerance)

    def score() -> tuple[int, Callable[[Path], None]]:
        scored = drain(algorithm.walk(Problem(model, pairs, LogitDifference())))
        return scored.provenance["steps_taken"], lambda path: path.write_text(json.dumps(to_mib(scored)), "utf-8")

    return score


if __name__ == "__main__":
    serve(load, "torch", "transformer_lens")
