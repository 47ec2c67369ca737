"""Which span each position of a batch of prompts is of, by number, as what runs circuits asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from acdc.graphs.model import Model
from acdc.spans import are_offsets, span_names
from acdc.tasks.batches import PromptBatch
from acdc.tasks.errors import BadPrompts, PromptProblem
from acdc.tasks.pairs import TokenPair
from acdc.tasks.prompts import PromptPairs


def span_numbers(model: Model, pairs: PromptPairs, batch: PromptBatch) -> Int[Tensor, "row pos"] | None:
    """Of every position of a batch the number of its span in the model's graph; None where that has no spans.

    Those of the clean prompt count for its corrupt twin too. A span that the graph does not have, which other wordings
    may, is counted to the one before it.

    Raises: BadPrompts when spans are slots and a prompt was not made of any.
    """
    if not model.graph.spans:
        return None
    known = {name: number for number, name in enumerate(model.graph.spans)}
    by_slot = not are_offsets(model.graph.spans)
    rows = []
    for number, scored in zip(batch.index.tolist(), batch.scored_positions.tolist(), strict=True):
        if by_slot and not pairs.pairs[number].text.wording.filling:
            raise BadPrompts(_without_slots(pairs.pairs[number], model.graph.spans))
        names = span_names(pairs.pairs[number], model.tokenizer, scored, by_slot=by_slot)
        found = next(known[name] for name in names if name in known)
        row = [found := known.get(name, found) for name in names]
        rows.append([*row, *row[-1:] * batch.clean.shape[1]][: batch.clean.shape[1]])
    return torch.tensor(rows, dtype=torch.long, device=batch.clean.device)


def _without_slots(pair: TokenPair, spans: Sequence[str]) -> PromptProblem:
    return PromptProblem(
        "a prompt does not say where the spans of the circuit are",
        f"{pair.text.clean!r}, which fills no slots",
        f"a prompt with the task's slots, at whose words edges are kept or dropped: {', '.join(spans)}",
        "measure the circuit on prompts of its task, or its `without_spans()` in Python",
    )
