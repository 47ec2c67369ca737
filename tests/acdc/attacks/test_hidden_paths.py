"""What no drawn prompt takes is found by search, and named by diagnosis, in at least nine of ten planted models."""

from __future__ import annotations

from acdc.attacks.diagnosis import diagnosis
from acdc.attacks.search import search
from acdc.discovery.discover import discover
from acdc.graphs.ablation import Ablation
from acdc.ground_truth.planted import hidden_edges, known
from acdc.problems import problems
from acdc.settings import Setup
from acdc.tasks.prompts import PromptPairs
from acdc.tasks.tokenisation import tokenise

SETUP = Setup(prompts=12)


def named(seed: int) -> bool:
    """Whether the circuit is perfect on held-out prompts, yet prompts are found that its missing path repairs."""
    subject = known("hidden", seed)
    result = discover(subject.task, subject.model, setup=SETUP)
    assert result.circuit.edges == subject.truths[Ablation.RESAMPLE]
    assert result.faithfulness.accuracy.circuit == 1.0
    assert result.faithfulness.kl_tail.max < 0.01
    found = search(subject.task, subject.model, result.circuit, SETUP, budget=60, seed=0, keep=1)
    pair, _ = tokenise(found.cases[0].pair, subject.model.tokenizer)
    if pair is None or not found.cases[0].fails:
        return False
    _, judgement = problems(subject.task, subject.model, SETUP)
    [worst] = diagnosis(judgement.on(PromptPairs((pair,))), result.circuit)
    return worst.repaired and {one.edge for one in worst.together} == hidden_edges(seed)


def test_hidden_paths_are_found_and_named() -> None:
    assert sum(named(seed) for seed in range(10)) >= 9
