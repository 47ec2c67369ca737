"""What is crossed: prompts of one length, and the circuit that greedy pruning finds for the subject's own."""

from __future__ import annotations

from collections import Counter

from acdc import tasks
from acdc.algorithms.greedy import GreedyPruning
from acdc.graphs.circuit import Circuit
from acdc.problem import Problem
from acdc.tasks.metrics import metric
from acdc.tasks.prompts import PromptPairs
from tests.benchmarks import planted
from tests.benchmarks.subjects import PLANTED, SHIPPED, Subject

COUNT, FEW = 1000, 12
_SEED = 1
"""Of the prompts: another than that of the subject's own."""


def problem(subject: Subject, *, few: bool = False) -> Problem:
    """1,000 prompts of one length, the commonest of the subject's task; 12 with `few`."""
    count = FEW if few else COUNT
    if subject.name in PLANTED:
        return Problem(subject.model, planted.prompts(subject.model, count, 8 if few else 16), metric("kl"))
    drawn = tasks.get(SHIPPED[subject.name]).build(subject.model.tokenizer, 2 * count, _SEED)
    pairs = [*drawn.discovery.pairs, *drawn.judgement.pairs]
    [(length, _)] = Counter(len(pair.clean) for pair in pairs).most_common(1)
    alike = tuple(pair for pair in pairs if len(pair.clean) == length)[:count]
    assert len(alike) == count, f"only {len(alike)} prompts of {subject.name} are of {length} tokens"
    return Problem(subject.model, PromptPairs(alike), metric("kl"))


def circuit(subject: Subject) -> Circuit:
    """A sparse circuit for the subject's own prompts."""
    return GreedyPruning(subject.threshold("kl")).discover(subject.problem("kl")).circuit
