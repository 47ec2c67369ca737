"""Everything that is measured of every head of a model for one half of a task's prompts."""

from __future__ import annotations

from acdc.explain.direct_logits import direct_effects
from acdc.explain.head_behaviours import on_prompts, on_random_sequences
from acdc.explain.roles import HeadEvidence
from acdc.problem import Problem


def evidence(problem: Problem, seed: int) -> HeadEvidence:
    """The evidence on a problem's prompts, and on random sequences drawn with `seed`."""
    prompts = on_prompts(problem)
    effects = None if problem.pairs.whole else direct_effects(problem).mean(1)
    total = 0.0 if effects is None else float(effects.sum())
    index = problem.graph.sender_index
    direct = {
        head: float(effects[index[head]]) / abs(total) if effects is not None and total else 0.0
        for head in prompts.heads
    }
    return HeadEvidence(prompts, on_random_sequences(problem, seed), direct)
