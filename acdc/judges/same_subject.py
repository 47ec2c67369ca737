"""Is what is loaded what a circuit's record is about? Weights, tokenizer and prompts, compared by their hashes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from acdc.errors import ChangedSubject
from acdc.graphs.errors import BadCircuitFile
from acdc.hashes import tokenizer_hash, weights_hash
from acdc.provenance import Provenance
from acdc.settings import Setup

if TYPE_CHECKING:
    from acdc.graphs.circuit import Circuit
    from acdc.graphs.model import Model
    from acdc.tasks.task import Task

Tell = Callable[[str], None]

_NOT_OF_PROMPTS = ("split", "parts_read", "metric", "ablation", "compute")


@dataclass(frozen=True)
class Given:
    """Which parts of a circuit's subject were asked for anew instead of being taken from its record."""

    task: bool = False
    model: bool = False


@dataclass(frozen=True)
class Differences:
    """How what is loaded differs from what a record says, a sentence each.

    `asked` follows from what was asked for anew, `unasked` does not, and `unknown` cannot be told.
    """

    asked: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def refuse_or_tell(self, *, anyway: bool, tell: Tell | None = None) -> None:
        """Tell what is to be told, and go on only if nothing differs unasked, or `anyway`.

        Without `tell`, what was asked for is not told, and the rest is a warning of Python's.

        Raises: ChangedSubject.
        """
        if self.unasked and not anyway:
            raise ChangedSubject(
                f"{'; '.join(self.unasked)}; give back what the circuit was found with, discover it again, or go on "
                "with it as it is (--anyway, in Python anyway=True)"
            )
        if tell is None:
            for line in (*self.unasked, *self.unknown):
                warnings.warn(line, stacklevel=4)
        else:
            for line in (*self.asked, *self.unasked, *self.unknown):
                tell(line)


def differences(circuit: Circuit, task: Task, model: Model, setup: Setup, given: Given) -> Differences:
    """Compare a task, a model and a setup with what a circuit's record says.

    A circuit without any record, such as one made by hand, claims nothing that could differ.

    Raises: BadPrompts when the tokenizer cannot express the prompts.
    """
    origin = Provenance.of(circuit)
    if origin.model is None and origin.task is None and origin.prompts is None:
        return Differences()
    try:
        recorded = origin.setup()
    except BadCircuitFile:
        recorded = None
    asked: list[str] = []
    unasked: list[str] = []
    unknown: list[str] = []

    def note(part: str, same: bool | None, because: str) -> None:
        if same is None:
            unknown.append(f"whether {part} those the circuit was found with cannot be checked: {because}")
        elif not same:
            difference = f"{part} not those the circuit was found with"
            (asked if because else unasked).append(f"{difference}, as asked ({because})" if because else difference)

    by_model = "--model" if given.model else ""
    was, tokenizer = (origin.model.weights, origin.model.tokenizer) if origin.model else (None, None)
    same_weights = _same_weights(was, model, recorded)
    no_hash = "its record does not hold their hash"
    narrower = f"the record's hash is of {recorded.compute.dtype} weights" if recorded and was else no_hash
    note("the weights are", same_weights, narrower if same_weights is None else by_model)
    same_tokenizer = tokenizer_hash(model.tokenizer) == tokenizer if tokenizer else None
    note("the tokenizer and its special tokens are", same_tokenizer, no_hash if same_tokenizer is None else by_model)
    judgement = origin.prompts and origin.prompts.judgement
    if not judgement or not judgement.hash or recorded is None:
        note("the prompts are", None, no_hash)
        return Differences(tuple(asked), tuple(unasked), tuple(unknown))
    other = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(Setup)
        if field.name not in _NOT_OF_PROMPTS and getattr(setup, field.name) != getattr(recorded, field.name)
    ]
    of_other_tokenizer = bool(by_model) and not same_tokenizer
    if given.task or of_other_tokenizer:
        because = ", ".join((["--task"] if given.task else []) + ([by_model] if of_other_tokenizer else []) + other)
        note("the prompts are", _same_prompts(circuit, task, model, setup), because)
    else:  # whatever others are asked for: is the behaviour still what it was?
        same = _same_prompts(circuit, task, model, recorded)
        note("the prompts are", same, "")
        if same and other:
            note("the prompts are", _same_prompts(circuit, task, model, setup), ", ".join(other))
    return Differences(tuple(asked), tuple(unasked), tuple(unknown))


def _same_weights(was: str | None, model: Model, recorded: Setup | None) -> bool | None:
    import torch

    if not was or recorded is None:
        return None
    dtype = recorded.compute.torch_dtype
    if weights_hash(model, dtype) == was:
        return True
    return None if torch.promote_types(model.dtype, dtype) != model.dtype else False  # rounding may be all it is


def _same_prompts(circuit: Circuit, task: Task, model: Model, setup: Setup) -> bool:
    from acdc.problems import problems  # and torch, which reading a circuit does without

    said, sides = Provenance.of(circuit).prompts, list(problems(task, model, setup))
    assert said is not None
    found_with = [said.discovery, said.judgement]
    if "robust" in circuit.provenance:  # prompts have been added to those it was found with
        found_with[0] = None
    return all(
        not (side and side.hash) or side.hash == f"sha256:{problem.pairs.fingerprint()}"
        for side, problem in zip(found_with, sides, strict=True)
    )
