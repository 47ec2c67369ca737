"""What a model and a circuit of it make of prompts, measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from acdc.attacks.case import Case, Prediction
from acdc.graphs.circuit import Circuit
from acdc.graphs.execution.executor import Executor
from acdc.graphs.model import Model
from acdc.precision import finite_metric
from acdc.problem import Problem
from acdc.tasks.metrics import KLDivergence


def cases(problem: Problem, circuit: Circuit, found_by: str) -> tuple[Case, ...]:
    """What the model and the circuit make of every prompt of a problem, in their order.

    Raises: DifferentGraphs when the circuit is of another model; NotFinite.
    """
    rows: defaultdict[int, list[tuple[float, int, int]]] = defaultdict(list)
    for batch in problem.batches:
        reference, [logits] = batch.targets.reference, Executor.of(batch.runs).run([circuit])
        divergence = finite_metric(KLDivergence(), logits, batch.targets, problem.model).tolist()
        said = [both.argmax(-1).tolist() for both in (reference, logits)]
        for nth, row in zip(batch.prompts.index.tolist(), zip(divergence, *said, strict=True), strict=True):
            rows[nth].append(row)
    return tuple(_case(problem, nth, rows[nth], found_by) for nth in range(len(problem.pairs)))


def _case(problem: Problem, nth: int, rows: Sequence[tuple[float, int, int]], found_by: str) -> Case:
    """What was measured at the scored positions of one prompt: KL, and what the model and the circuit say there."""
    pair = problem.pairs.pairs[nth]
    kl, model, circuit = zip(*rows, strict=True)

    def right(said: Sequence[int]) -> tuple[int, ...] | None:
        """The rows at which all that is said is an answer."""
        every = (rows for rows in pair.answer_rows if all(said[row] in pair.scored[row].answers for row in rows))
        return next(every, None)

    def prediction(said: Sequence[int]) -> Prediction:
        words = (written(problem.model, said[row]) for row in right(said) or pair.answer_rows[0])
        return Prediction(" ".join(words), bool(right(said)))

    return Case(pair.text, sum(kl), prediction(model), prediction(circuit), found_by)


def written(model: Model, token: int) -> str:
    """A token as text; its number, for a model without a tokenizer."""
    return str(token) if model.tokenizer is None else str(model.tokenizer.decode([token]))
